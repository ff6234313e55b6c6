// Owns the settings of the kafka transport: where the brokers are, and how to be let in.
import { choice, list, onOrOff, optionalText, optionalWholeNumber, setting } from './setting.ts';

const PEM = /^-----BEGIN [A-Z0-9 ]+-----/;

/** In the order of the README's table. */
export const KAFKA_SETTINGS = {
  kafkaBrokers: setting(
    { variable: 'KAFKA_BROKERS', about: 'where Kafka is; any of its brokers is enough to find the others' },
    list(/^[A-Za-z0-9._-]+:\d{1,5}$/, 'addresses such as kafka-1:9092,kafka-2:9092', '127.0.0.1:9092'),
  ),
  kafkaReplication: setting(
    {
      variable: 'KAFKA_REPLICATION',
      about:
        'copies of each entry in a topic that is made here; as many less one must be written before a command is accepted',
    },
    optionalWholeNumber(1, 9, '3, or as many as there are brokers'),
  ),
  kafkaSsl: setting({ variable: 'KAFKA_SSL', about: 'whether the brokers speak TLS' }, onOrOff()),
  kafkaSslCa: setting(
    {
      variable: 'KAFKA_SSL_CA',
      about: "the authority that signed the brokers' certificates, where Node does not know it",
    },
    optionalText(PEM, 'a certificate in PEM'),
    'secret',
  ),
  kafkaSslCert: setting(
    { variable: 'KAFKA_SSL_CERT', about: 'our own certificate, where brokers ask for one' },
    optionalText(PEM, 'a certificate in PEM'),
    'secret',
  ),
  kafkaSslKey: setting(
    { variable: 'KAFKA_SSL_KEY', about: 'the key of our own certificate' },
    optionalText(PEM, 'a private key in PEM'),
    'secret',
  ),
  kafkaSaslMechanism: setting(
    { variable: 'KAFKA_SASL_MECHANISM', about: 'how to log in; `none`: without a login' },
    choice(['none', 'plain', 'scram-sha-256', 'scram-sha-512'], 'none'),
  ),
  kafkaSaslUsername: setting(
    { variable: 'KAFKA_SASL_USERNAME', about: 'the user to log in as' },
    optionalText(/\S/, 'a name'),
  ),
  kafkaSaslPassword: setting(
    { variable: 'KAFKA_SASL_PASSWORD', about: "that user's password" },
    optionalText(/\S/, 'a password'),
    'secret',
  ),
} as const;

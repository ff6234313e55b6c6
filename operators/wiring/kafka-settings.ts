// Owns how the settings of Kafka become a connection, and which of them make no sense together.
import { SettingInvalid, type Settings } from '../../shared/process/settings.ts';
import type { TransportGiven } from '../../shared/transport/catalogue.ts';

export type KafkaSettings = Pick<
  Settings,
  | 'kafkaBrokers'
  | 'kafkaReplication'
  | 'kafkaSsl'
  | 'kafkaSslCa'
  | 'kafkaSslCert'
  | 'kafkaSslKey'
  | 'kafkaSaslMechanism'
  | 'kafkaSaslUsername'
  | 'kafkaSaslPassword'
>;

type Kafka = TransportGiven['kafka'];

/** Throws SettingInvalid with a sentence for each thing that is missing or in vain. */
export function kafkaOf(settings: KafkaSettings): Kafka {
  const faults = [...tlsFaults(settings), ...saslFaults(settings)];
  if (faults.length > 0) throw new SettingInvalid(faults.join('\n'));
  const { kafkaSsl, kafkaSslCa: ca, kafkaSslCert: cert, kafkaSslKey: key } = settings;
  return {
    replication: settings.kafkaReplication,
    connection: { brokers: settings.kafkaBrokers, tls: kafkaSsl ? { ca, cert, key } : null, sasl: saslOf(settings) },
  };
}

function saslOf(settings: KafkaSettings): Kafka['connection']['sasl'] {
  const { kafkaSaslMechanism: mechanism, kafkaSaslUsername: username, kafkaSaslPassword: password } = settings;
  if (mechanism === 'none' || username === null || password === null) return null;
  return { mechanism, username, password };
}

function tlsFaults({ kafkaSsl, kafkaSslCa, kafkaSslCert, kafkaSslKey }: KafkaSettings): readonly string[] {
  const faults: string[] = [];
  if ((kafkaSslCert === null) !== (kafkaSslKey === null)) {
    faults.push('KAFKA_SSL_CERT and KAFKA_SSL_KEY belong together: set both, or neither');
  }
  if (!kafkaSsl && [kafkaSslCa, kafkaSslCert, kafkaSslKey].some((each) => each !== null)) {
    faults.push(
      'KAFKA_SSL_CA, KAFKA_SSL_CERT and KAFKA_SSL_KEY do nothing without TLS: set KAFKA_SSL=1, or unset them',
    );
  }
  return faults;
}

function saslFaults({ kafkaSaslMechanism, kafkaSaslUsername, kafkaSaslPassword }: KafkaSettings): readonly string[] {
  const isComplete = kafkaSaslUsername !== null && kafkaSaslPassword !== null;
  const isEmpty = kafkaSaslUsername === null && kafkaSaslPassword === null;
  if (kafkaSaslMechanism !== 'none' && !isComplete) {
    return [`KAFKA_SASL_MECHANISM is ${kafkaSaslMechanism}: set KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, too`];
  }
  if (kafkaSaslMechanism === 'none' && !isEmpty) {
    return [
      'KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD need a KAFKA_SASL_MECHANISM: plain, scram-sha-256 or scram-sha-512',
    ];
  }
  return [];
}

// Owns the proof that the settings of Kafka become a connection, and that those which make no sense together are refused in one go.
import { describe, expect, test } from 'vitest';
import { kafkaOf } from '../../../operators/wiring/kafka-settings.ts';
import { parseSettings, SettingInvalid } from '../../../shared/process/settings.ts';

const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
const KEY = '-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n';

function bundle(files: Readonly<Record<string, string>> = {}) {
  const connect = (env: Readonly<Record<string, string>>) =>
    kafkaOf(parseSettings({ env, flags: {}, readFile: (path) => files[path] ?? '' }));
  const faults = (env: Readonly<Record<string, string>>): readonly string[] => {
    try {
      connect(env);
      return [];
    } catch (thrown) {
      if (!(thrown instanceof SettingInvalid)) throw thrown;
      return thrown.message.split('\n');
    }
  };
  return { connect, faults };
}

describe('settings of Kafka', () => {
  test('nothing set is a broker on this machine, plain and without a login', () => {
    expect(bundle().connect({})).toEqual({
      replication: null,
      connection: { brokers: ['127.0.0.1:9092'], tls: null, sasl: null },
    });
  });

  test('everything set is a connection over TLS with a login', () => {
    const { connect } = bundle({ '/ca': CERTIFICATE, '/cert': CERTIFICATE, '/key': KEY, '/password': 's3cret\n' });
    expect(
      connect({
        KAFKA_BROKERS: 'kafka-1:9092, kafka-2.example.org:9093',
        KAFKA_REPLICATION: '5',
        KAFKA_SSL: '1',
        KAFKA_SSL_CA_FILE: '/ca',
        KAFKA_SSL_CERT_FILE: '/cert',
        KAFKA_SSL_KEY_FILE: '/key',
        KAFKA_SASL_MECHANISM: 'scram-sha-512',
        KAFKA_SASL_USERNAME: 'ada',
        KAFKA_SASL_PASSWORD_FILE: '/password',
      }),
    ).toEqual({
      replication: 5,
      connection: {
        brokers: ['kafka-1:9092', 'kafka-2.example.org:9093'],
        tls: { ca: CERTIFICATE.trim(), cert: CERTIFICATE.trim(), key: KEY.trim() },
        sasl: { mechanism: 'scram-sha-512', username: 'ada', password: 's3cret' },
      },
    });
  });

  test('TLS alone trusts whom Node trusts', () => {
    expect(bundle().connect({ KAFKA_SSL: '1' }).connection.tls).toEqual({ ca: null, cert: null, key: null });
  });

  test.each([
    ['an address without a port', { KAFKA_BROKERS: 'kafka-1' }, /^KAFKA_BROKERS .*kafka-1:9092/],
    ['no copy at all', { KAFKA_REPLICATION: '0' }, /^KAFKA_REPLICATION /],
    ['a certificate that is none', { KAFKA_SSL: '1', KAFKA_SSL_CA: 'ca.pem' }, /^KAFKA_SSL_CA .*certificate in PEM/],
    ['an unknown mechanism', { KAFKA_SASL_MECHANISM: 'gssapi' }, /^KAFKA_SASL_MECHANISM .*scram-sha-512/],
    [
      'a certificate without its key',
      { KAFKA_SSL: '1', KAFKA_SSL_CERT: CERTIFICATE },
      /CERT and KAFKA_SSL_KEY belong together/,
    ],
    ['an authority without TLS', { KAFKA_SSL_CA: CERTIFICATE }, /do nothing without TLS: set KAFKA_SSL=1/],
    [
      'a mechanism without a password',
      { KAFKA_SASL_MECHANISM: 'plain', KAFKA_SASL_USERNAME: 'ada' },
      /^KAFKA_SASL_MECHANISM is plain: set KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD/,
    ],
    ['a user without a mechanism', { KAFKA_SASL_USERNAME: 'ada' }, /need a KAFKA_SASL_MECHANISM/],
  ])('%s is refused', (_, env, sentence) => {
    expect(bundle().faults(env)).toEqual([expect.stringMatching(sentence)]);
  });

  test('all that is wrong is told at once', () => {
    const env = { KAFKA_SSL_KEY: KEY, KAFKA_SASL_PASSWORD: 'x' };
    expect(bundle().faults(env)).toHaveLength(3);
  });

  test('no sentence tells a secret', () => {
    const env = { KAFKA_SSL: '1', KAFKA_SSL_KEY: 'not-a-key-but-secret', KAFKA_SASL_PASSWORD: 'hush' };
    expect(bundle().faults(env).join()).not.toMatch(/not-a-key-but-secret|hush/);
  });
});

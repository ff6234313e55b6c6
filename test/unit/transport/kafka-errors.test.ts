// Owns the proof that whatever kafkajs throws becomes one sentence with a code, which says what to do.
import kafkajs from 'kafkajs';
import { describe, expect, test } from 'vitest';
import type { OnelaneError } from '../../../shared/process/errors.ts';
import { BrokerAway } from '../../../shared/transport/broker-away.ts';
import { explain, protocolError, type About } from '../../../shared/transport/kafka/broker-errors.ts';
import { LogDiverged } from '../../../shared/transport/log-diverged.ts';

const OPEN: About = {
  connection: { brokers: ['kafka-1:9092', 'kafka-2:9092'], tls: null, sasl: null },
  topic: 'bank',
  groupId: 'bank.readers',
};
const SIGNED_IN: About = {
  ...OPEN,
  connection: { ...OPEN.connection, sasl: { mechanism: 'scram-sha-256', username: 'ada', password: 'secret-of-ada' } },
};

/** As kafkajs makes them; its declared types leave out what its constructors take. */
function protocol(type: string): Error {
  const error: Error = Object.assign(new Error(`${type} happened`), { type, code: 1 });
  return Object.assign(new kafkajs.KafkaJSProtocolError(error), { type });
}

function retried(cause: Error): Error {
  return Object.assign(new kafkajs.KafkaJSNumberOfRetriesExceeded(cause, { retryCount: 3, retryTime: 900 }), { cause });
}

const loginError = (): Error => Object.assign(new Error('no'), { name: 'KafkaJSSASLAuthenticationError' });

const withCode = (code: string, message = code): Error => Object.assign(new Error(message), { code });
const said = ({ code, message }: OnelaneError): string => `${message} [${code}]`;

describe('what brokers and kafkajs throw', () => {
  test.each([
    [
      'a topic that may not be used',
      protocol('TOPIC_AUTHORIZATION_FAILED'),
      /^user "ada" may not use topic "bank": allow .*\[broker-right-missing\]$/,
    ],
    [
      'a group that may not be joined',
      protocol('GROUP_AUTHORIZATION_FAILED'),
      /^user "ada" may not join group "bank.readers": allow Read.*\[broker-right-missing\]$/,
    ],
    [
      'a topic that may not be made',
      protocol('CLUSTER_AUTHORIZATION_FAILED'),
      /^user "ada" may not make topic "bank": allow Create.*\[broker-right-missing\]$/,
    ],
    [
      'a topic that is not there',
      protocol('UNKNOWN_TOPIC_OR_PARTITION'),
      /^topic "bank" does not exist.*ONELANE_CHANNEL \[topic-missing\]$/,
    ],
    [
      'a password that is not right',
      loginError(),
      /refuse the user "ada" with scram-sha-256.*KAFKA_SASL_PASSWORD.*\[broker-login-refused\]$/,
    ],
    [
      'a mechanism that is not offered',
      protocol('UNSUPPORTED_SASL_MECHANISM'),
      /refuse the user "ada".*\[broker-login-refused\]$/,
    ],
    [
      'an authority that is not trusted',
      withCode('UNABLE_TO_VERIFY_LEAF_SIGNATURE'),
      /^TLS with kafka-1:9092, kafka-2:9092 failed.*KAFKA_SSL_CA.*\[broker-tls-failed\]$/,
    ],
    ['a certificate that has expired', withCode('CERT_HAS_EXPIRED'), /\[broker-tls-failed\]$/],
    [
      'a name that is not known',
      withCode('ENOTFOUND', 'getaddrinfo ENOTFOUND kafka-1'),
      /^no broker can be reached at kafka-1:9092, kafka-2:9092 \(getaddrinfo ENOTFOUND kafka-1\).*KAFKA_BROKERS.*\[broker-away\]$/,
    ],
    ['a port that nobody listens on', withCode('ECONNREFUSED'), /\[broker-away\]$/],
  ])('%s is told in a sentence, however deep it is wrapped', (_, error, sentence) => {
    expect(said(explain(error, SIGNED_IN))).toMatch(sentence);
    expect(said(explain(retried(retried(error)), SIGNED_IN))).toMatch(sentence);
  });

  test('a refusal without a sentence of its own is no broker out of reach', () => {
    const { message, code } = explain(retried(protocol('LEADER_NOT_AVAILABLE')), OPEN);
    expect(message).toMatch(
      /^the brokers at kafka-1:9092, kafka-2:9092 answer LEADER_NOT_AVAILABLE: if it does not pass/,
    );
    expect(code).toBe('broker-away');
  });

  test('without a login the sentence asks for one, and names nobody', () => {
    const login = explain(loginError(), OPEN);
    expect(said(login)).toMatch(/want a login: set KAFKA_SASL_MECHANISM.*\[broker-login-refused\]$/);
    expect(explain(protocol('TOPIC_AUTHORIZATION_FAILED'), OPEN).message).toMatch(/^this client may not/);
  });

  test('no sentence tells a password', () => {
    for (const each of [loginError(), protocol('TOPIC_AUTHORIZATION_FAILED'), new Error('x')]) {
      expect(explain(each, SIGNED_IN).message).not.toContain('secret-of-ada');
    }
  });

  test('of several at once the first is told', () => {
    const several = Object.assign(new Error('topics'), {
      errors: [protocol('CLUSTER_AUTHORIZATION_FAILED'), new Error('other')],
    });
    expect(explain(several, OPEN).code).toBe('broker-right-missing');
  });

  test('our own errors stay what they are', () => {
    const diverged = new LogDiverged('another log');
    expect(explain(diverged, OPEN)).toBe(diverged);
    expect(explain(Object.assign(new Error('crash'), { cause: diverged }), OPEN)).toBe(diverged);
  });

  test('what is nobody’s, no error at all, and an error that is its own cause, are the broker being away', () => {
    const own = new Error('own');
    own.cause = own;
    for (const thrown of [own, new Error('odd'), 'a text', undefined, null])
      expect(explain(thrown, OPEN)).toBeInstanceOf(BrokerAway);
  });
});

test('the name of a broker’s refusal is found at any depth, and is null where no broker said anything', () => {
  expect(protocolError(retried(protocol('NOT_LEADER_FOR_PARTITION')))).toBe('NOT_LEADER_FOR_PARTITION');
  expect(protocolError(withCode('ECONNRESET'))).toBeNull();
  expect(protocolError(Object.assign(new Error('x'), { type: 'CUSTOM' }))).toBeNull();
});

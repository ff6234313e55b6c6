// Owns the proof that errors of the group's thread are what they were when they are heard of.
import { describe, expect, test } from 'vitest';
import { explain } from '../../../shared/transport/kafka/broker-errors.ts';
import { heardError, tellError } from '../../../shared/transport/kafka/group-messages.ts';
import { LaneSilent } from '../../../shared/transport/kafka/lane-silent.ts';

const about = {
  connection: { brokers: ['kafka:9092'], tls: null, sasl: null },
  topic: 'commands',
  groupId: 'group',
};

/** As a message goes from one thread to another. */
const told = (thrown: unknown) => heardError(structuredClone(tellError(explain(thrown, about))));

describe('an error of another thread', () => {
  test.each([
    [{ code: 'ECONNREFUSED' }, 'broker-away'],
    [{ type: 'SASL_AUTHENTICATION_FAILED' }, 'broker-login-refused'],
    [{ type: 'TOPIC_AUTHORIZATION_FAILED' }, 'broker-right-missing'],
    [{ code: 'SELF_SIGNED_CERT_IN_CHAIN' }, 'broker-tls-failed'],
    [{ type: 'UNKNOWN_TOPIC_OR_PARTITION' }, 'topic-missing'],
  ])('%j is told with its class, its code and its sentence', (parts, code) => {
    const thrown = Object.assign(new Error('it broke'), parts);
    const wanted = explain(thrown, about);
    const heard = told(thrown);
    expect(heard).toBeInstanceOf(wanted.constructor);
    expect([heard.code, heard.message, heard.name]).toEqual([code, wanted.message, wanted.name]);
  });

  test('keeps what caused it, down to the code of the system', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    const heard = told(Object.assign(new Error('retries exceeded', { cause: refused }), { name: 'KafkaJSRetries' }));
    expect(heard.cause).toMatchObject({
      name: 'KafkaJSRetries',
      message: 'retries exceeded',
      cause: { message: 'connect ECONNREFUSED', code: 'ECONNREFUSED' },
    });
  });

  test('that is its own cause comes to an end', () => {
    const round: Error & { cause?: unknown } = new Error('round');
    round.cause = round;
    expect(told(round).code).toBe('broker-away');
  });

  test('of a lane that is silent goes there, and comes back as one', () => {
    expect(heardError(structuredClone(tellError(new LaneSilent('partition 1 is silent'))))).toBeInstanceOf(LaneSilent);
  });
});

// Owns the proof that records of any publisher become deliveries: headers as text, binary CloudEvents structured, times that never go back.
import type { KafkaMessage } from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { HEADER, type Delivery, type Headers } from '../../../shared/command/entry.ts';
import { newUuid } from '../../../shared/command/identity.ts';
import { decodeDelivery } from '../../../shared/command/wire.ts';
import { structuredBytes } from '../../../shared/transport/binary-mode.ts';
import { memoryOf, RecordPage, RecordReader } from '../../../shared/transport/kafka/records.ts';

const EVENT: Headers = {
  ce_specversion: '1.0',
  ce_id: 'a-1',
  ce_source: '/test',
  ce_type: 'account.deposit',
  ce_subject: '42',
};

function message(parts: Partial<KafkaMessage> = {}): KafkaMessage {
  return {
    key: null,
    value: Buffer.from('{}'),
    timestamp: '1000',
    attributes: 0,
    offset: '0',
    headers: {},
    ...parts,
  } as KafkaMessage;
}

const only = (each: KafkaMessage, reader = new RecordReader()): Delivery => reader.page([each]).at(0);

const bytesOf = (headers: Headers): Record<string, Buffer> =>
  Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)]));

const structured = (payload: string | Buffer, headers: Headers = EVENT): string =>
  Buffer.from(structuredBytes(Buffer.from(payload), headers, 'ce_')).toString();

describe('a binary CloudEvent', () => {
  test('is the structured event that says the same', () => {
    expect(JSON.parse(structured('{"amount":5}'))).toEqual({
      specversion: '1.0',
      id: 'a-1',
      source: '/test',
      type: 'account.deposit',
      subject: '42',
      data: { amount: 5 },
    });
  });

  test('is a command like any other', () => {
    const { position, appendedAt } = only(message());
    const body = decodeDelivery({
      position,
      appendedAt,
      headers: EVENT,
      bytes: structuredBytes(Buffer.from('{"amount":5}'), EVENT, 'ce_'),
    });
    expect(body).toMatchObject({ kind: 'command', name: 'deposit', subject: '42', data: { amount: 5 } });
  });

  test('says a revision as the number that it is, and leaves what is none for the reader to refuse', () => {
    const revisionOf = (text: string): unknown =>
      (JSON.parse(structured('{}', { ...EVENT, ce_expectedrevision: text })) as Record<string, unknown>)[
        'expectedrevision'
      ];
    expect(['0', '17', '-1', '1.5', 'many', '9999999999999999'].map(revisionOf)).toEqual([
      0,
      17,
      '-1',
      '1.5',
      'many',
      '9999999999999999',
    ]);
  });

  test('without a value has the payload null', () => {
    expect(JSON.parse(structured(''))).toMatchObject({ id: 'a-1', data: null });
  });

  test('has its payload from the value alone, whatever headers say', () => {
    const event: unknown = JSON.parse(structured('1', { ...EVENT, ce_data: '2', ce_data_base64: 'Mg==' }));
    expect(event).toEqual({
      specversion: '1.0',
      id: 'a-1',
      source: '/test',
      type: 'account.deposit',
      subject: '42',
      data: 1,
    });
  });

  test('keeps every digit and every spelling of its payload', () => {
    expect(structured('{"n": 12345678901234567890, "é":"\\u0041"}')).toContain(
      '"data":{"n": 12345678901234567890, "é":"\\u0041"}}',
    );
  });

  test.each([
    ['no JSON', Buffer.from('amount=5')],
    ['two values', Buffer.from('1 2')],
    ['what would end the event early', Buffer.from('1},"id":{"x":1')],
    ['bytes that are no UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['a byte order mark', Buffer.from('\uFEFF1')],
  ])('stays as it is when its payload is %s, and is read as a stray', (_, payload) => {
    expect(structuredBytes(payload, EVENT, 'ce_')).toBe(payload);
    const { position, appendedAt } = only(message());
    expect(decodeDelivery({ position, appendedAt, headers: EVENT, bytes: payload })).toMatchObject({
      kind: 'stray',
      reason: 'unreadable',
    });
  });
});

test('a structured event is left alone to the byte', () => {
  const value = Buffer.from('{"specversion":"1.0"}');
  expect(structuredBytes(value, { 'content-type': 'application/cloudevents+json' }, 'ce_')).toBe(value);
});

describe('a record', () => {
  test('without value and headers is an empty delivery', () => {
    const { bytes, headers } = only(message({ value: null, headers: undefined as never }));
    expect([bytes.length, headers]).toEqual([0, {}]);
  });

  test('has header names in lower case, and of several values the last', () => {
    const headers = { 'Content-Type': Buffer.from('x'), twice: [Buffer.from('1'), Buffer.from('2')], none: undefined };
    expect(only(message({ headers })).headers).toEqual({
      'content-type': 'x',
      twice: '2',
      none: '',
    });
  });

  test('has header values that are no UTF-8 as base64, told apart from text', () => {
    const headers = { a: Buffer.from([0xff, 0]), b: Buffer.from('é') };
    expect(only(message({ headers })).headers).toEqual({ a: 'base64:/wA=', b: 'é' });
  });

  test('has the headers of its own, however alike the one before it was', () => {
    const reader = new RecordReader();
    const read = (headers: Record<string, Buffer>) => only(message({ headers }), reader).headers;
    expect(read({ a: Buffer.from('1') })).toEqual({ a: '1' });
    expect(read({ a: Buffer.from('1') })).toEqual({ a: '1' });
    expect(read({ a: Buffer.from('2') })).toEqual({ a: '2' });
    expect(read({ b: Buffer.from('2') })).toEqual({ b: '2' });
    expect(read({ b: Buffer.from('2'), c: Buffer.from('') })).toEqual({ b: '2', c: '' });
    expect(read({})).toEqual({});
    expect(read({ A: Buffer.from('1'), a: Buffer.from('2') })).toEqual({ a: '2' });
    expect(read({ a: Buffer.from('2'), A: Buffer.from('1') })).toEqual({ a: '1' });
  });

  test('was never appended before the one before it, wherever that came from', () => {
    const page = new RecordReader().page(['5000', '4000', '6000'].map((timestamp) => message({ timestamp })));
    const times = (floor: number) =>
      [0, 1, 2].map((at) => page.appendedFrom(new Date(floor)).at(at).appendedAt.getTime());
    expect(times(0)).toEqual([5_000, 5_000, 6_000]);
    expect(times(5_500)).toEqual([5_500, 5_500, 6_000]);
    expect(times(9_000)).toEqual([9_000, 9_000, 9_000]);
  });

  test('has a time of its own also when it was fetched before together with later ones, and not taken', () => {
    const reader = new RecordReader();
    const fetched = (...timestamps: string[]) => reader.page(timestamps.map((timestamp) => message({ timestamp })));
    fetched('1000', '2000', '9000');
    expect(fetched('2000', '9000').appendedFrom(new Date(1_000)).at(0).appendedAt.getTime()).toBe(2_000);
  });
});

/** All that a delivery says: it is no plain object. */
const said = ({ position, bytes, headers, appendedAt }: Delivery) => ({
  position,
  bytes: [...bytes],
  headers,
  appendedAt,
});

describe('records that wait together', () => {
  const fetched = Buffer.from('first,second');
  const two = [
    message({ offset: '7', value: fetched.subarray(0, 5), timestamp: '5000', headers: { a: Buffer.from('1') } }),
    message({ offset: '9', value: fetched.subarray(6), timestamp: '6000', headers: { b: Buffer.from('2') } }),
  ];
  const odd = [
    message({ offset: '10', value: null, headers: undefined as never }),
    message({ offset: '11', value: fetched.subarray(fetched.length) }),
    message({ offset: '12', value: Buffer.from('{"amount":5}'), headers: bytesOf(EVENT) }),
  ];

  test('are handed out as they would be one by one', () => {
    const page = new RecordReader().page([...two, ...odd]);
    const reader = new RecordReader();
    const handedOut = [0, 1, 2, 3, 4].map((index) => page.at(index));
    expect([page.count, page.bytesOf(0), page.bytesOf(1), page.bytesOf(2), page.bytesOf(3)]).toEqual([5, 5, 6, 0, 0]);
    expect(handedOut.map(said)).toEqual([...two, ...odd].map((each) => said(only(each, reader))));
    // What attributes in headers add is counted, too: nobody is handed more bytes than it has room for.
    expect(handedOut[4]?.bytes.length).toBeGreaterThan(100);
    expect(page.bytesOf(4)).toBe(handedOut[4]?.bytes.length);
  });

  test('are the same when their page has gone from one thread to another', () => {
    const page = new RecordReader().page([...two, ...odd]);
    const wanted = [0, 1, 2, 3, 4].map((index) => said(page.at(index)));
    // Memory that is shared could not be handed over, and none of it is.
    const there = new RecordPage(structuredClone(page.parts, { transfer: memoryOf(page.parts) }));
    expect([0, 1, 2, 3, 4].map((index) => said(there.at(index)))).toEqual(wanted);
    expect(page.parts.block.bytes.byteLength).toBe(0);
  });

  test('are taken in part with no more memory than theirs', () => {
    const page = new RecordReader().page([...two, ...odd]);
    const whole = [0, 1, 2, 3, 4].map((index) => said(page.at(index)));
    for (const count of [0, 1, 2, 3, 4, 5]) {
      const part = page.first(count);
      expect(part.count).toBe(count);
      expect(Array.from({ length: count }, (_, index) => said(part.at(index)))).toEqual(whole.slice(0, count));
    }
    expect(page.first(1).parts.block.bytes.buffer.byteLength).toBe(5);
    expect(page.first(1).parts.besides).toHaveLength(1);
  });

  test('are ours up to the first that another system published', () => {
    const ours = newUuid();
    const by = (system: string | null) =>
      message({ headers: system === null ? {} : { [HEADER.system]: Buffer.from(system) } });
    const own = (...systems: (string | null)[]) => new RecordReader().page(systems.map(by)).countOwn(ours);
    expect(own(ours, ours, null)).toBe(3);
    expect(own(ours, null, ours, newUuid(), ours)).toBe(3);
    expect(own(newUuid(), ours)).toBe(0);
    expect(own()).toBe(0);
  });

  test('keep nothing of what was fetched with them', () => {
    const own = Buffer.from('first,second');
    const page = new RecordReader().page([own.subarray(0, 5), own.subarray(6)].map((value) => message({ value })));
    own.fill('x');
    expect(Buffer.from(page.at(0).bytes).toString()).toBe('first');
    expect(page.at(1).bytes.buffer.byteLength).toBe(11);
  });
});

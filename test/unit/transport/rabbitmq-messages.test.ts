// Entries become messages and messages entries: as many together as may be, their bytes untouched; and what is put beside them.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HEADER } from '../../../shared/command/entry.ts';
import { newCommandId, newUuid, partition, trustedKey } from '../../../shared/command/identity.ts';
import type { EntryBlock } from '../../../shared/transport/entry-block.ts';
import { EntryCounts } from '../../../shared/transport/rabbitmq/entry-counts.ts';
import { pageOf, readMessage } from '../../../shared/transport/rabbitmq/incoming.ts';
import { cutMessages, encodeMessage, MESSAGE_BYTES_MAX } from '../../../shared/transport/rabbitmq/outgoing.ts';
import { PREFETCH_FIRST, PREFETCH_MAX, Prefetch } from '../../../shared/transport/rabbitmq/prefetch.ts';
import type { Clock } from '../../../shared/process/time.ts';
import type { Routed } from '../../../shared/transport/transport.ts';

const SYSTEM = newUuid();
const OURS = { [HEADER.system]: SYSTEM, [HEADER.layout]: '1' };
const NOW = new Date('2026-11-22T10:00:00Z');

const entry = (bytes: Uint8Array, headers: Readonly<Record<string, string>> = OURS): Routed => ({
  partition: partition(0),
  key: trustedKey('a/1'),
  id: newCommandId(),
  bytes,
  headers,
});

const encode = (entries: readonly Routed[]) => encodeMessage(entries, { messageId: 'p-1', appendedAt: NOW });

/** As amqplib gives it. */
const read = ({ content, options }: ReturnType<typeof encode>, nowMs = NOW.getTime() + 5) =>
  readMessage(
    { content, properties: { ...NO_PROPERTIES, ...options, headers: options.headers } },
    { system: SYSTEM, nowMs },
  );

const bytesIn = (bodies: EntryBlock) => Array.from({ length: bodies.count }, (_, index) => [...bodies.at(index)]);

const NO_PROPERTIES = {
  contentType: undefined,
  contentEncoding: undefined,
  headers: undefined,
  deliveryMode: undefined,
  priority: undefined,
  correlationId: undefined,
  replyTo: undefined,
  expiration: undefined,
  messageId: undefined,
  timestamp: undefined,
  type: undefined,
  userId: undefined,
  appId: undefined,
  clusterId: undefined,
};

describe('a message', () => {
  test('gives back the bytes and headers of its entries, whatever they are', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 30 }), (bodies) => {
        const incoming = read(encode(bodies.map((bytes) => entry(bytes))));
        expect(bytesIn(incoming.bodies)).toEqual(bodies.map((each) => [...each]));
        expect(bodies.map((_, index) => incoming.bodies.bytesOf(index))).toEqual(bodies.map((each) => each.length));
        expect(incoming.headers).toEqual(OURS);
        expect(incoming.key).toBe('p-1');
        expect(incoming.appendedMs).toBe(NOW.getTime());
      }),
    );
  });

  test('of which an earlier lane has settled some is handed out from the next one on', () => {
    const incoming = read(encode(['one', 'two', 'three'].map((text) => entry(Buffer.from(text)))));
    const page = pageOf(incoming, { first: 8, skip: 1, appendedAt: NOW });
    const said = [0, 1]
      .map((index) => page.at(index))
      .map(({ position, bytes, text }) => [position, bytes.length, text]);
    expect([page.count, page.bytesOf(0), said]).toEqual([
      2,
      3,
      [
        [8n, 3, 'two'],
        [9n, 5, 'three'],
      ],
    ]);
  });

  test('of events is a batch that every reader of CloudEvents knows', () => {
    const { content, options } = encode(['{"id":"a"}', '{"id":"b"}'].map((text) => entry(Buffer.from(text))));
    expect(JSON.parse(content.toString())).toEqual([{ id: 'a' }, { id: 'b' }]);
    expect(options).toMatchObject({
      contentType: 'application/cloudevents-batch+json; charset=utf-8',
      mandatory: true,
      persistent: true,
      messageId: 'p-1',
      headers: { 'onelane-lengths': '10,10', 'onelane-appended': String(NOW.getTime()) },
    });
    expect(encode([entry(Buffer.from('{}'))]).options.contentType).toBe('application/cloudevents+json; charset=utf-8');
  });

  test('of a publisher whose clock is ahead, or says nothing, is as old as its coming', () => {
    const one = encode([entry(Buffer.from('{}'))]);
    expect(read(one, NOW.getTime() - 10_000).appendedMs).toBe(NOW.getTime() - 10_000);
    const odd = { ...one, options: { ...one.options, headers: { ...OURS, 'onelane-appended': 'x' } } };
    expect(read(odd, 77).appendedMs).toBe(77);
  });

  test('of another system is known by its content: what others call it may not be its own', () => {
    const [one, two] = ['a', 'b'].map((text) => encode([entry(Buffer.from(text), { [HEADER.system]: newUuid() })]));
    if (one === undefined || two === undefined) throw new Error('there are two');
    expect(read(one).key).not.toBe(read(two).key);
    expect(read(one).key).toBe(read(one).key);
  });
});

describe('entries of one call', () => {
  const sizes = (entries: readonly Routed[]) => cutMessages(entries).map((cut) => [cut.kind, cut.entries.length]);

  test('go in one message as long as they fit', () => {
    const small = (count: number) => Array.from({ length: count }, () => entry(Buffer.from('{}')));
    expect(sizes([])).toEqual([]);
    expect(sizes(small(1_000))).toEqual([['message', 1_000]]);
    expect(sizes(small(2_001))).toEqual([
      ['message', 1_000],
      ['message', 1_000],
      ['message', 1],
    ]);
    const large = Array.from({ length: 5 }, () => entry(Buffer.alloc(64 * 1024)));
    expect(sizes(large)).toEqual([
      ['message', 3],
      ['message', 2],
    ]);
    for (const cut of cutMessages(large))
      expect(encode(cut.entries).content.length).toBeLessThanOrEqual(MESSAGE_BYTES_MAX);
    // One that is larger by itself goes alone.
    const largest = entry(Buffer.alloc(256 * 1024));
    expect(sizes([...small(1), largest, largest])).toEqual([
      ['message', 1],
      ['message', 1],
      ['message', 1],
    ]);
  });

  test('with other headers go by themselves, and too many headers cannot be sent', () => {
    const plain = entry(Buffer.from('a'));
    const more = entry(Buffer.from('b'), { ...OURS, more: 'x' });
    const same = entry(Buffer.from('c'), { ...OURS });
    expect(sizes([plain, same, more, plain])).toEqual([
      ['message', 2],
      ['message', 1],
      ['message', 1],
    ]);
    expect(sizes([entry(Buffer.from('a'), { long: 'h'.repeat(49 * 1024) })])).toEqual([['unsendable', 1]]);
    expect(sizes([entry(Buffer.from('a'), { ['n'.repeat(256)]: '' })])).toEqual([['unsendable', 1]]);
  });
});

test('what waits is counted by what was published here, else by what was read last, else one by one', () => {
  const counts = new EntryCounts();
  const [one, two, three] = [0, 1, 2].map(partition);
  if (one === undefined || two === undefined || three === undefined) throw new Error('there are three');
  for (const entries of [5, 7, 2]) counts.published(one, entries);
  expect([0, 1, 2, 3].map((messages) => counts.estimate(one, messages))).toEqual([0, 2, 9, 14]);
  expect(counts.estimate(one, 6)).toBe(28);
  counts.read(two, 100);
  expect(counts.estimate(two, 3)).toBe(300);
  expect(counts.estimate(three, 3)).toBe(3);
});

describe('the count of messages that may be unacked', () => {
  const bundle = () => {
    let nowMs = 0;
    const clock: Clock = { now: () => new Date(nowMs), monotonicMs: () => nowMs, sleep: () => Promise.resolve() };
    return { prefetch: new Prefetch(clock), pass: (ms: number) => (nowMs += ms) };
  };

  const STARVED = (standing: number) => ({ inHand: standing, waiting: 0, wasShort: true });
  const BUSY = { inHand: 1, waiting: 5, wasShort: false };
  const IDLE = { inHand: 0, waiting: 0, wasShort: false };
  const GROWN = PREFETCH_FIRST * 4;
  /** So many of this size that those before them no longer count. */
  const messagesOf = (prefetch: Prefetch, bytes: number) => {
    for (let message = 0; message < 60; message++) prefetch.received(bytes);
  };
  /** What each of so many batches says that took all there was. */
  const starve = (prefetch: Prefetch, standing: number, batches: number) =>
    Array.from({ length: batches }, () => prefetch.next(STARVED(standing), standing));

  test('grows in one step to what fits when two batches might have been larger, up to a bound', () => {
    const { prefetch } = bundle();
    messagesOf(prefetch, 16 * 1024);
    expect(prefetch.next(BUSY, PREFETCH_FIRST)).toBeNull();
    const half = PREFETCH_FIRST / 2;
    for (let batch = 0; batch < 5; batch++) {
      expect(prefetch.next({ inHand: half - 1, waiting: 0, wasShort: true }, PREFETCH_FIRST)).toBeNull();
    }
    expect(prefetch.next({ inHand: half, waiting: 0, wasShort: true }, PREFETCH_FIRST)).toBeNull();
    expect(starve(prefetch, PREFETCH_FIRST, 1)).toEqual([64]);
    // There is no room for twice as many, and a channel anew for less is not worth while.
    expect(starve(prefetch, 64, 5)).toEqual([null, null, null, null, null]);
    messagesOf(prefetch, 300);
    expect(starve(prefetch, 64, 1)).toEqual([PREFETCH_MAX]);
    expect(starve(prefetch, PREFETCH_MAX, 5)).toEqual([null, null, null, null, null]);
  });

  test('grows whatever its size, though only after a while, when everything in hand stays there', () => {
    const { prefetch, pass } = bundle();
    messagesOf(prefetch, 250_000);
    const waits = { ...STARVED(PREFETCH_FIRST), wasShort: false };
    const half = { ...waits, inHand: PREFETCH_FIRST - 1 };
    expect(prefetch.next(half, PREFETCH_FIRST)).toBeNull();
    pass(1_000);
    for (let look = 0; look < 9; look++) expect(prefetch.next(waits, PREFETCH_FIRST)).toBeNull();
    expect(prefetch.patienceMs()).toBe(250);
    pass(250);
    expect(prefetch.next(waits, PREFETCH_FIRST)).toBe(GROWN);
  });

  test('does not grow while messages are so large that they would not fit', () => {
    const { prefetch } = bundle();
    messagesOf(prefetch, 250_000);
    expect(starve(prefetch, PREFETCH_FIRST, 9)).toEqual(Array.from({ length: 9 }, () => null));
    messagesOf(prefetch, 300);
    expect(prefetch.next(STARVED(PREFETCH_FIRST), PREFETCH_FIRST)).toBe(PREFETCH_MAX);
  });

  test('that was too many for the budget grows again only after lasting hunger', () => {
    const { prefetch, pass } = bundle();
    prefetch.overflowed(8, 64);
    expect([prefetch.isDrained(5), prefetch.isDrained(4)]).toEqual([false, true]);
    expect(starve(prefetch, 64, 5)).toEqual([null, null, null, null, null]);
    pass(249);
    expect(prefetch.next(STARVED(64), 64)).toBeNull();
    pass(1);
    expect(prefetch.next(STARVED(64), 64)).toBe(256);
    prefetch.overflowed(8, 64);
    for (let time = 0; time < 15; time++) {
      expect(prefetch.next(STARVED(64), 64)).toBeNull();
      prefetch.next(BUSY, 64);
    }
    expect(prefetch.next(STARVED(64), 64)).toBe(256);
  });

  test('goes back to the first one after a second without anything', () => {
    const { prefetch, pass } = bundle();
    expect(prefetch.next(IDLE, GROWN)).toBeNull();
    expect(prefetch.patienceMs()).toBe(1_000);
    pass(1_000);
    expect(prefetch.next(IDLE, GROWN)).toBe(PREFETCH_FIRST);
    expect(prefetch.next(IDLE, PREFETCH_FIRST)).toBeNull();
  });

  test('is not asked for again and again after a channel has ended while nothing went on', () => {
    const { prefetch, pass } = bundle();
    prefetch.next(IDLE, GROWN);
    prefetch.broken();
    pass(5_000);
    expect(prefetch.patienceMs()).toBe(Infinity);
  });
});

// The window of a lane's messages: what redelivery is, what may be acked, and where a lane goes on; by hand and against a plain queue.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DeliveryWindow, type SettledHead } from '../../../shared/transport/rabbitmq/delivery-window.ts';

const open = (given: Partial<ConstructorParameters<typeof DeliveryWindow>[0]> = {}) =>
  new DeliveryWindow({ next: 0, earlier: null, remembered: 4, ...given });

/** Settled and stamped. */
const settled = (window: DeliveryWindow, to: number): number | null => {
  window.settle(to);
  window.stamped(to);
  return window.ackable();
};

describe('a window', () => {
  test('numbers entries from where it is told to, and acks a message when its last entry is stamped', () => {
    const window = open({ next: 100 });
    expect(window.received('a', 3, 1)).toEqual({ kind: 'new', first: 100, skip: 0 });
    expect(window.received('b', 2, 2)).toEqual({ kind: 'new', first: 103, skip: 0 });
    expect(window.unsettled).toBe(5);
    expect(settled(window, 102)).toBeNull();
    expect(window.head()).toEqual({ key: 'a', settled: 2 });
    window.settle(105);
    expect(window.ackable()).toBeNull();
    window.stamped(104);
    expect(window.ackable()).toBe(1);
    // All of it is settled, and what is not stamped is the broker's all the same.
    expect([window.unsettled, window.hasUnacked]).toEqual([0, true]);
    window.stamped(105);
    expect(window.ackable()).toBe(2);
    expect(window.ackable()).toBeNull();
    expect(window.hasUnacked).toBe(false);
    expect(window.head()).toEqual({ key: 'b', settled: 2 });
  });

  test('settles nothing backwards, and nothing that was not delivered', () => {
    const window = open();
    window.received('a', 3, 1);
    expect(window.settle(2)).toBe(true);
    expect(window.settle(2)).toBe(false);
    expect(window.settle(1)).toBe(false);
    window.settle(99);
    expect(window.settledTo).toBe(3);
  });

  test('leaves out what an earlier lane had settled of the message that comes first', () => {
    const window = open({ earlier: { key: 'a', settled: 2 } });
    expect(window.received('a', 5, 1)).toEqual({ kind: 'new', first: 0, skip: 2 });
    expect(window.unsettled).toBe(3);
    const whole = open({ earlier: { key: 'a', settled: 5 } });
    expect(whole.received('a', 5, 1)).toEqual({ kind: 'new', first: 0, skip: 5 });
    expect(whole.ackable()).toBe(1);
    const other = open({ earlier: { key: 'z', settled: 5 } });
    expect(other.received('a', 5, 1)).toEqual({ kind: 'new', first: 0, skip: 0 });
  });

  test('knows what comes again, and that something is missing when it does not', () => {
    const window = open();
    for (const [tag, key] of ['a', 'b', 'c'].entries()) window.received(key, 1, tag);
    window.broken();
    expect(window.awaitsRedelivery).toBe(true);
    expect(window.received('a', 1, 0)).toEqual({ kind: 'again' });
    expect(window.received('b', 1, 1)).toEqual({ kind: 'again' });
    window.broken();
    for (const [tag, key] of ['a', 'b', 'c'].entries()) expect(window.received(key, 1, tag)).toEqual({ kind: 'again' });
    expect(window.awaitsRedelivery).toBe(false);
    expect(window.received('d', 1, 3)).toMatchObject({ kind: 'new', first: 3 });
    window.broken();
    expect(window.received('b', 1, 0)).toEqual({ kind: 'torn' });
  });

  test('takes an ack that got lost for what it is: the message comes again, and is acked again', () => {
    const window = open();
    for (const [tag, key] of ['a', 'b', 'c'].entries()) window.received(key, 1, tag + 1);
    expect(settled(window, 2)).toBe(2);
    window.broken();
    expect(window.received('b', 1, 1)).toEqual({ kind: 'again' });
    expect(window.ackable()).toBe(1);
    expect(window.received('c', 1, 2)).toEqual({ kind: 'again' });
    expect(window.ackable()).toBeNull();
  });
});

/** What a broker does with one queue and one consumer. */
class PlainQueue {
  readonly messages: { readonly key: string; readonly entries: number }[] = [];
  unacked = 0;
  #tags = 0;
  /** On its way. */
  #ack: number | null = null;

  deliver(room: number): readonly { readonly key: string; readonly entries: number; readonly tag: number }[] {
    this.#arrive();
    const from = this.unacked;
    this.unacked = Math.min(this.messages.length, room);
    return this.messages.slice(from, this.unacked).map((message) => ({ ...message, tag: ++this.#tags }));
  }

  ack(tag: number): void {
    this.#ack = tag;
  }

  end(ack: 'arrives' | 'gets lost'): void {
    if (ack === 'arrives') this.#arrive();
    this.#ack = null;
    this.unacked = 0;
  }

  #arrive(): void {
    if (this.#ack === null) return;
    const acked = this.unacked - (this.#tags - this.#ack);
    this.messages.splice(0, acked);
    this.unacked -= acked;
    this.#ack = null;
  }
}

const stepArbitrary = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('publish' as const), entries: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('deliver' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('settle' as const), entries: fc.integer({ min: 1, max: 6 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('end' as const),
      ack: fc.constantFrom('arrives' as const, 'gets lost' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lane' as const) }) },
);

type Step = typeof stepArbitrary extends fc.Arbitrary<infer T> ? T : never;

/** Neither message is acked, and the stamp names the second alone: the first comes once more. */
const SETTLED_WITHOUT_A_CHANNEL: Step[] = [
  { kind: 'publish', entries: 1 },
  { kind: 'publish', entries: 1 },
  { kind: 'deliver' },
  { kind: 'end', ack: 'arrives' },
  { kind: 'settle', entries: 2 },
  { kind: 'lane' },
  { kind: 'deliver' },
];

/** `m7/0`, `m7/1`: the entries of a message but for the first few. */
const entriesOf = ({ key, entries }: { readonly key: string; readonly entries: number }, skip = 0) =>
  Array.from({ length: entries - skip }, (_, index) => `${key}/${skip + index}`);

test('whatever ends when, every lane gets in order all that the queue still has, but for what its predecessor settled last', () => {
  fc.assert(
    fc.property(fc.array(stepArbitrary, { maxLength: 120 }), (steps) => {
      const ROOM = 4;
      const queue = new PlainQueue();
      const published: string[] = [];
      let window = open({ remembered: ROOM });
      /** Of this lane, from its beginning on: what must come, and what has come. */
      let due: string[] = [];
      let out: string[] = [];
      let settledHere = 0;
      /** Of what was published, by whichever lane. */
      let settledTo = 0;
      let stamp: SettledHead | null = null;
      const deliver = () => {
        for (const { key, entries, tag } of queue.deliver(ROOM)) {
          const received = window.received(key, entries, tag);
          expect(received.kind).not.toBe('torn');
          if (received.kind !== 'new') continue;
          expect(received.first).toBe(out.length);
          out.push(...entriesOf({ key, entries }, received.skip));
          const ack = window.ackable();
          if (ack !== null) queue.ack(ack);
        }
      };
      for (const step of steps) {
        switch (step.kind) {
          case 'publish': {
            const message = { key: `m${published.length}`, entries: step.entries };
            queue.messages.push(message);
            published.push(...entriesOf(message));
            due.push(...entriesOf(message));
            break;
          }
          case 'deliver':
            deliver();
            break;
          case 'settle': {
            settledHere = Math.min(out.length, settledHere + step.entries);
            if (!window.settle(settledHere)) break;
            settledTo = Math.max(settledTo, published.indexOf(out[settledHere - 1] ?? '') + 1);
            stamp = window.head();
            window.stamped(settledHere);
            const ack = window.ackable();
            if (ack !== null) queue.ack(ack);
            break;
          }
          case 'end':
            queue.end(step.ack);
            window.broken();
            break;
          case 'lane': {
            // What was settled while no channel stood was not acked: it comes once more, and the ledger knows it.
            queue.end('arrives');
            const last = stamp;
            due = queue.messages.flatMap((each) => entriesOf(each, each.key === last?.key ? last.settled : 0));
            const unsettled = published.slice(settledTo);
            expect(due.slice(due.length - unsettled.length)).toEqual(unsettled);
            settledHere = 0;
            out = [];
            window = open({ remembered: ROOM, earlier: stamp });
            break;
          }
        }
        expect(out).toEqual(due.slice(0, out.length));
      }
    }),
    { numRuns: 1_000, examples: [[SETTLED_WITHOUT_A_CHANNEL]] },
  );
});

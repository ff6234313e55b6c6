// Owns the proof that inboxes keep order and bounds, one by one and together.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Delivery } from '../../../shared/command/entry.ts';
import { position } from '../../../shared/command/identity.ts';
import { Inbox, InboxBudget } from '../../../shared/transport/inbox.ts';

function bundle(bytesMax = 1_000, inboxes = 2) {
  const budget = new InboxBudget({ bytesMax, inboxesMax: inboxes });
  return { budget, inboxes: Array.from({ length: inboxes }, () => new Inbox(budget)) };
}

const delivery = (at: number, size: number): Delivery => ({
  position: position(at),
  bytes: Buffer.alloc(size),
  headers: {},
  appendedAt: new Date(0),
});

const step = fc.oneof(
  fc.record({ kind: fc.constant('push' as const), sizes: fc.array(fc.nat(200), { maxLength: 5 }) }),
  fc.record({ kind: fc.constant('take' as const), count: fc.integer({ min: 1, max: 6 }), bytes: fc.nat(400) }),
  fc.record({ kind: fc.constant('clear' as const) }),
);

describe('an inbox', () => {
  test('hands out what was pushed, in order, within the limits, and counts what it holds', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const { budget, inboxes } = bundle();
        const [inbox] = inboxes;
        if (inbox === undefined) throw new Error('there is one');
        let model: Delivery[] = [];
        let at = 0;
        for (const each of steps) {
          if (each.kind === 'clear') {
            inbox.clear();
            model = [];
          } else if (each.kind === 'push') {
            const page = each.sizes.map((size) => delivery(at++, size));
            inbox.push(page);
            model.push(...page);
          } else {
            const batch = inbox.take(each);
            expect(batch).toEqual(model.slice(0, batch.length));
            expect(batch.length).toBe(fitting(model, each));
            model = model.slice(batch.length);
          }
          expect(inbox.entries).toBe(model.length);
          expect(budget.heldBytes).toBe(model.reduce((sum, one) => sum + one.bytes.length, 0));
        }
      }),
    );
  });

  test('that is full leaves the others their share', () => {
    const { inboxes } = bundle(1_000, 2);
    const [greedy, modest] = inboxes;
    expect(greedy?.reserve(10_000)).toBe(750);
    expect(greedy?.hasRoom).toBe(true);
    expect(modest?.reserve(10_000)).toBe(250);
  });

  test('reserves before it reads, and gives back what was not used', () => {
    const { inboxes } = bundle(1_000, 2);
    const [inbox] = inboxes;
    expect(inbox?.reserve(600)).toBe(600);
    expect(inbox?.reserve(600)).toBe(150);
    inbox?.push([delivery(0, 100)]);
    expect(inbox?.reserve(600)).toBe(600);
    inbox?.clear();
    expect(inbox?.reserve(900)).toBe(750);
  });

  test('has room for no more than is left of its share and of what is common', () => {
    const { inboxes } = bundle(1_000, 2);
    inboxes[0]?.push([delivery(0, 600)]);
    expect(inboxes[0]?.hasRoomFor(150)).toBe(true);
    expect(inboxes[0]?.hasRoomFor(151)).toBe(false);
  });

  test('that is empty may always take something', () => {
    const { inboxes } = bundle(0, 2);
    expect(inboxes[0]?.hasRoom).toBe(true);
    inboxes[0]?.push([delivery(0, 10)]);
    expect(inboxes[0]?.hasRoom).toBe(false);
    expect(inboxes[1]?.hasRoom).toBe(true);
  });
});

function fitting(waiting: readonly Delivery[], limit: { readonly count: number; readonly bytes: number }): number {
  let bytes = 0;
  const over = waiting.findIndex((each, index) => {
    bytes += each.bytes.length;
    return index >= limit.count || (index > 0 && bytes > limit.bytes);
  });
  return over === -1 ? waiting.length : over;
}

// Proves that consumers that come and go, and act on views that are a moment old, end in a fair state and stay there.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fairShare, type ShareState } from '../../consumers/leases/fair-share.ts';
import { partition, trustedUuid, type Partition, type Uuid } from '../../shared/command/identity.ts';

/** The lease table, and what each consumer believes. Writes are conditional, as the real ones are. */
class ModelTable {
  readonly live = new Set<Uuid>();
  readonly leaving = new Map<Uuid, Set<Partition>>();
  readonly views = new Map<Uuid, ShareState>();
  readonly holders: (Uuid | null)[];
  moves = 0;

  constructor(partitions: number) {
    this.holders = Array.from({ length: partitions }, () => null);
  }

  look(consumer: Uuid): void {
    const leases = this.holders.map((holder, number) => ({ partition: partition(number), holder }));
    this.views.set(consumer, { consumers: [...this.live], leases });
  }

  /** Acts on the view taken last, however old. */
  act(consumer: Uuid): void {
    const view = this.views.get(consumer);
    const leaving = this.leaving.get(consumer);
    if (view === undefined || leaving === undefined || !this.live.has(consumer)) return;
    const actions = fairShare(view, consumer, leaving);
    for (const each of actions.giveBack) if (this.holders[each] === consumer) leaving.add(each);
    for (const each of actions.take) {
      if (this.holders[each] !== null || leaving.has(each)) continue;
      this.holders[each] = consumer;
      this.moves++;
    }
  }

  release(consumer: Uuid): void {
    for (const each of this.leaving.get(consumer) ?? []) if (this.holders[each] === consumer) this.holders[each] = null;
    this.leaving.get(consumer)?.clear();
  }

  join(consumer: Uuid): void {
    this.live.add(consumer);
    if (!this.leaving.has(consumer)) this.leaving.set(consumer, new Set());
  }

  /** Gracefully or not: in the end its rows are free. */
  end(consumer: Uuid): void {
    this.live.delete(consumer);
    this.leaving.delete(consumer);
    this.views.delete(consumer);
    for (const [number, holder] of this.holders.entries()) if (holder === consumer) this.holders[number] = null;
  }

  settle(rounds: number): void {
    for (let round = 0; round < rounds; round++) {
      for (const consumer of [...this.live].sort()) {
        this.look(consumer);
        this.act(consumer);
        this.release(consumer);
      }
    }
  }

  counts(): readonly number[] {
    return [...this.live].map((consumer) => this.holders.filter((holder) => holder === consumer).length);
  }
}

const nth = (n: number): Uuid => trustedUuid(`00000000-0000-7000-8000-00000000000${n}`);
const consumers = Array.from({ length: 9 }, (_, n) => nth(n));
const step = fc.record({
  act: fc.constantFrom('join', 'end', 'look', 'act', 'release', 'turn'),
  who: fc.constantFrom(...consumers),
});

function play(table: ModelTable, steps: readonly { readonly act: string; readonly who: Uuid }[]): void {
  for (const { act, who } of steps) {
    if (act === 'join') table.join(who);
    if (act === 'end') table.end(who);
    if (act === 'look' || act === 'turn') table.look(who);
    if (act === 'act' || act === 'turn') table.act(who);
    if (act === 'release') table.release(who);
  }
}

function spread(counts: readonly number[]): number {
  return Math.max(...counts) - Math.min(...counts);
}

describe('fair share', () => {
  test('whatever came before, three rounds of turns make it fair, and then nobody moves', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.array(step, { maxLength: 150 }), (partitions, steps) => {
        const table = new ModelTable(partitions);
        play(table, steps);
        table.join(nth(0));
        table.settle(3);
        expect(table.holders).not.toContain(null);
        expect(spread(table.counts())).toBeLessThanOrEqual(1);
        const { moves } = table;
        const holders = [...table.holders];
        table.settle(3);
        expect(table.moves).toBe(moves);
        expect(table.holders).toEqual(holders);
      }),
    );
  });

  test('a consumer that joins a fair state moves its own share and nothing else', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 64 }),
        fc.integer({ min: 1, max: 8 }),
        fc.shuffledSubarray(consumers, { minLength: 9 }),
        (partitions, count, order) => {
          const table = new ModelTable(partitions);
          for (const consumer of order.slice(0, count)) {
            table.join(consumer);
            table.settle(3);
          }
          const before = table.moves;
          const joiner = order[count] ?? nth(0);
          table.join(joiner);
          table.settle(3);
          expect(table.moves - before).toBe(table.holders.filter((holder) => holder === joiner).length);
        },
      ),
    );
  });

  test('a consumer that ends costs only the moves of what it held', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 2, max: 9 }), (partitions, count) => {
        const table = new ModelTable(partitions);
        for (const consumer of consumers.slice(0, count)) table.join(consumer);
        table.settle(4);
        const gone = nth(1);
        const held = table.holders.filter((holder) => holder === gone).length;
        const before = table.moves;
        table.end(gone);
        table.settle(3);
        expect(table.moves - before).toBe(held);
        expect(spread(table.counts())).toBeLessThanOrEqual(1);
      }),
    );
  });
});

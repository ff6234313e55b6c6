// Any commands, any cut into batches, any redelivery, any crash point: a lane's plans mean what one command at a time means.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { BatchStep, BatchStore, Plan, Tenure } from '../../consumers/lane/batch-store.ts';
import { planBatch } from '../../consumers/lane/plan.ts';
import { readEntries, wantedFor } from '../../consumers/lane/read-batch.ts';
import { parkAndWait } from '../../consumers/failure/policies.ts';
import type { Delivery } from '../../shared/command/entry.ts';
import { newUuid, position } from '../../shared/command/identity.ts';
import { memoryBatchStore, MemoryDatabase } from '../support/simulation/memory-store.ts';
import { drawnSeed } from '../support/simulation/random.ts';
import { expected, found } from './compare.ts';
import { interpret } from './interpreter.ts';
import { logs, PLACE } from './logs.ts';
import { worldTypes } from './world.ts';

/** One batch of a story: how many entries it takes, and what becomes of it. */
interface Turn {
  readonly size: number;
  readonly end: 'commits' | 'lost-before-commit' | 'lost-after-commit';
  /** After a loss: from how far back the log is delivered again, in thousandths of what was read. */
  readonly backTo: number;
  readonly positions: 'stored' | 'renumbered';
  readonly flush: 'one-step' | 'a-step-each';
}

const turn: fc.Arbitrary<Turn> = fc.record({
  size: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 60 })),
  end: fc.oneof(
    { weight: 3, arbitrary: fc.constant('commits' as const) },
    { weight: 1, arbitrary: fc.constantFrom('lost-before-commit' as const, 'lost-after-commit' as const) },
  ),
  backTo: fc.integer({ min: 0, max: 1000 }),
  positions: fc.constantFrom('stored', 'renumbered'),
  flush: fc.constantFrom('one-step', 'one-step', 'a-step-each'),
});

const bundle = () => {
  const database = new MemoryDatabase(worldTypes);
  const blow = { next: 'commits' as Turn['end'] };
  const store = memoryBatchStore(database, {
    beforeCommit: () => fail(blow.next === 'lost-before-commit'),
    afterCommit: () => fail(blow.next === 'lost-after-commit'),
    refuses: () => false,
  });
  return { database, store, blow };
};

const lost = new Error('the connection was lost');
const fail = (strikes: boolean): void => {
  if (strikes) throw lost;
};

const seed = drawnSeed('property of the plan');

test('final rows, revisions and outcomes equal those of the interpreter', async () => {
  await fc.assert(
    fc.asyncProperty(logs(60), fc.array(turn, { maxLength: 40, size: 'max' }), async (log, turns) => {
      const { database, store, blow } = bundle();
      await play(log, turns, { store, blow });
      expect(found(database)).toEqual(expected(interpret(readEntries(log, PLACE), worldTypes)));
    }),
    { seed, numRuns: Number(process.env['ONELANE_RUNS'] ?? 500), endOnFailure: false },
  );
}, 120_000);

/** Plays the turns; what they leave unread is read in batches that commit, and the whole log once more at the end. */
async function play(
  log: readonly Delivery[],
  turns: readonly Turn[],
  on: { store: BatchStore; blow: { next: Turn['end'] } },
): Promise<void> {
  let tenure = await claim(on.store);
  let at = 0;
  const calm = { size: 7, end: 'commits', backTo: 0, positions: 'stored', flush: 'one-step' } as const;
  const again = [...turns, ...new Array<Turn>(20).fill(calm)];
  let round = 0;
  for (let turnIndex = 0; turnIndex < again.length * 2 || at < log.length; turnIndex++) {
    const now = again[turnIndex] ?? calm;
    const batch = renumbered(log.slice(at, at + now.size), now.positions === 'renumbered' ? ++round * 1_000 : 0);
    if (batch.length === 0) {
      if (turnIndex >= again.length) return;
      at = 0; // the whole log again, to whoever has it
      continue;
    }
    on.blow.next = now.end;
    try {
      tenure = (await transact(on.store, tenure, batch, now.flush)).tenure;
      at += batch.length;
    } catch (thrown) {
      if (thrown !== lost) throw thrown;
      const read = at + (now.end === 'lost-after-commit' ? batch.length : 0);
      at = Math.floor((read * now.backTo) / 1000);
      tenure = await claim(on.store);
    }
  }
}

const claim = (store: BatchStore): Promise<Tenure> =>
  store.claim(PLACE.partition, { owner: newUuid(), contractHash: 'any' });

function renumbered(batch: readonly Delivery[], by: number): readonly Delivery[] {
  return batch.map((delivery) => ({ ...delivery, position: position(delivery.position + BigInt(by)) }));
}

function transact(store: BatchStore, tenure: Tenure, batch: readonly Delivery[], flush: Turn['flush']) {
  if (flush === 'one-step') return store.transact(tenure, step(batch), 'optimistic');
  return store.transactEach(
    tenure,
    batch.map((each) => step([each])),
    'rows',
  );
}

function step(batch: readonly Delivery[]): BatchStep {
  const entries = readEntries(batch, PLACE);
  const given = { types: worldTypes, policy: parkAndWait(() => 0), refused: new Map(), progress: 'yes' } as const;
  return {
    wanted: wantedFor(entries, worldTypes),
    plan: (recall): Plan => planBatch(entries, recall, given),
  };
}

// Owns the one property of a whole lane, for the tests that prove it and for those that prove that it can fail.
import fc from 'fast-check';
import { expect } from 'vitest';
import type { BatchStore, Plan } from '../../consumers/lane/batch-store.ts';
import { readEntries } from '../../consumers/lane/read-batch.ts';
import type { Delivery } from '../../shared/command/entry.ts';
import type { Lane } from '../../shared/transport/transport.ts';
import { tellStory, type Blow, type Stage } from '../support/simulation/lane-story.ts';
import { memoryBatchStore, MemoryDatabase, type Fence } from '../support/simulation/memory-store.ts';
import { ModelLog, type Positions } from '../support/simulation/model-log.ts';
import { seededRandom } from '../support/simulation/random.ts';
import { expected, found, type Findings } from './compare.ts';
import { interpret, type Refuses } from './interpreter.ts';
import { logs, PLACE } from './logs.ts';
import { blows } from './stories.ts';
import { CURSE, worldTypes } from './world.ts';

export interface Cast {
  readonly positions: Positions;
  readonly fence: Fence;
  sabotage?(lane: Lane, store: BatchStore): { readonly lane: Lane; readonly store: BatchStore };
  /** How many entries were delivered again, in each story. */
  onRedelivered?(count: number): void;
}

/** Whatever befalls the holders: no lane halts, nothing is left over, no zombie commits, and the end is the interpreter's. */
export function laneIsExact(cast: Cast) {
  return fc.asyncProperty(logs(60), blows, fc.nat(), async (log, dealt, seed) => {
    const database = new MemoryDatabase(worldTypes);
    const store = losingStore(database, seed, cast.fence);
    const story: Story = {
      log,
      dealt,
      seed,
      types: worldTypes,
      positions: cast.positions,
      hire: () => ({ store, die: () => undefined }),
      found: () => found(database),
    };
    await expectExact(cast.sabotage === undefined ? story : { ...story, sabotage: cast.sabotage }, {
      onRedelivered: cast.onRedelivered ?? (() => undefined),
      refuses: (reply) => reply === CURSE,
    });
  });
}

export interface Story extends Pick<Stage, 'hire' | 'types' | 'positions' | 'seed' | 'sabotage'> {
  readonly log: readonly Delivery[];
  readonly dealt: readonly Blow[];
  found(): Findings | Promise<Findings>;
}

export async function expectExact(
  story: Story,
  about: { readonly refuses: Refuses; onRedelivered(count: number): void },
): Promise<void> {
  const model = new ModelLog(story.log);
  const told = await tellStory({ ...story, log: model, place: PLACE }, story.dealt);
  about.onRedelivered(model.redelivered);
  expect(told.ends.filter((end) => end.kind === 'halted')).toEqual([]);
  expect(told.unapplied).toBe(0);
  expect(told.zombieCommits).toBe(0);
  const meaning = interpret(readEntries(story.log, PLACE), worldTypes, about.refuses);
  expect(await story.found()).toEqual(expected(meaning));
}

/** One connection in thirty is lost around its commit; whether before or after, the lane cannot tell. */
function losingStore(database: MemoryDatabase, seed: number, fence: Fence): BatchStore {
  const random = seededRandom(seed);
  const lose = (): void => {
    if (random() < 0.03) throw new Error('the connection was lost');
  };
  const refuses = (plan: Plan): boolean => plan.ledger.some((row) => row.reply === JSON.stringify(CURSE));
  return memoryBatchStore(database, { beforeCommit: lose, afterCommit: lose, refuses }, fence);
}

// Owns the one property of a whole lane, for the tests that prove it and for those that prove that it can fail.
import fc from 'fast-check';
import { expect } from 'vitest';
import type { BatchStore, Plan } from '../../consumers/lane/batch-store.ts';
import { readEntries } from '../../consumers/lane/read-batch.ts';
import { entryHash, type Delivery, type Entry } from '../../shared/command/entry.ts';
import type { EntryHash } from '../../shared/command/identity.ts';
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
  /** How many commands were parked for deaths of their holders. */
  onBlamed?(count: number): void;
}

/** Whatever befalls the holders: no lane halts, nothing is left over, no zombie commits, and the end is the interpreter's. */
export function laneIsExact(cast: Cast) {
  return fc.asyncProperty(logs(60), blows, fc.nat(), async (log, dealt, seed) => {
    const database = new MemoryDatabase(worldTypes);
    const random = seededRandom(seed);
    const story: Story = {
      log,
      dealt,
      seed,
      types: worldTypes,
      positions: cast.positions,
      hire: () => ({ store: losingStore(database, random, cast.fence), die: () => undefined }),
      found: () => found(database),
    };
    await expectExact(cast.sabotage === undefined ? story : { ...story, sabotage: cast.sabotage }, {
      onRedelivered: cast.onRedelivered ?? (() => undefined),
      onBlamed: cast.onBlamed ?? (() => undefined),
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
  about: { readonly refuses: Refuses; onRedelivered(count: number): void; onBlamed(count: number): void },
): Promise<void> {
  const model = new ModelLog(story.log);
  const told = await tellStory({ ...story, log: model, place: PLACE }, story.dealt);
  about.onRedelivered(model.redelivered);
  expect(told.ends.filter((end) => end.kind === 'halted')).toEqual([]);
  expect(told.unapplied).toBe(0);
  expect(told.zombieCommits).toBe(0);
  const entries = readEntries(story.log, PLACE);
  const end = await story.found();
  const blamed = blamedIn(end);
  about.onBlamed(blamed.size);
  expect([...blamed].filter((each) => deathsOf(each, entries, told.deaths) < DEATHS_MIN)).toEqual([]);
  expect(end).toEqual(expected(interpret(entries, worldTypes, { refuses: about.refuses, blamed })));
}

/** Fewer deaths while it was marked are nobody's fault. */
const DEATHS_MIN = 2;

function blamedIn({ parked }: Findings): ReadonlySet<string> {
  const rows = Object.entries(parked).flatMap(([key, each]) => each.map((row) => ({ key, ...row })));
  return new Set(rows.filter(({ code }) => code === 'crashed-consumer').map(({ key, id }) => `${key} ${id}`));
}

/** Of one command, however many entries carried it. */
function deathsOf(command: string, entries: readonly Entry[], deaths: ReadonlyMap<EntryHash, number>): number {
  const own = entries.filter(({ body }) => body.kind !== 'stray' && `${body.key} ${body.id}` === command);
  const hashes = new Set(own.map(({ delivery }) => entryHash(delivery)));
  return [...hashes].reduce((sum, hash) => sum + (deaths.get(hash) ?? 0), 0);
}

/** One connection in thirty is lost around its commit; whether before or after, the lane cannot tell. */
function losingStore(database: MemoryDatabase, random: () => number, fence: Fence): BatchStore {
  const lose = (): void => {
    if (random() < 0.03) throw new Error('the connection was lost');
  };
  const refuses = (plan: Plan): boolean => plan.ledger.some((row) => row.reply === JSON.stringify(CURSE));
  return memoryBatchStore(database, { beforeCommit: lose, afterCommit: lose, refuses }, fence);
}

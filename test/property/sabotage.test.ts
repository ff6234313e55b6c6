// A test of the tests: lanes with one guarantee taken out, each of which the property must catch.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { BatchStep, BatchStore } from '../../consumers/lane/batch-store.ts';
import type { Position } from '../../shared/command/identity.ts';
import type { Lane } from '../../shared/transport/transport.ts';
import type { Positions } from '../support/simulation/model-log.ts';
import { drawnSeed } from '../support/simulation/random.ts';
import { laneIsExact, type Cast } from './lane-property.ts';

const seed = drawnSeed('sabotage of the lane');

/** The lane's life with its ledger out of sight: every command is new to it. */
function withoutLedger(lane: Lane, store: BatchStore): { lane: Lane; store: BatchStore } {
  const forgetful = (step: BatchStep): BatchStep => ({
    ...step,
    plan: (found, refusal) => step.plan({ ...found, known: new Map() }, refusal),
  });
  return {
    lane,
    store: {
      ...store,
      transact: (tenure, step, locking) => store.transact(tenure, forgetful(step), locking),
      transactEach: (tenure, steps, locking) => store.transactEach(tenure, steps.map(forgetful), locking),
    },
  };
}

/** Tells the log to forget a batch as soon as it was handed out. */
function settlesEarly(lane: Lane, store: BatchStore): { lane: Lane; store: BatchStore } {
  let handedOut: Position | null = null;
  return {
    lane: {
      partition: lane.partition,
      lost: lane.lost,
      start: (at) => lane.start(at),
      next: async (limit) => {
        const batch = await lane.next(limit);
        handedOut = batch.at(-1)?.position ?? handedOut;
        return batch;
      },
      settle: (through, commits) => lane.settle(through, commits),
      release: () => lane.release(),
    },
    store: {
      ...store,
      transact: async (tenure, step, locking) => {
        if (handedOut !== null) await lane.settle(handedOut, tenure.commits);
        return store.transact(tenure, step, locking);
      },
    },
  };
}

/** Acknowledges each batch's writes by its tenure alone: rows and outcomes of every seventh commit never arrive. */
function losesCommits(lane: Lane, store: BatchStore): { lane: Lane; store: BatchStore } {
  let commits = 0;
  const empty = (step: BatchStep): BatchStep => ({
    ...step,
    plan: async (found, refusal) => {
      const plan = await step.plan(found, refusal);
      return ++commits % 7 === 0 ? { ...plan, rows: [] } : plan;
    },
  });
  return {
    lane,
    store: { ...store, transact: (tenure, step, locking) => store.transact(tenure, empty(step), locking) },
  };
}

const saboteurs: readonly (readonly [string, Cast])[] = (['stored', 'lane'] as const).flatMap(
  (positions: Positions) => [
    [`no fence, "${positions}" positions`, { positions, fence: 'skipped' }],
    [`settling before the commit, "${positions}" positions`, { positions, fence: 'kept', sabotage: settlesEarly }],
    [`rows that are not written, "${positions}" positions`, { positions, fence: 'kept', sabotage: losesCommits }],
    [`no ledger, "${positions}" positions`, { positions, fence: 'kept', sabotage: withoutLedger }],
  ],
);

test.each(saboteurs)('a lane with %s is caught', async (_what, cast) => {
  const run = await fc.check(laneIsExact(cast), { seed, numRuns: 300, endOnFailure: true });
  expect(run.failed).toBe(true);
  process.stdout.write(`caught after ${run.numRuns} stories: ${firstLine(run.errorInstance)}\n`);
});

function firstLine(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
}

// The real system under real faults: real history, real processes, real kill -9; exact at the end. One of each, or the full counts.
import { test } from 'vitest';
import {
  consumerFrozen,
  consumersComeAndGo,
  everyLineTwice,
  everythingKilled,
  serverKilled,
} from '../support/simulation/faults.ts';
import { FULL, type Size } from '../support/simulation/history-system.ts';
import { runFault } from './history-run.ts';

const isFull = process.env['ONELANE_FAULTS'] === 'full';
const size: Size = isFull ? FULL : { prefixes: 3, changes: 3_000, partitions: 8, batchSize: 50 };
const strikes = isFull ? 5 : 1;

test('everything is killed with -9 and started again: nothing lost, doubled or swapped', async () => {
  const name = 'everything killed';
  await runFault({ name, fault: everythingKilled, size, strikes, clients: 'two', consumers: 2 });
});

test('every line is sent twice by two clients: the second answer is the first outcome, and nothing changes', async () => {
  const name = 'every line twice';
  await runFault({ name, fault: everyLineTwice, size, strikes: 1, clients: 'one', consumers: 2 });
});

test('two consumers come and go: nothing lost, doubled or swapped', async () => {
  const name = 'consumers come and go';
  await runFault({ name, fault: consumersComeAndGo, size, strikes, clients: 'two', consumers: 1 });
});

test('PostgreSQL is killed with -9 and started again: nothing lost, doubled or swapped', async () => {
  const name = 'PostgreSQL killed';
  await runFault({ name, fault: serverKilled, size, strikes, clients: 'two', consumers: 2 });
});

test('a consumer is frozen past its lease and woken: it writes nothing', async () => {
  const name = 'consumer frozen';
  await runFault({ name, fault: consumerFrozen, size, strikes: isFull ? 3 : 1, clients: 'two', consumers: 2 });
});

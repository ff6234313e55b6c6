// Proves what metrics count, and that a reading that fails takes nothing else along.
import { expect, test } from 'vitest';
import type { OnelaneEvent } from '../../../shared/process/events.ts';
import { openMetrics, type Readings } from '../../../shared/process/metrics.ts';

function bundle() {
  let readings: Readings | Error = { lag: [{ partition: 1, entries: 5, seconds: 2.5 }], parked: 3, held: 2, strays: 1 };
  const metrics = openMetrics(() => (readings instanceof Error ? Promise.reject(readings) : Promise.resolve(readings)));
  const lines = async () => (await metrics.text()).split('\n');
  return { metrics, lines, read: (next: Readings | Error) => (readings = next) };
}

const APPLIED: OnelaneEvent = {
  kind: 'batch-applied',
  partition: 1,
  entries: 10,
  applied: 6,
  rejected: 2,
  repeated: 1,
  parked: 1,
  strays: 0,
  ms: 4,
  cut: 'size',
  appendedAt: new Date(0),
  through: 9n,
  commits: 1n,
};

test('commands are counted by outcome, batches by why they were cut', async () => {
  const { metrics, lines } = bundle();
  metrics.observe(APPLIED);
  metrics.observe(APPLIED);
  expect(await lines()).toEqual(
    expect.arrayContaining([
      'onelane_commands_total{outcome="applied"} 12',
      'onelane_commands_total{outcome="rejected"} 4',
      'onelane_commands_total{outcome="repeated"} 2',
      'onelane_batches_total{cut="size"} 2',
      'onelane_batch_entries_sum 20',
    ]),
  );
});

test('lag and what is set aside are read anew for each scrape', async () => {
  const { lines, read } = bundle();
  expect(await lines()).toEqual(
    expect.arrayContaining([
      'onelane_partition_lag_entries{partition="1"} 5',
      'onelane_partition_lag_seconds{partition="1"} 2.5',
      'onelane_parked_commands 3',
      'onelane_held_resources 2',
      'onelane_stray_entries 1',
    ]),
  );
  read({ lag: [{ partition: 1, entries: 0, seconds: 0 }], parked: 0, held: 0, strays: 0 });
  expect(await lines()).toContain('onelane_partition_lag_entries{partition="1"} 0');
});

test('while the database is away the counters stand and no old lag is shown', async () => {
  const { metrics, lines, read } = bundle();
  await lines();
  metrics.observe(APPLIED);
  read(new Error('away'));
  const text = (await lines()).join('\n');
  expect(text).toContain('onelane_commands_total{outcome="applied"} 6');
  expect(text).not.toContain('onelane_partition_lag_entries{');
  expect(text).not.toMatch(/^onelane_parked_commands /m);
  read({ lag: [], parked: 4, held: 0, strays: 0 });
  expect(await lines()).toContain('onelane_parked_commands 4');
});

test('two systems in one process count apart', async () => {
  const [one, other] = [bundle(), bundle()];
  one.metrics.observe(APPLIED);
  expect((await other.lines()).join('\n')).not.toContain('outcome="applied"} 6');
});

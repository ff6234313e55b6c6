// Owns lanes on the bench: a backlog in a log, applied by `runLane` to real PostgreSQL, in this process.
import { decideGate } from '../../consumers/decide-gate.ts';
import { parkAndWait } from '../../consumers/failure/policies.ts';
import { LANE_LIMITS, type LaneGiven } from '../../consumers/lane/lane-given.ts';
import { postgresBatchStore } from '../../consumers/lane/postgres/store.ts';
import { runLane } from '../../consumers/lane/run-lane.ts';
import { contractsHash } from '../../shared/command/contract.ts';
import { newCommandId, newUuid, partition, trustedKey, type Partition } from '../../shared/command/identity.ts';
import { partitionOf } from '../../shared/command/routing.ts';
import { invariant } from '../../shared/process/errors.ts';
import { systemClock } from '../../shared/process/time.ts';
import type { ResourceTypes } from '../../shared/resources/resource-type.ts';
import type { Headers, Routed, Transport } from '../../shared/transport/transport.ts';
import { freshDatabase, type TestDatabase } from '../support/database.ts';
import { accounts, accountTable } from './accounts.ts';
import { depositEvent, type Load } from './load.ts';
import { timed, type Contender, type Round } from './measure.ts';

const PUBLISH_MAX = 1_000;
const RETENTION_MS = 30 * 86_400_000;

export interface LanesWanted {
  readonly name: string;
  readonly load: Load;
  readonly partitions: number;
  readonly transport: (bench: TestDatabase) => Transport;
}

/** Lays the backlog, untimed, then drains it from the first claim to the commit of the last entry. */
export function lanes(wanted: LanesWanted): Contender {
  const { load, partitions } = wanted;
  return {
    name: `${wanted.name}, ${load.rows.toLocaleString('en')} rows`,
    run: async () => {
      const bench = await freshDatabase({ partitions, sql: accountTable(load.rows) });
      const transport = wanted.transport(bench);
      try {
        await transport.provision(partitions);
        await layBacklog(transport, load, partitions);
        return await drain(bench, transport, { count: load.count, partitions });
      } finally {
        await transport.close();
        await bench.close();
      }
    },
  };
}

export async function layBacklog(
  transport: Transport,
  load: Load,
  partitions: number,
  headers: Headers = {},
): Promise<void> {
  const publisher = await transport.openPublisher();
  let batch: Routed[] = [];
  const flush = async (): Promise<void> => {
    const results = await publisher.publish(batch);
    invariant(
      results.every((result) => result.kind === 'stored'),
      'the backlog is stored',
    );
    batch = [];
  };
  for (let n = 0; n < load.count; n++) {
    const account = 1 + (n % load.rows);
    const key = trustedKey(`account/${account}`);
    batch.push({
      partition: partitionOf(key, partitions),
      key,
      id: newCommandId(),
      bytes: depositEvent(account),
      headers,
    });
    if (batch.length === PUBLISH_MAX) await flush();
  }
  if (batch.length > 0) await flush();
  await publisher.close();
}

/** What draining needs of a test database. */
export type BenchDatabase = Pick<TestDatabase, 'database' | 'lanePool' | 'schema' | 'tables' | 'system'>;

export async function drain(
  bench: BenchDatabase,
  transport: Transport,
  backlog: { readonly count: number; readonly partitions: number },
): Promise<Round> {
  const stop = new AbortController();
  let left = backlog.count;
  const given = laneGiven(bench, backlog.partitions, (applied) => {
    left -= applied;
    if (left <= 0) stop.abort();
  });
  const mine = new Set(Array.from({ length: backlog.partitions }, (_, index) => partition(index)));
  return await timed(backlog.count, async () => {
    const subscription = await transport.openSubscription(until(mine, stop.signal));
    const running: Promise<void>[] = [];
    for await (const lane of subscription.lanes(stop.signal)) {
      running.push(
        runLane(lane, given).then((end) => {
          if (end.kind === 'released') return;
          console.error(`a lane of the bench ended badly: ${JSON.stringify(end)}`);
          process.exitCode = 1;
          stop.abort();
        }),
      );
    }
    await Promise.all(running);
    await subscription.close();
  });
}

function laneGiven(bench: BenchDatabase, partitions: number, onApplied: (count: number) => void): LaneGiven {
  const type = accounts(bench.tables);
  const types: ResourceTypes = new Map([[type.contract.type, type]]);
  const clock = systemClock;
  const { database, lanePool } = bench;
  return {
    store: postgresBatchStore({
      consumer: newUuid(),
      database,
      lanePool,
      types,
      ledgerRetentionMs: RETENTION_MS,
      observe: () => undefined,
      clock,
    }),
    types,
    contractHash: contractsHash([type.contract]),
    policy: parkAndWait(Math.random),
    gate: decideGate(),
    limits: LANE_LIMITS,
    system: { partitions },
    schema: bench.schema,
    databaseAnswers: () => Promise.resolve(true),
    newOwner: newUuid,
    observe: (event) => {
      if (event.kind === 'outage-waited') console.error(event.cause);
      if (event.kind === 'batch-applied') onApplied(event.applied);
    },
    clock,
    random: Math.random,
    reach: null,
  };
}

async function* until(mine: ReadonlySet<Partition>, stop: AbortSignal): AsyncGenerator<ReadonlySet<Partition>> {
  yield mine;
  if (!stop.aborted) await new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true }));
}

// Owns a whole lane for a scenario: the log in memory, the store on real PostgreSQL, runLane between them, and nothing pretended.
import { decideGate } from '../../consumers/decide-gate.ts';
import { parkAndWait, type FailurePolicy } from '../../consumers/failure/policies.ts';
import type { LaneEnd, LaneGiven } from '../../consumers/lane/lane-given.ts';
import { postgresBatchStore } from '../../consumers/lane/postgres/store.ts';
import { runLane } from '../../consumers/lane/run-lane.ts';
import { HEADER } from '../../shared/command/entry.ts';
import {
  newUuid,
  partition,
  resourceKey,
  trustedTypeName,
  newCommandId,
  type CommandId,
  type Json,
  type Partition,
  type Uuid,
} from '../../shared/command/identity.ts';
import { partitionOf } from '../../shared/command/routing.ts';
import { openLanePool, type Database, type SessionTimeouts } from '../../shared/postgres/database.ts';
import type { System } from '../../shared/postgres/system.ts';
import type { OnelaneEvent } from '../../shared/process/events.ts';
import { Latest } from '../../shared/process/latest.ts';
import { systemClock } from '../../shared/process/time.ts';
import type { ResourceTypes } from '../../shared/resources/resource-type.ts';
import { createMemoryLog, memoryTransport, type MemoryLog } from '../../shared/transport/memory/index.ts';
import type { Routed } from '../../shared/transport/transport.ts';
import type pg from 'pg';
import { freshDatabase, type TestDatabase } from './database.ts';

export interface Sent {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  readonly data?: Json;
  readonly expectedRevision?: number;
}

/** A new id for each that has none. */
export type Unsent = Omit<Sent, 'id'> & { readonly id?: CommandId };

export interface LaneBundleWanted {
  readonly types: (tables: string) => ResourceTypes;
  /** `{tables}` stands for the schema. */
  readonly sql: string;
  readonly batchCountMax?: number;
  readonly policy?: FailurePolicy;
  readonly renewedMs?: number;
  /** Of the lanes' sessions; none named means those of the product. */
  readonly timeouts?: SessionTimeouts;
}

export interface LaneBundle {
  readonly db: TestDatabase;
  readonly log: MemoryLog;
  readonly events: readonly OnelaneEvent[];
  /** In one piece, in this order; before `start` they make one batch, as far as the limits allow. */
  publish(commands: readonly Unsent[]): Promise<readonly Sent[]>;
  start(): void;
  /** Resolves when everything published so far is committed; rejects when the lane halts. */
  caughtUp(): Promise<void>;
  /** Resolves when an event for which `is` holds has come. */
  until(is: (event: OnelaneEvent) => boolean): Promise<OnelaneEvent>;
  sql<Row extends pg.QueryResultRow>(text: string): Promise<readonly Row[]>;
  close(): Promise<void>;
}

export async function laneBundle(wanted: LaneBundleWanted): Promise<LaneBundle> {
  const db = await freshDatabase({ partitions: 1, sql: wanted.sql });
  const log = createMemoryLog({ partitions: 1 });
  const lanePool = wanted.timeouts === undefined ? db.lanePool : openLanePool(db.database, 4, wanted.timeouts);
  const lanes = openLanes(log, {
    ...db,
    lanePool,
    types: wanted.types(db.tables),
    batchCountMax: wanted.batchCountMax ?? 1_000,
    policy: wanted.policy ?? parkAndWait(Math.random),
    renewedMs: wanted.renewedMs ?? 0,
  });
  return {
    db,
    log,
    events: lanes.events,
    publish: (commands) => publish(log, db.system.id, commands),
    start: () => lanes.start(),
    until: (is) => lanes.until(is),
    caughtUp: () => lanes.caughtUp(BigInt(log.bounds(partition(0)).end)),
    sql: async <Row extends pg.QueryResultRow>(text: string) => {
      const own = text.replaceAll('{tables}', db.tables).replaceAll('{schema}', db.schema);
      return (await db.database.pool.query<Row>(own)).rows;
    },
    close: async () => {
      await lanes.stop();
      if (lanePool !== db.lanePool) await lanePool.end();
      await db.close();
    },
  };
}

export interface LanesGiven {
  readonly database: Database;
  readonly lanePool: pg.Pool;
  readonly system: Pick<System, 'id' | 'partitions'>;
  readonly types: ResourceTypes;
  readonly batchCountMax: number;
  readonly policy?: FailurePolicy;
  readonly renewedMs?: number;
}

export interface Lanes {
  readonly events: readonly OnelaneEvent[];
  start(): void;
  caughtUp(end: bigint): Promise<void>;
  /** Resolves when an event for which `is` holds has come. */
  until(is: (event: OnelaneEvent) => boolean): Promise<OnelaneEvent>;
  stop(): Promise<void>;
}

/** All lanes of a log in this process, as one consumer would run them; without leases, for they are nobody's subject here. */
export function openLanes(log: MemoryLog, given: LanesGiven): Lanes {
  const events: OnelaneEvent[] = [];
  const heard = new Set<(event: OnelaneEvent) => void>();
  const observe = (event: OnelaneEvent): void => {
    events.push(event);
    for (const hear of heard) hear(event);
  };
  const stopping = new AbortController();
  const laneGiven = laneGivenOf(given, observe);
  let running: Promise<void> = Promise.resolve();
  const until = (is: (event: OnelaneEvent) => boolean): Promise<OnelaneEvent> =>
    new Promise((resolve) => {
      const past = events.find(is);
      if (past !== undefined) {
        resolve(past);
        return;
      }
      const hear = (event: OnelaneEvent): void => {
        if (!is(event)) return;
        heard.delete(hear);
        resolve(event);
      };
      heard.add(hear);
    });
  return {
    events,
    until,
    start: () => {
      running = run(log, laneGiven, stopping.signal);
    },
    caughtUp: async (end) => {
      const last = await until(
        (event) => event.kind === 'lane-halted' || (event.kind === 'batch-applied' && event.through >= end - 1n),
      );
      if (last.kind === 'lane-halted') throw new Error(`the lane halted: ${last.code}: ${last.detail}`);
    },
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

/** Entries of another system are for the log to refuse. */
export type OwnLaneGiven = LaneGiven & Pick<LanesGiven, 'system'>;

async function run(log: MemoryLog, given: OwnLaneGiven, stop: AbortSignal): Promise<void> {
  const mine = new Latest<ReadonlySet<Partition>>(new Set(log.partitions));
  const subscription = await memoryTransport(log, { systemId: given.system.id }).openSubscription(mine);
  const lives = new Set<Promise<LaneEnd>>();
  for await (const lane of subscription.lanes(stop)) {
    const life = runLane(lane, given);
    lives.add(life);
    void life.then((end) => {
      lives.delete(life);
      // Who halted would be yielded anew, for ever.
      if (end.kind === 'halted') mine.set(new Set([...mine.value].filter((each) => each !== lane.partition)));
    });
  }
  await Promise.all(lives);
  mine.end();
  await subscription.close();
}

/** What one lane of them is given; a test may change a part. */
export function laneGivenOf(given: LanesGiven, observe: (event: OnelaneEvent) => void): OwnLaneGiven {
  const { database, lanePool, types } = given;
  const clock = systemClock;
  const store = postgresBatchStore({
    database,
    lanePool,
    types,
    ledgerRetentionMs: 30 * DAY_MS,
    observe,
    clock,
    consumer: newUuid(),
  });
  return {
    store,
    types,
    contractHash: 'any',
    policy: given.policy ?? parkAndWait(Math.random),
    gate: decideGate(),
    limits: {
      batchCountMax: given.batchCountMax,
      batchBytesMax: 16 * 1024 * 1024,
      lingerMs: 0,
      renewedMs: given.renewedMs ?? 0,
    },
    system: given.system,
    schema: database.schema,
    databaseAnswers: () =>
      database.pool.query('select 1').then(
        () => true,
        () => false,
      ),
    newOwner: newUuid,
    observe,
    clock,
    random: Math.random,
    reach: null,
  };
}

const DAY_MS = 24 * 60 * 60 * 1_000;

/** As a client's lines become entries: sealed, routed, appended. */
export async function publish(log: MemoryLog, systemId: Uuid, commands: readonly Unsent[]): Promise<readonly Sent[]> {
  const { sent, routed } = routedAll(commands, { id: systemId, partitions: log.partitions.length });
  const publisher = await memoryTransport(log).openPublisher();
  const results = await publisher.publish(routed);
  const lost = results.find((result) => result.kind !== 'stored');
  if (lost !== undefined) throw new Error(`not stored: ${JSON.stringify(lost)}`);
  return sent;
}

export function routedAll(
  commands: readonly Unsent[],
  system: Pick<System, 'id' | 'partitions'>,
): { readonly sent: readonly Sent[]; readonly routed: readonly Routed[] } {
  const sent = commands.map((command): Sent & Pick<Routed, 'id'> => ({
    ...command,
    id: command.id ?? newCommandId(),
  }));
  return { sent, routed: sent.map((command) => routedOf(command, system)) };
}

function routedOf(
  command: Sent & Pick<Routed, 'id'>,
  { id: systemId, partitions }: Pick<System, 'id' | 'partitions'>,
): Routed {
  const { id, type, subject, data, expectedRevision } = command;
  const [resourceType = ''] = type.split('.');
  const key = resourceKey(trustedTypeName(resourceType), subject);
  const event = {
    specversion: '1.0',
    id,
    source: '/scenario',
    type,
    subject,
    time: new Date(Date.UTC(2026, 10, 22)).toISOString(),
    data: data ?? {},
    ...(expectedRevision === undefined ? {} : { expectedrevision: expectedRevision }),
  };
  return {
    partition: partitionOf(key, partitions),
    key,
    id,
    bytes: Buffer.from(JSON.stringify(event)),
    headers: { [HEADER.system]: systemId, [HEADER.layout]: '1' },
  };
}

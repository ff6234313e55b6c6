// Owns what an operator is shown from the database: partitions, consumers, and what is set aside. Bounded reads only.
import {
  epoch,
  partition,
  position,
  trustedCommandId,
  trustedKey,
  trustedUuid,
  type CommandId,
  type Epoch,
  type Partition,
  type Position,
  type ResourceKey,
  type Uuid,
} from '../command/identity.ts';
import type { Database } from './database.ts';
import { quoted } from './schema-name.ts';

export interface PartitionStatus {
  readonly partition: Partition;
  readonly epoch: Epoch;
  /** Of the claim; null: nobody holds the tenure, or its holder died. */
  readonly owner: Uuid | null;
  readonly claimedAt: Date | null;
  /** The position to read next; null: never read, or the transport's positions are not stored. */
  readonly next: Position | null;
  readonly lastAppendedAt: Date | null;
  readonly commits: bigint;
  /** Claims since the last progress; more than two: something kills its consumers. */
  readonly claims: number;
  readonly halted: { readonly code: string; readonly detail: string; readonly at: Date } | null;
  readonly lease: { readonly consumer: Uuid; readonly expiresAt: Date; readonly isExpired: boolean } | null;
}

export interface ConsumerStatus {
  readonly id: Uuid;
  readonly host: string;
  readonly pid: number;
  readonly startedAt: Date;
  readonly expiresAt: Date;
  readonly isExpired: boolean;
  readonly partitions: readonly Partition[];
}

/** Counts stop at COUNT_MAX: reading more tells an operator nothing and costs the database a scan. */
export interface SetAside {
  readonly parked: number;
  readonly holds: number;
  readonly strays: number;
  readonly oldestHoldSince: Date | null;
}

/** A resource that is held, and the parked command that holds it. */
export interface HeldResource {
  readonly resource: ResourceKey;
  readonly partition: Partition;
  readonly since: Date;
  /** null: it holds nothing any more and is about to be released. */
  readonly blocker: { readonly id: CommandId; readonly code: string; readonly detail: string } | null;
  /** Parked commands behind the blocker; stops at BEHIND_MAX. */
  readonly behind: number;
}

export const COUNT_MAX = 100_000;
export const BEHIND_MAX = 10_000;
const CONSUMERS_MAX = 10_000;

/** In the order of partitions. Expiry is judged by the database's clock. */
export async function readPartitions(db: Database): Promise<readonly PartitionStatus[]> {
  const schema = quoted(db.schema);
  const { rows } = await db.pool.query<PartitionRow>(
    `select t.partition, t.epoch, t.owner, t.claimed_at, t.next_position, t.last_appended_at, t.commits, t.claims,
            t.halted_code, t.halted_detail, t.halted_at, l.consumer, l.expires_at, l.expires_at <= now() as expired
     from ${schema}.tenure t
     left join ${schema}.lease l on l.partition = t.partition
     order by t.partition`,
  );
  return rows.map(partitionStatus);
}

/** The longest running first. */
export async function readConsumers(db: Database): Promise<readonly ConsumerStatus[]> {
  const schema = quoted(db.schema);
  const { rows } = await db.pool.query<ConsumerRow>(
    `select c.id, c.host, c.pid, c.started_at, c.expires_at, c.expires_at <= now() as expired,
            array(select l.partition from ${schema}.lease l where l.consumer = c.id and l.expires_at > now() order by 1) as partitions
     from ${schema}.consumer c
     order by c.started_at, c.id
     limit ${CONSUMERS_MAX}`,
  );
  return rows.map((row) => ({
    id: trustedUuid(row.id),
    host: row.host,
    pid: row.pid,
    startedAt: row.started_at,
    expiresAt: row.expires_at,
    isExpired: row.expired,
    partitions: row.partitions.map(partition),
  }));
}

export async function readSetAside(db: Database): Promise<SetAside> {
  const schema = quoted(db.schema);
  const count = (table: string) =>
    `(select count(*)::integer from (select 1 from ${schema}.${table} limit ${COUNT_MAX}) bounded) as ${table}`;
  const { rows } = await db.pool.query<{ parked: number; hold: number; stray: number; oldest: Date | null }>(
    `select ${count('parked')}, ${count('hold')}, ${count('stray')},
            (select min(since) from (select since from ${schema}.hold limit ${COUNT_MAX}) bounded) as oldest`,
  );
  const row = rows[0];
  return {
    parked: row?.parked ?? 0,
    holds: row?.hold ?? 0,
    strays: row?.stray ?? 0,
    oldestHoldSince: row?.oldest ?? null,
  };
}

/** The longest held first, `limit` at most; beyond COUNT_MAX holds, of as many that were found first. */
export async function readHeld(db: Database, limit: number): Promise<readonly HeldResource[]> {
  const schema = quoted(db.schema);
  const { rows } = await db.pool.query<HeldRow>(
    `select h.resource, h.partition, h.since, b.id, b.code, b.detail,
            (select count(*)::integer
             from (select 1 from ${schema}.parked p where p.resource = h.resource limit ${BEHIND_MAX} + 1) bounded) as parked
     from (select resource, partition, since
           from (select resource, partition, since from ${schema}.hold limit ${COUNT_MAX}) bounded
           order by since, resource
           limit $1) h
     left join lateral (select p.id, p.code, p.detail
                        from ${schema}.parked p
                        where p.resource = h.resource
                        order by p.number
                        limit 1) b on true
     order by h.since, h.resource`,
    [limit],
  );
  return rows.map(heldResource);
}

interface HeldRow {
  readonly resource: string;
  readonly partition: number;
  readonly since: Date;
  readonly id: string | null;
  readonly code: string | null;
  readonly detail: string | null;
  readonly parked: number;
}

interface PartitionRow {
  readonly partition: number;
  readonly epoch: string;
  readonly owner: string | null;
  readonly claimed_at: Date | null;
  readonly next_position: string | null;
  readonly last_appended_at: Date | null;
  readonly commits: string;
  readonly claims: number;
  readonly halted_code: string | null;
  readonly halted_detail: string | null;
  readonly halted_at: Date | null;
  readonly consumer: string | null;
  readonly expires_at: Date | null;
  readonly expired: boolean | null;
}

interface ConsumerRow {
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  readonly started_at: Date;
  readonly expires_at: Date;
  readonly expired: boolean;
  readonly partitions: readonly number[];
}

function heldResource(row: HeldRow): HeldResource {
  return {
    resource: trustedKey(row.resource),
    partition: partition(row.partition),
    since: row.since,
    blocker:
      row.id === null ? null : { id: trustedCommandId(row.id), code: row.code ?? 'unknown', detail: row.detail ?? '' },
    behind: Math.max(0, row.parked - 1),
  };
}

function partitionStatus(row: PartitionRow): PartitionStatus {
  return {
    partition: partition(row.partition),
    epoch: epoch(row.epoch),
    owner: row.owner === null ? null : trustedUuid(row.owner),
    claimedAt: row.claimed_at,
    next: row.next_position === null ? null : position(row.next_position),
    lastAppendedAt: row.last_appended_at,
    commits: BigInt(row.commits),
    claims: row.claims,
    halted:
      row.halted_code === null || row.halted_at === null
        ? null
        : { code: row.halted_code, detail: row.halted_detail ?? '', at: row.halted_at },
    lease:
      row.consumer === null || row.expires_at === null
        ? null
        : { consumer: trustedUuid(row.consumer), expiresAt: row.expires_at, isExpired: row.expired === true },
  };
}

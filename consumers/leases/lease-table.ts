// Owns the SQL of leases and membership. Every time in it is the database's own clock.
import type pg from 'pg';
import { partition, trustedUuid, type Partition, type Uuid } from '../../shared/command/identity.ts';
import { quoted, type SchemaName } from '../../shared/postgres/schema-name.ts';
import type { LeaseView, ShareState } from './fair-share.ts';

export interface Member {
  readonly id: Uuid;
  readonly host: string;
  readonly pid: number;
}

/** One channel for all systems of a database; the payload is the schema. */
export const LEASES_CHANNEL = 'onelane_leases';

/** Statements commit one by one: no lock outlives its statement, so a frozen process blocks nobody. Errors are the caller's. */
export class LeaseTable {
  readonly #client: pg.Client;
  readonly #schema: SchemaName;
  readonly #at: string;
  readonly #me: Member;
  readonly #leaseMs: number;
  readonly #hasStoodStill: boolean;

  constructor(
    client: pg.Client,
    about: {
      readonly schema: SchemaName;
      readonly me: Member;
      readonly leaseMs: number;
      /** This process has been still for longer than a lease: whoever took it for dead may have been right about a command. */
      readonly hasStoodStill?: boolean;
    },
  ) {
    this.#client = client;
    this.#schema = about.schema;
    this.#at = quoted(about.schema);
    this.#me = about.me;
    this.#leaseMs = about.leaseMs;
    this.#hasStoodStill = about.hasStoodStill ?? false;
  }

  /** Says whether this consumer was not there before. */
  async renewMember(): Promise<'new' | 'known'> {
    const { rows } = await this.#client.query<{ isNew: boolean }>(
      `${this.#alive()}
       insert into ${this.#at}.consumer as c (id, host, pid, expires_at)
       values ($1, $3, $4, clock_timestamp() + $5 * interval '1 millisecond')
       on conflict (id) do update set expires_at = excluded.expires_at
       returning c.xmax = 0 as "isNew"`,
      [this.#me.id, !this.#hasStoodStill, this.#me.host, this.#me.pid, this.#leaseMs],
    );
    return rows[0]?.isNew === true ? 'new' : 'known';
  }

  /** Renews what is still ours, expired or not: while nobody else has taken it, it is nobody else's. Returns it. */
  async renew(partitions: readonly Partition[]): Promise<ReadonlySet<Partition>> {
    if (partitions.length === 0) return new Set();
    return new Set(await this.#claim(partitions, 'l.consumer = $1'));
  }

  /** Takes what is free, expired, or ours without our knowing it (an answer was lost). Returns what was taken. */
  async take(partitions: readonly Partition[]): Promise<readonly Partition[]> {
    if (partitions.length === 0) return [];
    return this.#claim(partitions, '(l.consumer is null or l.consumer = $1 or l.expires_at <= clock_timestamp())');
  }

  /** Takes whatever there is, from whoever has it. Returns what was taken: all that exist. */
  async seize(partitions: readonly Partition[]): Promise<readonly Partition[]> {
    if (partitions.length === 0) return [];
    return this.#claim(partitions, 'true');
  }

  async free(partitions: readonly Partition[]): Promise<void> {
    if (partitions.length === 0) return;
    await this.#client.query(
      `update ${this.#at}.lease
       set consumer = null, expires_at = null
       where consumer = $1 and partition = any($2::integer[])`,
      [this.#me.id, partitions],
    );
  }

  async leave(): Promise<void> {
    await this.#client.query(
      `${this.#alive()}
       delete from ${this.#at}.consumer where id = $1`,
      [this.#me.id, !this.#hasStoodStill],
    );
  }

  /** Everything from one snapshot. `expired`: there are consumers whose time is over. */
  async look(): Promise<ShareState & { readonly expired: boolean }> {
    const { rows } = await this.#client.query<{
      consumers: readonly string[];
      partitions: readonly number[];
      holders: readonly (string | null)[];
      expired: boolean;
    }>(
      `with moment as materialized (select clock_timestamp() as now)
       select
         array(select id::text from ${this.#at}.consumer where expires_at > moment.now) as consumers,
         array(select partition from ${this.#at}.lease order by partition) as partitions,
         array(
           select case when expires_at > moment.now then consumer::text end
           from ${this.#at}.lease
           order by partition
         ) as holders,
         exists(select from ${this.#at}.consumer where expires_at <= moment.now) as expired
       from moment`,
    );
    const view = rows[0];
    return {
      consumers: (view?.consumers ?? []).map(trustedUuid),
      leases: (view?.partitions ?? []).map((number, at) => leaseView(number, view?.holders[at])),
      expired: view?.expired ?? false,
    };
  }

  async deleteExpired(): Promise<void> {
    await this.#client.query(`delete from ${this.#at}.consumer where expires_at <= clock_timestamp()`);
  }

  /** Tells the others to look. A lost word costs them one regular turn. */
  async announce(): Promise<void> {
    await this.#client.query('select pg_notify($1, $2)', [LEASES_CHANNEL, this.#schema]);
  }

  /** Whoever speaks is not dead, whatever a claim made of its silence; unless it has stood still ($2). Waits for no lane: the next turn comes. */
  #alive(): string {
    return `with alive as (
         update ${this.#at}.tenure set marker_dead = array_remove(marker_dead, $1)
         where partition in (select partition from ${this.#at}.tenure where $2 and $1 = any(marker_dead) for update skip locked)
       )`;
  }

  /** Rows are locked in one order, so that two consumers that reach for the same ones never wait for each other in a circle. */
  async #claim(partitions: readonly Partition[], condition: string): Promise<readonly Partition[]> {
    const { rows } = await this.#client.query<{ partition: number }>(
      `with locked as materialized (
         select l.partition
         from ${this.#at}.lease as l
         where l.partition = any($2::integer[]) and ${condition}
         order by l.partition
         for update
       )
       update ${this.#at}.lease as l
       set consumer = $1, expires_at = clock_timestamp() + $3 * interval '1 millisecond'
       from locked
       where l.partition = locked.partition and ${condition}
       returning l.partition`,
      [this.#me.id, partitions, this.#leaseMs],
    );
    return rows.map((row) => partition(row.partition));
  }
}

function leaseView(number: number, holder: string | null | undefined): LeaseView {
  return { partition: partition(number), holder: holder === null || holder === undefined ? null : trustedUuid(holder) };
}

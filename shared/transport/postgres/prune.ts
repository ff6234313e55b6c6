// Owns forgetting: settled entries past the log's retention are deleted, in bounded steps, behind the lanes' backs.
import type { Partition, Position } from '../../command/identity.ts';
import { quoted, type SchemaName } from '../../postgres/schema-name.ts';
import { asError } from '../../process/errors.ts';
import type { Observe } from '../../process/events.ts';
import type { Clock } from '../../process/time.ts';
import type { LogClients } from './clients.ts';

const STEP_SEGMENTS_MAX = 100;
/** Between rounds: a fraction of the retention, within these bounds. */
const ROUND_MS = { min: 250, max: 60_000, ofRetention: 0.02 };

export interface PrunerGiven {
  readonly clients: LogClients;
  readonly schema: SchemaName;
  readonly retentionMs: number;
  readonly clock: Clock;
  readonly observe: Observe;
}

/**
 * idle     nothing settled since the last round
 * pruning  a round per pause, as long as lanes settle
 * closed   nothing is deleted any more
 */
export class LogPruner {
  readonly #given: PrunerGiven;
  readonly #statement: string;
  readonly #closing = new AbortController();
  readonly #settled = new Map<Partition, Position>();
  /** Everything before it is gone: index entries of deleted rows are not walked again and again. */
  readonly #from = new Map<Partition, number>();
  #pruning: Promise<void> | null = null;

  constructor(given: PrunerGiven) {
    this.#given = given;
    this.#statement = pruneStatement(given.schema);
  }

  /** A hint; never waits, never fails. */
  settled(partition: Partition, through: Position): void {
    if (this.#closing.signal.aborted) return;
    const before = this.#settled.get(partition);
    if (before !== undefined && before >= through) return;
    this.#settled.set(partition, through);
    this.#pruning ??= this.#pruneOn();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#pruning;
  }

  /** Never rejects. Goes on while entries are younger than the retention: their time comes. */
  async #pruneOn(): Promise<void> {
    const { retentionMs, clock } = this.#given;
    const pauseMs = Math.min(ROUND_MS.max, Math.max(ROUND_MS.min, retentionMs * ROUND_MS.ofRetention));
    for (;;) {
      await clock.sleep(pauseMs, this.#closing.signal);
      for (const [partition, through] of this.#settled) await this.#prunePartition(partition, through);
      if (this.#closing.signal.aborted) return;
    }
  }

  async #prunePartition(partition: Partition, through: Position): Promise<void> {
    let entries = 0;
    try {
      while (!this.#closing.signal.aborted) {
        const step = await this.#step(partition, through);
        entries += step.entries;
        if (step.segments < STEP_SEGMENTS_MAX) break;
      }
    } catch (cause) {
      if (this.#closing.signal.aborted) return;
      this.#given.observe({ kind: 'log-prune-failed', partition, cause: asError(cause) });
    }
    if (entries > 0) this.#given.observe({ kind: 'log-pruned', partition, entries });
  }

  async #step(
    partition: Partition,
    through: Position,
  ): Promise<{ readonly segments: number; readonly entries: number }> {
    const from = this.#from.get(partition) ?? -1;
    const { clients, retentionMs } = this.#given;
    const { rows } = await clients.use((client) =>
      client.query<{ segments: number; entries: number; last: string | null }>(this.#statement, [
        partition,
        from,
        through,
        retentionMs,
      ]),
    );
    const step = rows[0];
    if (step === undefined) return { segments: 0, entries: 0 };
    if (step.last !== null) this.#from.set(partition, Number(step.last));
    return step;
  }
}

/**
 * Strictly before the last settled entry: its segment stays, a lane begins there. What settles is only a hint, and may stem from
 * before the database went back in time; what this database itself calls applied decides.
 */
function pruneStatement(schema: SchemaName): string {
  const table = `${quoted(schema)}.log_segment`;
  return `
with oldest as (
  select last_position, appended_at
  from ${table}
  where partition = $1
    and last_position > $2
    and last_position < least($3, (select last_position from ${quoted(schema)}.tenure where partition = $1))
  order by last_position
  limit ${STEP_SEGMENTS_MAX}
),
gone as (
  delete from ${table}
  where partition = $1
    and last_position in (
      select last_position from oldest where appended_at < clock_timestamp() - $4 * interval '1 millisecond'
    )
  returning last_position, entries
)
select count(*)::int as segments, coalesce(sum(entries), 0)::int as entries, max(last_position) as last
from gone`;
}

// Owns claiming: one update raises the epoch; it waits for a commit in flight, and ends the session of a holder that does not move.
import type pg from 'pg';
import { epoch, position, trustedEntryHash, type Partition, type Uuid } from '../../../shared/command/identity.ts';
import { quoted } from '../../../shared/postgres/schema-name.ts';
import { LANE_SESSION_NAME } from '../../../shared/postgres/database.ts';
import { asError, invariant } from '../../../shared/process/errors.ts';
import type { Tenure } from '../batch-store.ts';
import { BEGIN, COMMIT, Flush, requireCommitted, statement, type TextRow } from './flush.ts';
import { withLaneClient } from './lane-client.ts';
import type { StoreParts } from './store.ts';

/** A holder that works commits in far less. With a lease and a turn before it, a successor must still be in within ten seconds. */
const PATIENCE_MS = 4_000;
/** Sessions that are ended take a moment to let go; and behind the first another may stand. */
const LOOK_AGAIN_MS = 1_000;
/** Longer than everything that a lane's session may take; then the caller waits as in an outage. */
const CLAIM_LOCK_MS = 20_000;
const CLAIM_STATEMENT_MS = 25_000;

const PATIENT = statement(
  `select set_config('lock_timeout', '${CLAIM_LOCK_MS}', true), set_config('statement_timeout', '${CLAIM_STATEMENT_MS}', true)`,
);

/** The tenure is ours when this resolves; nobody else's commit can follow. */
export async function claimTenure(
  parts: StoreParts,
  partition: Partition,
  by: { readonly owner: Uuid; readonly contractHash: string },
): Promise<Tenure> {
  const claimed = await withLaneClient(parts.lanePool, async (client) => {
    const done = new AbortController();
    const watched = endBlockers(parts, partition, client, done.signal);
    try {
      const flush = new Flush(client);
      flush.send(BEGIN);
      flush.send(PATIENT);
      const updated = flush.send(claimStatement(quoted(parts.database.schema)), [
        ...[partition, by.owner, by.contractHash],
        parts.consumer,
      ]);
      const committed = flush.send(COMMIT);
      const answers = await flush.answers();
      requireCommitted(answers[committed]);
      return answers[updated]?.rows[0];
    } finally {
      done.abort();
      await watched;
    }
  });
  invariant(claimed !== undefined, `there is a tenure row for partition ${partition}`);
  parts.unconfirmed.forget(partition);
  return tenureOf(partition, by.owner, claimed);
}

/**
 * The position comes from the returned row, never from a sub-query: that one would read what stood before the wait. The consumer that held
 * the tenure at a marker is said to have died of it, unless it gave the tenure back or is this one: an outage kept it from giving it back.
 */
const claimStatement = (schema: string) =>
  statement(`
update ${schema}.tenure set
  epoch = epoch + 1,
  owner = $2::uuid,
  consumer = $4::uuid,
  claimed_at = now(),
  contract_hash = $3,
  claims = claims + 1,
  marker_dead = case
    when marker is null then '{}'
    when consumer is null or consumer = $4::uuid then array_remove(marker_dead, $4::uuid)
    else array_remove(array_remove(marker_dead, $4::uuid), consumer) || consumer
  end,
  halted_code = null,
  halted_detail = null,
  halted_at = null
where partition = $1
returning epoch::text, commits::text, next_position::text, last_position::text, encode(last_hash, 'hex'), claims::text,
  encode(marker, 'hex'), cardinality(marker_dead)::text`);

function tenureOf(partition: Partition, owner: Uuid, row: TextRow): Tenure {
  const [epochText, commitsText, next, last, lastHash, claims, marker, deaths] = row;
  const commits = BigInt(commitsText ?? '0');
  return {
    partition,
    epoch: epoch(epochText ?? '0'),
    owner,
    commits,
    resume: {
      next: typeof next === 'string' ? position(next) : null,
      last:
        typeof last === 'string' && typeof lastHash === 'string'
          ? { position: position(last), hash: trustedEntryHash(lastHash) }
          : null,
      commits,
    },
    claims: Number(claims),
    marker: typeof marker === 'string' ? { entry: trustedEntryHash(marker), deaths: Number(deaths) } : null,
  };
}

/** Runs beside the claim until it is done. Never rejects: the claim itself tells how it went. */
async function endBlockers(
  parts: StoreParts,
  partition: Partition,
  client: pg.PoolClient,
  done: AbortSignal,
): Promise<void> {
  const session = sessionOf(client);
  for (let waitMs = PATIENCE_MS; session !== null && !done.aborted; waitMs = LOOK_AGAIN_MS) {
    await parts.clock.sleep(waitMs, done);
    if (done.aborted) return;
    try {
      const ended = await parts.database.pool.query<{ pid: number }>(END_BLOCKERS, [session, LANE_SESSION_NAME]);
      for (const { pid } of ended.rows) parts.observe({ kind: 'holder-terminated', partition, pid });
    } catch (cause) {
      // As good as nobody blocking: at the next look, or when the claim's own wait ends, it shows again.
      parts.observe({ kind: 'connection-lost', what: 'database', cause: asError(cause) });
    }
  }
}

/**
 * Of the sessions that keep ours waiting, directly or through others, those that wait for nobody themselves and are a lane's. Ending and not
 * cancelling: a session whose client does not read its result hears no cancel.
 */
const END_BLOCKERS = `
with recursive waiting as (
  select unnest(pg_blocking_pids($1::integer)) as pid
  union
  select unnest(pg_blocking_pids(waiting.pid)) from waiting
), -- materialized: nobody is ended before the conditions have been looked at
blockers as materialized (
  select a.pid
  from waiting w
  join pg_stat_activity a on a.pid = w.pid
  where a.application_name = $2
    and a.pid <> $1::integer
    and cardinality(pg_blocking_pids(a.pid)) = 0
)
select pid
from blockers
where pg_terminate_backend(pid)`;

/** The server's process of this connection, as the server told the driver; its types do not know it. */
function sessionOf(client: pg.PoolClient): number | null {
  const session: unknown = Reflect.get(client, 'processID');
  return typeof session === 'number' ? session : null;
}

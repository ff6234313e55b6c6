// Owns the two small writes of a tenure between batches: the marker of an entry under suspicion, and giving the tenure up.
import type pg from 'pg';
import { quoted } from '../../../shared/postgres/schema-name.ts';
import type { EntryHash } from '../../../shared/command/identity.ts';
import { invariant } from '../../../shared/process/errors.ts';
import type { Tenure } from '../batch-store.ts';
import {
  answersBehindFence,
  fenceValues,
  hashBytes,
  judgeFence,
  sendFence,
  unexplained,
  type Fenced,
} from './fence.ts';
import { COMMIT, Flush, requireCommitted, statement, type Statement } from './flush.ts';
import { rollBack, withLaneClient } from './lane-client.ts';
import type { StoreParts } from './store.ts';
import type { Work } from './unconfirmed.ts';

/** The dead are those of one entry; another one begins with none. */
const markStatement = (schema: string): Statement =>
  statement(`
update ${schema}.tenure set
  marker_dead = case when marker = $5::bytea then marker_dead else '{}' end,
  marker = $5::bytea,
  commits = commits + 1
where partition = $1
  and epoch = $2
  and owner = $3
  and commits = $4`);

/**
 * The count of commits is not compared: a COMMIT whose answer was lost is no reason to keep the tenure. The count of claims forgets this one
 * and no more, and the marker stays: who gives back before progress, as at any change of shares, says nothing about those that died.
 */
const releaseStatement = (schema: string): Statement =>
  statement(`
update ${schema}.tenure set
  owner = null,
  consumer = null,
  claims = greatest(claims - 1, 0)
where partition = $1
  and epoch = $2
  and owner = $3
  and commits >= $4`);

export async function markEntry(parts: StoreParts, tenure: Tenure, entry: EntryHash): Promise<Tenure> {
  const work: Work = { kind: 'mark', entry };
  return withLaneClient(parts.lanePool, async (client) => {
    const { ahead } = await fence(client, parts, tenure);
    if (ahead > 0n) {
      const recovered = parts.unconfirmed.recover(tenure, work);
      if (recovered === null) throw unexplained(tenure);
      await rollBack(client);
      return recovered.tenure;
    }
    const deaths = tenure.marker?.entry === entry ? tenure.marker.deaths : 0;
    const commits = tenure.commits + 1n;
    const next: Tenure = { ...tenure, commits, resume: { ...tenure.resume, commits }, marker: { entry, deaths } };
    parts.unconfirmed.remember(tenure, work, { plans: [], tenure: next });
    const second = new Flush(client);
    second.send(markStatement(quoted(parts.database.schema)), [...fenceValues(tenure), hashBytes(entry)]);
    const committed = second.send(COMMIT);
    const answers = await second.answers();
    requireCommitted(answers[committed]);
    invariant(answers[0]?.count === 1, 'the tenure row is marked while it is locked');
    parts.unconfirmed.forget(tenure.partition);
    return next;
  });
}

export async function releaseTenure(parts: StoreParts, tenure: Tenure): Promise<void> {
  await withLaneClient(parts.lanePool, async (client) => {
    await fence(client, parts, tenure);
    const second = new Flush(client);
    second.send(releaseStatement(quoted(parts.database.schema)), fenceValues(tenure));
    const committed = second.send(COMMIT);
    requireCommitted((await second.answers())[committed]);
  });
  parts.unconfirmed.forget(tenure.partition);
}

/** Those who are said to have died and have not shown up since; of another holder's tenure none, for that one will see to it. */
export async function readDeaths(parts: StoreParts, tenure: Tenure): Promise<number> {
  const { rows } = await parts.database.pool.query<{ deaths: number }>(
    `select cardinality(marker_dead) as deaths
     from ${quoted(parts.database.schema)}.tenure
     where partition = $1 and epoch = $2 and owner = $3`,
    [tenure.partition, String(tenure.epoch), tenure.owner],
  );
  return rows[0]?.deaths ?? 0;
}

async function fence(client: pg.PoolClient, parts: StoreParts, tenure: Tenure): Promise<Fenced> {
  const flush = new Flush(client);
  const at = sendFence(flush, parts.fence.lock, tenure);
  return judgeFence((await answersBehindFence(flush, at))[at], tenure);
}

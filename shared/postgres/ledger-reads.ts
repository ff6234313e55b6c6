// Owns reading outcomes: what became of commands, from the ledger and from what is parked.
import {
  revision,
  trustedCommandId,
  trustedContent,
  trustedKey,
  type CommandId,
  type Json,
} from '../command/identity.ts';
import type { FailureCode } from '../command/failure.ts';
import type { Outcome, RecordedOutcome } from '../command/outcome.ts';
import { invariant } from '../process/errors.ts';
import type { Database } from './database.ts';
import { quoted } from './schema-name.ts';

const IDS_PER_QUERY_MAX = 5_000;

interface OutcomeRow {
  readonly id: string;
  readonly resource: string;
  readonly content: string;
  readonly outcome: 'applied' | 'rejected' | 'discarded' | 'parked';
  /** Of the resource; of a parked command its number. */
  readonly revision: string;
  readonly code: string | null;
  readonly detail: string | null;
  readonly reply: string | null;
}

/** In no order; ids without an outcome are missing; an id that several resources used has one for each. */
export async function readOutcomes(db: Database, ids: readonly CommandId[]): Promise<readonly RecordedOutcome[]> {
  const found: RecordedOutcome[] = [];
  for (let at = 0; at < ids.length; at += IDS_PER_QUERY_MAX) {
    const { rows } = await db.pool.query<OutcomeRow>({
      // Named: planning it anew would take longer than reading.
      name: 'onelane-outcomes',
      text: readOutcomesSql(db),
      values: [ids.slice(at, at + IDS_PER_QUERY_MAX)],
    });
    found.push(...rows.map(recordedOutcome));
  }
  return found;
}

/** One statement, so that a command that is being replayed is seen as parked or as applied, never as neither. */
const readOutcomesSql = (db: Database): string => `
select id, resource, encode(content, 'hex') as content, outcome, revision, code, detail, reply
from ${quoted(db.schema)}.ledger
where id = any($1::uuid[])
union all
select id, resource, encode(content, 'hex'), 'parked', number, code, detail, null
from ${quoted(db.schema)}.parked
where id = any($1::uuid[])`;

function recordedOutcome(row: OutcomeRow): RecordedOutcome {
  return {
    id: trustedCommandId(row.id),
    key: trustedKey(row.resource),
    content: trustedContent(row.content),
    outcome: outcomeOf(row),
  };
}

function outcomeOf(row: OutcomeRow): Outcome {
  const detail = row.detail ?? '';
  switch (row.outcome) {
    case 'applied':
      return { kind: 'applied', revision: revision(row.revision), reply: replyOf(row.reply) };
    case 'rejected':
      invariant(row.code !== null, 'a rejection in the ledger has a code');
      return { kind: 'rejected', revision: revision(row.revision), code: row.code, detail };
    case 'parked':
      // Only lanes write this column, and what they write is a FailureCode.
      return { kind: 'parked', code: row.code as FailureCode, detail, number: Number(row.revision) };
    case 'discarded':
      return { kind: 'discarded', detail };
  }
}

function replyOf(text: string | null): Json | null {
  // What a lane stored is the print of a Json.
  return text === null ? null : (JSON.parse(text) as Json);
}

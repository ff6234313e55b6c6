// Owns the fence: the tenure row locked first and compared with what the lane last saw of it; and the row's new form at the end.
import pg from 'pg';
import { position, type EntryHash } from '../../../shared/command/identity.ts';
import { invariant } from '../../../shared/process/errors.ts';
import { DatabaseWentBack, TenureLost, type Plan, type Tenure } from '../batch-store.ts';
import { BEGIN, FlushFailed, statement, type Answer, type Flush, type Statement } from './flush.ts';

export interface FenceStatements {
  readonly lock: Statement;
  readonly advance: Statement;
}

export function fenceStatements(schema: string): FenceStatements {
  return {
    // A statement of its own: what is recalled after it has a snapshot that began behind the lock.
    lock: statement(`
select epoch::text, owner::text, commits::text, strays::text
from ${schema}.tenure
where partition = $1
for update`),
    advance: statement(`
update ${schema}.tenure set
  commits = commits + 1,
  next_position = coalesce($5::bigint, next_position),
  last_position = coalesce($6::bigint, last_position),
  last_hash = coalesce($7::bytea, last_hash),
  last_appended_at = coalesce($8::timestamptz, last_appended_at),
  strays = strays + $9::bigint,
  claims = case when $10::boolean then 0 else claims end,
  marker = case when $10::boolean then null else marker end,
  marker_dead = case when $10::boolean then '{}' else marker_dead end
where partition = $1
  and epoch = $2
  and owner = $3
  and commits = $4`),
  };
}

/** Begins the transaction; returns where the fence's answer will stand. */
export function sendFence(flush: Flush, lock: Statement, tenure: Tenure): number {
  flush.send(BEGIN);
  return flush.send(lock, [tenure.partition]);
}

/** The statement timeout at the fence is somebody else's slowness, so never a reason to doubt the batch. */
export async function answersBehindFence(flush: Flush, fenceAt: number): Promise<readonly Answer[]> {
  try {
    return await flush.answers();
  } catch (thrown) {
    if (!(thrown instanceof FlushFailed) || thrown.at > fenceAt || sqlstateOf(thrown.reason) !== '57014') throw thrown;
    throw new Error('waiting for the tenure row took longer than the statement timeout', { cause: thrown.reason });
  }
}

function sqlstateOf(error: Error): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

/** What the fence found, of use to the transaction behind it. */
export interface Fenced {
  /** Commits that the database has and the lane does not know of: 0, or 1 after a COMMIT whose answer was lost. */
  readonly ahead: bigint;
  /** Strays of this partition so far; the next one's number is one more. */
  readonly strays: bigint;
}

/** Throws TenureLost or DatabaseWentBack; then the transaction must not go on. */
export function judgeFence(answer: Answer | undefined, tenure: Tenure): Fenced {
  const [epoch, owner, commits, strays] = answer?.rows[0] ?? [];
  const where = `partition ${tenure.partition}`;
  invariant(typeof epoch === 'string' && typeof commits === 'string', `there is a tenure row for ${where}`);
  if (BigInt(epoch) < tenure.epoch) {
    throw new DatabaseWentBack(
      `the database holds epoch ${epoch} of ${where}, before ours (${tenure.epoch}): claim anew`,
    );
  }
  if (BigInt(epoch) !== tenure.epoch || owner !== tenure.owner) {
    throw new TenureLost(`another holder has ${where}: epoch ${epoch} stands where ours was ${tenure.epoch}`);
  }
  const ahead = BigInt(commits) - tenure.commits;
  if (ahead < 0n) {
    throw new DatabaseWentBack(
      `the database holds ${commits} commits of ${where} where we had seen ${tenure.commits}: it was rolled back, claim anew`,
    );
  }
  return { ahead, strays: BigInt(strays ?? '0') };
}

/** When the database is ahead and nothing that we sent explains it. */
export function unexplained(tenure: Tenure): TenureLost {
  return new TenureLost(
    `the database holds more commits of partition ${tenure.partition} than the ${tenure.commits} we know of: claim anew`,
  );
}

/** The tenure as `sendAdvance` will have left it. */
export function advanced(tenure: Tenure, plans: readonly Plan[]): Tenure {
  const through = lastThrough(plans);
  const commits = tenure.commits + 1n;
  const resume =
    through === null
      ? { ...tenure.resume, commits }
      : { next: position(through.position + 1n), last: { position: through.position, hash: through.hash }, commits };
  return isProgress(plans) ? { ...tenure, commits, resume, claims: 0, marker: null } : { ...tenure, commits, resume };
}

export function sendAdvance(flush: Flush, advance: Statement, tenure: Tenure, plans: readonly Plan[]): void {
  const through = lastThrough(plans);
  flush.send(advance, [
    ...fenceValues(tenure),
    through === null ? null : String(through.position + 1n),
    through === null ? null : String(through.position),
    through === null ? null : hashBytes(through.hash),
    through === null ? null : through.appendedAt.toISOString(),
    plans.reduce((sum, plan) => sum + plan.strays.length, 0),
    isProgress(plans) ? 'true' : 'false',
  ]);
}

/** Partition, epoch, owner and commits: what every conditional write of the tenure row names. */
export function fenceValues(tenure: Tenure): readonly (string | number)[] {
  return [tenure.partition, String(tenure.epoch), tenure.owner, String(tenure.commits)];
}

export function hashBytes(hash: EntryHash): string {
  return `\\x${hash}`;
}

function lastThrough(plans: readonly Plan[]): Plan['through'] {
  return plans.findLast((plan) => plan.through !== null)?.through ?? null;
}

function isProgress(plans: readonly Plan[]): boolean {
  return plans.length > 0 && plans.every((plan) => plan.progress === 'yes');
}

// Owns GET /v1/resources/{type}/{id}: the state as its row holds it, and reading one's own writes.
import type { FastifyReply } from 'fastify';
import { commandIdOf, isResourceTypeName, resourceKey, subjectFault } from '../../shared/command/identity.ts';
import { partitionOf } from '../../shared/command/routing.ts';
import { asError } from '../../shared/process/errors.ts';
import type { AnyResourceType } from '../../shared/resources/resource-type.ts';
import { SOURCE_DEFAULT } from '../draft.ts';
import type { Sought } from '../judge.ts';
import { readResource } from '../resource-read.ts';
import { find } from './commands.ts';
import type { HttpGiven } from './http-given.ts';
import { problem, STATUS, type Problem } from './problem.ts';
import { JSON_TYPE, sendProblem } from './reply.ts';

export interface ResourceQuestion {
  readonly type: string;
  readonly subject: string;
  /** The command whose effect must be in what is read. */
  readonly after: string | undefined;
  readonly source: string | undefined;
  readonly waitMs: number;
}

export async function getResource(
  given: HttpGiven & { readonly partitions: number },
  reply: FastifyReply,
  question: ResourceQuestion,
): Promise<FastifyReply> {
  const { type, subject } = question;
  const resource = isResourceTypeName(type) ? given.types.get(type) : undefined;
  if (resource === undefined)
    return sendProblem(reply, problem('resource-unknown', `There is no resource type "${type}".`));
  const wrong = subjectWrong(resource, subject);
  if (wrong !== null) return sendProblem(reply, wrong);
  if (question.after !== undefined) {
    const key = resourceKey(resource.contract.type, subject);
    const id = commandIdOf(question.after, question.source ?? SOURCE_DEFAULT);
    const partition = partitionOf(key, given.partitions);
    const early = await notYet(given, reply, {
      sought: { id, key, content: null, partition, position: null },
      question,
    });
    if (early !== null) return sendProblem(reply, early);
  }
  return sendState(given, reply, { resource, subject });
}

function subjectWrong(resource: AnyResourceType, subject: string): Problem | null {
  const invalid = subjectFault(subject);
  if (invalid !== null) return problem('subject-invalid', `${invalid}.`);
  const canonical = resource.rows.canonicalSubject(subject);
  if (canonical === subject) return null;
  if (canonical === null)
    return problem('resource-unknown', `"${subject}" cannot be the key of such a resource${slashed(subject)}.`);
  return problem('subject-not-canonical', `"${subject}" is written "${canonical}".`);
}

/** Slashes may stand in an id, so one at the end of a path is taken as it is. */
function slashed(subject: string): string {
  return subject.endsWith('/') ? ': the slash at its end is part of the id' : '';
}

/** Why the effect of the command cannot be read, or null: it has its outcome. */
async function notYet(
  given: HttpGiven,
  reply: FastifyReply,
  { sought, question }: { readonly sought: Sought; readonly question: ResourceQuestion },
): Promise<Problem | null> {
  const seen = await find(given, reply, { sought, waitMs: question.waitMs });
  const more = { id: sought.id };
  if (seen === null) return problem('refused-busy', 'Too many requests are waiting.', more);
  switch (seen.kind) {
    case 'outcome':
      return seen.recorded.outcome.kind === 'parked'
        ? problem('command-parked', `${seen.recorded.outcome.detail}.`, more)
        : null;
    case 'away':
      return problem('database-away', 'The ledger cannot be read.', more);
    default:
      return problem(
        'outcome-pending',
        `Command ${sought.id} has no outcome for ${question.type}/${question.subject}.`,
        more,
      );
  }
}

async function sendState(
  given: HttpGiven,
  reply: FastifyReply,
  { resource, subject }: { readonly resource: AnyResourceType; readonly subject: string },
): Promise<FastifyReply> {
  try {
    const row = await inPatience(given, readResource(given.database, resource.rows, subject));
    if (row === null)
      return sendProblem(
        reply,
        problem('resource-unknown', `There is no ${resource.contract.type}/${subject}${slashed(subject)}.`),
      );
    reply.header('etag', `"${row.revision}"`).header('cache-control', 'no-cache');
    return reply.code(STATUS.ok).header('content-type', JSON_TYPE).send(stateText(row.state));
  } catch (thrown) {
    const cause = asError(thrown);
    given.observe({ kind: 'request-failed', code: 'database-away', cause });
    return sendProblem(reply, problem('database-away', 'The resource cannot be read.'));
  }
}

/** A database that takes the question and never answers is away, too. */
const PATIENCE_MS = 5_000;

/** Inside this room only. */
class DatabaseSilent extends Error {}

async function inPatience<T>({ clock }: HttpGiven, work: Promise<T>): Promise<T> {
  const answered = new AbortController();
  const silence = clock.sleep(PATIENCE_MS, answered.signal).then(() => {
    if (!answered.signal.aborted) throw new DatabaseSilent(`no answer came within ${PATIENCE_MS} ms`);
    return work;
  });
  // An answer that comes too late is nobody's.
  work.catch(() => undefined);
  silence.catch(() => undefined);
  try {
    return await Promise.race([work, silence]);
  } finally {
    answered.abort();
  }
}

/** Numbers that a double cannot hold are strings, as are bytes (base64) and dates (ISO 8601). */
function stateText(state: unknown): string {
  return (
    JSON.stringify(state, (_name, value: unknown) => {
      if (typeof value === 'bigint') return String(value);
      return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;
    }) ?? 'null'
  );
}

// Owns POST /v1/commands for one command, and GET /v1/commands/{id}.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { commandIdOf, trustedKey } from '../../shared/command/identity.ts';
import { readDraft, SOURCE_DEFAULT, type Draft } from '../draft.ts';
import { fault, isFault, type Fault } from '../fault.ts';
import type { Seen, Sought } from '../judge.ts';
import type { Waiting } from '../outcome-watch.ts';
import type { Submission } from '../partition-queue.ts';
import type { Sealed } from '../seal.ts';
import { parseAfter, printAfter, type After } from './after-token.ts';
import type { HttpGiven } from './http-given.ts';
import { outcomeDocument, refusalOf } from './outcome-document.ts';
import { pointed, problem, STATUS, type Problem } from './problem.ts';
import { sendJson, sendProblem, whenCallerGoes } from './reply.ts';
import { readCommandHeaders, type CommandHeaders } from './request-headers.ts';

/** How long a command without a position is taken for not reached yet. */
const PENDING_WITHOUT_POSITION_MS = 10 * 60_000;

export function problemOfFault(given: Fault): Problem {
  return pointed(given.code, `${given.detail}.`, given.pointers);
}

/** One command, parsed from the body. */
export async function postOne(given: HttpGiven, exchange: Exchange, raw: unknown): Promise<FastifyReply> {
  const { request, reply } = exchange;
  const headers = readCommandHeaders(request.headers, given.limits.waitMs);
  if (isFault(headers)) return sendProblem(reply, problemOfFault(headers));
  const draft = withHeaders(readDraft(raw, exchange.form), headers);
  const sealed = isFault(draft) ? draft : given.submitter.seal(draft);
  if (isFault(sealed)) return sendProblem(reply, problemOfFault(sealed));
  const reused = headers.idempotencyKey === null ? null : await keyReused(given, sealed);
  if (reused !== null) return sendProblem(reply, reused);
  if (headers.waitMs > 0) return submitAndWait(given, { reply, sealed, headers });
  const submission = await given.submitter.submit(sealed);
  if (submission.kind !== 'accepted') return sendProblem(reply, problemOfSubmission(submission, sealed));
  return sendAccepted(given, reply, { sealed, submission, status: 'accepted' });
}

export interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly form: 'either' | 'event';
}

function withHeaders(draft: Draft | Fault, headers: CommandHeaders): Draft | Fault {
  if (isFault(draft)) return draft;
  const { idempotencyKey, expectedRevision, traceparent } = headers;
  if (idempotencyKey === null && expectedRevision === null && traceparent === null) return draft;
  if (idempotencyKey !== null && draft.id !== undefined) {
    return fault('idempotency-key-invalid', 'The command has an id and an Idempotency-Key: send one of them');
  }
  if (
    expectedRevision !== null &&
    draft.expectedRevision !== undefined &&
    draft.expectedRevision !== expectedRevision
  ) {
    return fault('precondition-invalid', 'The header and the command expect different revisions');
  }
  return {
    ...draft,
    // Never a UUID as it stands: the id depends on the caller.
    id: idempotencyKey === null ? draft.id : `idempotency-key:${idempotencyKey}`,
    expectedRevision: expectedRevision ?? draft.expectedRevision,
    traceparent: draft.traceparent ?? traceparent ?? undefined,
  };
}

/** An early "no" where the ledger knows the key already; the lane is the one that decides. */
async function keyReused(given: HttpGiven, sealed: Sealed): Promise<Problem | null> {
  const seen = await given.watch.look({ ...soughtOf(sealed), partition: null });
  if (seen === null || (seen.kind !== 'id-reused' && seen.kind !== 'elsewhere')) return null;
  return problem('idempotency-key-reused', 'This Idempotency-Key stands for another command.', { id: sealed.id });
}

interface WaitingSubmission {
  readonly reply: FastifyReply;
  readonly sealed: Sealed;
  readonly headers: CommandHeaders;
}

/** The waiter is there before the command is: its outcome cannot be missed. */
async function submitAndWait(given: HttpGiven, { reply, sealed, headers }: WaitingSubmission): Promise<FastifyReply> {
  const waiting = given.watch.wait(soughtOf(sealed), { waitMs: headers.waitMs, begun: 'before-publish' });
  if (waiting === null) return sendProblem(reply, problem('refused-busy', 'Too many requests are waiting.'));
  const stopWatching = whenCallerGoes(reply, waiting.cancel);
  try {
    const submission = await given.submitter.submit(sealed);
    if (submission.kind !== 'accepted') return sendProblem(reply, problemOfSubmission(submission, sealed));
    waiting.acceptedAt(submission.position);
    const seen = await waiting.seen;
    reply.header('preference-applied', `wait=${headers.waitMs / 1_000}`);
    return sendSeen(given, reply, { sealed, submission, seen, headers });
  } finally {
    stopWatching();
    waiting.cancel();
  }
}

interface SeenSubmission {
  readonly sealed: Sealed;
  readonly submission: Submission & { readonly kind: 'accepted' };
  readonly seen: Seen;
  readonly headers: CommandHeaders;
}

function sendSeen(
  given: HttpGiven,
  reply: FastifyReply,
  { sealed, submission, seen, headers }: SeenSubmission,
): FastifyReply {
  if (seen.kind === 'id-reused') {
    const code = headers.idempotencyKey === null ? 'id-reused' : 'idempotency-key-reused';
    return sendProblem(reply, problem(code, 'The id stands for another command.', { id: sealed.id }));
  }
  if (seen.kind !== 'outcome') return sendAccepted(given, reply, { sealed, submission, status: 'pending' });
  const refusal = refusalOf(seen.recorded);
  if (refusal !== null) return sendProblem(reply, refusal);
  const { href } = accepted(given, { sealed, submission, status: 'accepted' });
  const status = seen.recorded.outcome.kind === 'parked' ? STATUS.accepted : STATUS.ok;
  return sendJson(reply.header('location', href), status, { ...outcomeDocument(seen.recorded), href });
}

interface AcceptedSubmission {
  readonly sealed: Sealed;
  readonly submission: Submission & { readonly kind: 'accepted' };
  readonly status: 'accepted' | 'pending';
}

function sendAccepted(given: HttpGiven, reply: FastifyReply, done: AcceptedSubmission): FastifyReply {
  const document = accepted(given, done);
  return sendJson(reply.header('location', document.href), STATUS.accepted, document);
}

function accepted(given: HttpGiven, { sealed, submission, status }: AcceptedSubmission) {
  const { id, type, subject, partition, key, content } = sealed;
  const { position } = submission;
  const after = printAfter({ partition, position, key, content, issuedMs: given.clock.now().getTime() });
  const href = `/v1/commands/${id}?after=${after}`;
  return { id, type, subject, partition, position: position === null ? null : Number(position), status, href };
}

export function problemOfSubmission(submission: Exclude<Submission, { kind: 'accepted' }>, sealed: Sealed): Problem {
  const more = { id: sealed.id };
  switch (submission.kind) {
    case 'refused-busy':
      return problem('refused-busy', 'Too many commands are in flight.', more);
    case 'resource-held':
      return problem('resource-held', `As many commands as may be are parked for ${sealed.key}.`, more);
    case 'not-attempted':
      return problem('not-accepted', 'An earlier command of this resource was not stored.', more);
    case 'not-accepted':
      return problem('not-accepted', `${submission.reason}.`, more);
    case 'outcome-unknown':
      return problem('outcome-unknown', `${submission.cause.message}.`, more);
  }
}

function soughtOf(sealed: Sealed): Sought {
  return { id: sealed.id, key: sealed.key, content: sealed.content, partition: sealed.partition, position: null };
}

export interface CommandQuestion {
  readonly id: string;
  readonly waitMs: number;
  readonly after: string | undefined;
  readonly resource: string | undefined;
  readonly source: string | undefined;
}

/** What became of a command. */
export async function getCommand(
  given: HttpGiven,
  reply: FastifyReply,
  question: CommandQuestion,
): Promise<FastifyReply> {
  const after = question.after === undefined ? null : parseAfter(question.after);
  if (after === null && question.after !== undefined) {
    return sendProblem(reply, problem('after-invalid', 'The token was not made by this system.'));
  }
  const sought: Sought = {
    id: commandIdOf(question.id, question.source ?? SOURCE_DEFAULT),
    key: after?.key ?? (question.resource === undefined ? null : trustedKey(question.resource)),
    content: after?.content ?? null,
    partition: after?.partition ?? null,
    position: after?.position ?? null,
  };
  const seen = await find(given, reply, { sought, waitMs: question.waitMs });
  if (seen === null) return sendProblem(reply, problem('refused-busy', 'Too many requests are waiting.'));
  return answerQuestion(given, reply, { question, sought, after, seen });
}

/** Waits for an outcome as long as it may, then looks once more to tell "not yet" from "never". */
export async function find(
  given: HttpGiven,
  reply: FastifyReply,
  { sought, waitMs }: { readonly sought: Sought; readonly waitMs: number },
): Promise<Seen | null> {
  if (waitMs > 0) {
    const waiting: Waiting | null = given.watch.wait(sought, { waitMs, begun: 'after-publish' });
    if (waiting === null) return null;
    const stopWatching = whenCallerGoes(reply, waiting.cancel);
    const seen = await waiting.seen;
    stopWatching();
    if (seen.kind === 'outcome' || seen.kind === 'id-reused') return seen;
  }
  return given.watch.look(sought);
}

function answerQuestion(
  given: HttpGiven,
  reply: FastifyReply,
  {
    question,
    sought,
    after,
    seen,
  }: {
    readonly question: CommandQuestion;
    readonly sought: Sought;
    readonly after: After | null;
    readonly seen: Seen;
  },
): FastifyReply {
  const more = { id: sought.id };
  switch (seen.kind) {
    case 'outcome':
      return sendJson(reply, STATUS.ok, outcomeDocument(seen.recorded));
    case 'pending':
      return sendPending(reply, sought);
    case 'id-reused':
      return sendProblem(reply, problem('id-reused', 'The id stands for another command.', more));
    case 'away':
      given.observe({ kind: 'request-failed', code: 'database-away', cause: seen.cause });
      return sendProblem(reply, problem('database-away', 'The ledger cannot be read.', more));
    case 'elsewhere':
      if (sought.key === null) {
        return sendProblem(
          reply,
          problem('command-ambiguous', 'This id is used more than once.', { ...more, resources: seen.keys }),
        );
      }
      break;
    case 'nothing':
      break;
  }
  // Without a position nobody can say how far the lane has come: for some time, "not yet" is the likelier truth.
  const age = after?.position === null ? given.clock.now().getTime() - after.issuedMs : Infinity;
  if (age < PENDING_WITHOUT_POSITION_MS) return sendPending(reply, sought);
  return sendProblem(reply, problem('command-unknown', unknownCommand(question, sought), more));
}

/** An id of the caller's own stands for itself only together with its source. */
function unknownCommand({ id, source }: CommandQuestion, sought: Sought): string {
  if (id.toLowerCase() === sought.id) return `No outcome is known for ${sought.id}.`;
  const from =
    source === undefined ? 'without a source: if it was sent with one, add ?source=' : `from source "${source}"`;
  return `No outcome is known for id "${id}" ${from}.`;
}

function sendPending(reply: FastifyReply, { id, key, partition, position }: Sought): FastifyReply {
  const at = position === null ? null : Number(position);
  return sendJson(reply, STATUS.ok, { id, resource: key, status: 'pending', partition, position: at });
}

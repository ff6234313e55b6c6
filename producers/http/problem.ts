// Owns the problem documents (RFC 9457), and is the only file that knows HTTP status numbers.
import type { FaultCode } from '../fault.ts';
import type { PointedFault } from '../../shared/command/json-fault.ts';

/** Answers that are no problem. */
export const STATUS = { ok: 200, accepted: 202, unavailable: 503 } as const;

interface Kind {
  readonly status: number;
  readonly title: string;
  /** What the caller can do. */
  readonly advice: string;
  readonly retryAfterSeconds?: number;
}

/** Every code that this API answers with; `docs/problems.md` lists the same. */
export const PROBLEMS = {
  'json-invalid': { status: 400, title: 'The body is not JSON', advice: 'Send valid JSON in UTF-8.' },
  'body-missing': { status: 400, title: 'The body is missing', advice: 'Send a command as JSON.' },
  'precondition-invalid': {
    status: 400,
    title: 'The expected revision cannot be read',
    advice: 'Send If-Match: "7" (a strong ETag in quotes) or If-None-Match: *, and not both.',
  },
  'idempotency-key-invalid': {
    status: 400,
    title: 'The Idempotency-Key cannot be used',
    advice: 'Send 1 to 256 printable characters, bare or in double quotes.',
  },
  'header-not-for-many': {
    status: 400,
    title: 'This header is for a single command',
    advice: 'Give each command an id, or an expectedrevision, of its own.',
  },
  'query-invalid': {
    status: 400,
    title: 'A parameter cannot be read',
    advice: 'Correct the parameters that are named.',
  },
  'after-invalid': {
    status: 400,
    title: 'The after token cannot be read',
    advice: 'Use the Location of the 202 as it is.',
  },
  'url-invalid': { status: 400, title: 'The URL cannot be read', advice: 'Percent-encode the path as UTF-8.' },
  'request-malformed': {
    status: 400,
    title: 'The request is not HTTP',
    advice: 'Send a well-formed HTTP/1.1 request.',
  },
  'route-unknown': { status: 404, title: 'There is nothing here', advice: 'See /openapi.json for what there is.' },
  'command-unknown': {
    status: 404,
    title: 'No outcome is known under this id',
    advice: 'It was not applied yet, was never accepted, or is past retention; ask with the after token of its 202.',
  },
  'resource-unknown': {
    status: 404,
    title: 'There is no such resource',
    advice: 'Check type and id; a command that creates it may not have been applied yet: read with ?after=.',
  },
  'method-not-allowed': { status: 405, title: 'Not with this method', advice: 'Use a method that Allow names.' },
  'request-timed-out': {
    status: 408,
    title: 'The request took too long to arrive',
    advice: 'Send it again, faster or in smaller parts.',
  },
  rejected: {
    status: 409,
    title: 'The command was rejected',
    advice: 'Nothing was changed; the code is the one that the resource type gave.',
  },
  'command-parked': {
    status: 409,
    title: 'The command is parked',
    advice: 'It could not be applied and waits for an operator; the resource does not reflect it.',
  },
  'command-discarded': {
    status: 409,
    title: 'The command was discarded',
    advice: 'An operator discarded it; send a new one if it is still wanted.',
  },
  'command-ambiguous': {
    status: 409,
    title: 'Several resources have a command with this id',
    advice: 'Name the resource: ?resource=<type>/<id>.',
  },
  'revision-mismatch': {
    status: 412,
    title: 'The resource has another revision',
    advice: 'Send the new revision with a new id.',
  },
  'body-too-large': {
    status: 413,
    title: 'The body is too large',
    advice: 'Send fewer commands at a time.',
  },
  'too-many-commands': {
    status: 413,
    title: 'Too many commands in one request',
    advice: 'Send the rest in another request.',
  },
  'command-too-large': {
    status: 413,
    title: 'The command is too large',
    advice: 'Store large content elsewhere and send a reference.',
  },
  'url-too-long': { status: 414, title: 'The URL is too long', advice: 'Shorten it.' },
  'content-type-unsupported': {
    status: 415,
    title: 'This content type is not taken',
    advice:
      'Send application/json, application/cloudevents+json, application/cloudevents-batch+json or application/x-ndjson, not compressed.',
  },
  'expectation-failed': {
    status: 417,
    title: 'This expectation cannot be met',
    advice: 'Leave out the header Expect, or send Expect: 100-continue.',
  },
  'command-malformed': {
    status: 422,
    title: 'The command cannot be read',
    advice: 'Send {type, subject, data}, or a CloudEvent 1.0.',
  },
  'type-unknown': { status: 422, title: 'No such resource type', advice: 'Use a type that this system has.' },
  'command-name-unknown': { status: 422, title: 'No such command', advice: 'Use a command of this resource type.' },
  'subject-invalid': { status: 422, title: 'The subject cannot name a resource', advice: 'Send another subject.' },
  'subject-not-canonical': {
    status: 422,
    title: 'The subject is not written in its canonical form',
    advice: 'Send it as the detail says, so that one resource has one name.',
  },
  'payload-invalid': {
    status: 422,
    title: 'The payload does not fit its schema',
    advice: 'Correct what the pointers name; /openapi.json has the schema.',
  },
  'idempotency-key-reused': {
    status: 422,
    title: 'The Idempotency-Key was used for another command',
    advice: 'Use a new key for a new command.',
  },
  'id-reused': {
    status: 422,
    title: 'The id was used for another command',
    advice: 'Use a new id for a new command.',
  },
  'refused-busy': {
    status: 429,
    title: 'Too much is in flight',
    advice: 'Nothing was stored. Send it again after a pause.',
    retryAfterSeconds: 1,
  },
  'resource-held': {
    status: 429,
    title: 'The resource is held, and its queue is full',
    advice: 'Nothing was stored. Send it again when an operator has repaired the resource.',
    retryAfterSeconds: 30,
  },
  'headers-too-large': { status: 431, title: 'The headers are too large', advice: 'Send fewer or shorter headers.' },
  internal: {
    status: 500,
    title: 'A fault in this server',
    advice: 'Repeat with the same id if you gave one; tell the operator.',
  },
  'not-accepted': {
    status: 503,
    title: 'The command was not accepted',
    advice: 'Nothing was stored. Send it again after a pause.',
    retryAfterSeconds: 2,
  },
  'outcome-unknown': {
    status: 503,
    title: 'It is not known whether the command was accepted',
    advice: 'Repeat it with the id that is named here: it takes effect at most once.',
    retryAfterSeconds: 2,
  },
  'database-away': {
    status: 503,
    title: 'The database cannot be read',
    advice: 'Ask again after a pause.',
    retryAfterSeconds: 2,
  },
  'outcome-pending': {
    status: 504,
    title: 'The command has no outcome yet',
    advice: 'Ask again after a pause, or wait longer.',
    retryAfterSeconds: 1,
  },
} as const satisfies Record<string, Kind> & Record<FaultCode, Kind>;

export type ProblemCode = keyof typeof PROBLEMS;

export interface Problem {
  readonly kind: 'problem';
  readonly code: ProblemCode;
  readonly detail: string;
  /** What else the document holds. */
  readonly more: Readonly<Record<string, unknown>>;
}

export const PROBLEM_TYPE = 'application/problem+json';

export function problem(code: ProblemCode, detail: string, more: Problem['more'] = {}): Problem {
  return { kind: 'problem', code, detail, more };
}

export function pointed(code: ProblemCode, detail: string, pointers: readonly PointedFault[]): Problem {
  const first = pointers[0];
  return problem(code, detail, first === undefined ? {} : { pointer: first.pointer, errors: pointers });
}

export function kindOf(code: ProblemCode): Kind {
  return PROBLEMS[code];
}

/** The document; `more` may give another `code`: a rejection's own. `printed`: members that are JSON already, not printed anew. */
export function problemText(given: Problem, printed: Readonly<Record<string, string>> = {}): string {
  const { status, title, advice } = kindOf(given.code);
  const text = JSON.stringify({
    type: `urn:onelane:problem:${given.code}`,
    title,
    status,
    detail: joined(given.detail, advice),
    code: given.code,
    ...given.more,
  });
  const members = Object.entries(printed).map(([name, json]) => `,${JSON.stringify(name)}:${json}`);
  return `${text.slice(0, -1)}${members.join('')}}`;
}

/** What is wrong and what to do, as sentences: each ends once, and advice that stands in the detail already is not given twice. */
export function joined(detail: string, advice: string): string {
  const said = detail.trim().replace(/\.+$/, '');
  if (said === '') return advice;
  const sentence = /[!?:]$/.test(said) ? said : `${said}.`;
  const isThere = sentence.toLowerCase().includes(advice.toLowerCase().replace(/\.$/, ''));
  return isThere ? sentence : `${sentence} ${advice}`;
}

// Owns one call of a developer's `decide`: validated and frozen on the way in, checked on the way out. Pure as far as `decide` is.
import type { Command } from '../../shared/command/entry.ts';
import { storableText, type CommandFailure } from '../../shared/command/failure.ts';
import type { Revision } from '../../shared/command/identity.ts';
import { asError } from '../../shared/process/errors.ts';
import type { AnyResourceType } from '../../shared/resources/resource-type.ts';
import type { ChangedRow } from './batch-store.ts';
import { deepFreeze } from './deep-freeze.ts';
import { RowImage } from './row-image.ts';

/** A decision that was looked at: nothing a developer's code returned is trusted further than this. */
export type Verdict =
  /** null deletes the row. */
  | { readonly kind: 'change'; readonly after: After | null; readonly reply: string | null }
  | { readonly kind: 'unchanged'; readonly reply: string | null }
  | { readonly kind: 'reject'; readonly code: string; readonly detail: string }
  | { readonly kind: 'failure'; readonly failure: CommandFailure };

/** A row as this command leaves it. */
export interface After {
  /** What the table gets. */
  readonly values: ChangedRow['values'];
  /** What the next command sees. */
  readonly image: RowImage;
}

export interface ReadPayload {
  readonly kind: 'payload';
  readonly type: AnyResourceType;
  readonly data: unknown;
}
export type Payload = ReadPayload | Failed;
type Failed = Extract<Verdict, { kind: 'failure' }>;

const REJECTION_CODE = /^[a-z0-9][a-z0-9-]{0,62}$/;
/** Longest reply as JSON text, in characters; it is stored with every outcome. */
export const REPLY_LENGTH_MAX = 64 * 1024;

/** The payload as the contract's schema prints it, or why this consumer cannot read the command. */
export function readPayload(type: AnyResourceType | undefined, command: Command): Payload {
  if (type === undefined) return mismatch(`no resource type "${command.type}" is configured here`);
  const schema = type.contract.commands.get(command.name);
  if (schema === undefined) return mismatch(`resource type "${command.type}" has no command "${command.name}"`);
  try {
    const payload = schema.safeParse(command.data);
    if (payload.success) return { kind: 'payload', type, data: payload.data };
    return mismatch(`the payload is off its contract: ${firstIssues(payload.error)}`);
  } catch (thrown) {
    return mismatch(`the contract's schema threw ${describeThrown(thrown)}`);
  }
}

/** `state`: as a RowImage lends it. */
export function decideCommand(payload: ReadPayload, command: Command, state: unknown, revision: Revision): Verdict {
  const { type, data } = payload;
  try {
    const about = { id: command.id, key: command.key, time: new Date(command.timeMs), revision };
    deepFreeze(data);
    return examine(type.decide(state, Object.freeze({ name: command.name, data }), Object.freeze(about)), type);
  } catch (thrown) {
    return failed('decide-threw', `decide threw ${describeThrown(thrown)}`);
  }
}

function examine(decision: unknown, type: AnyResourceType): Verdict {
  if (!isObject(decision)) return malformed(`decide returned ${String(decision)}, not a decision`);
  if ('then' in decision) {
    // Nobody awaits it; without a handler its rejection would end the process.
    void Promise.resolve(decision).catch(() => undefined);
    return malformed('decide returned a promise; it must be synchronous');
  }
  const { kind } = decision;
  if (kind === 'reject') return examineReject(decision['code'], decision['detail']);
  if (kind !== 'change' && kind !== 'unchanged')
    return malformed(`decide returned kind ${JSON.stringify(kind) ?? 'undefined'}`);
  const reply = replyText(decision['reply']);
  if (typeof reply === 'object' && reply !== null) return malformed(reply.fault);
  if (kind === 'unchanged') return { kind, reply };
  const { state } = decision;
  if (state === undefined) return malformed('a change needs a state, or null to delete the row');
  return { kind, after: state === null ? null : new WrittenRow(type.rows, state), reply };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/**
 * Throws when the table cannot take or give back such a state: said here, where one command can be blamed. What is written and what the
 * next command sees is settled by this; neither depends on where a batch is cut, nor on what becomes of the object that `decide` returned.
 */
class WrittenRow implements After {
  readonly values: ChangedRow['values'];
  readonly image: RowImage;
  readonly #rows: AnyResourceType['rows'];

  constructor(rows: AnyResourceType['rows'], state: unknown) {
    this.#rows = rows;
    this.values = rows.encode(state);
    this.image = new RowImage(this);
  }

  get state(): unknown {
    return this.#rows.decode(this.values);
  }
}

function examineReject(code: unknown, detail: unknown): Verdict {
  if (typeof code !== 'string' || !REJECTION_CODE.test(code)) {
    return malformed('a rejection needs a code of lower-case letters, digits and -, at most 63 characters');
  }
  if (typeof detail !== 'string') return malformed('a rejection needs a detail, one sentence for the caller');
  return { kind: 'reject', code, detail: storableText(detail) };
}

function replyText(reply: unknown): string | null | { readonly fault: string } {
  if (reply === undefined) return null;
  const text: string | undefined = JSON.stringify(reply);
  if (text === undefined) return { fault: 'the reply is not JSON' };
  if (text.length > REPLY_LENGTH_MAX)
    return { fault: `the reply has ${text.length} characters as JSON; at most ${REPLY_LENGTH_MAX}` };
  return text.toWellFormed();
}

function firstIssues(error: {
  readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[];
}): string {
  return error.issues
    .slice(0, 3)
    .map((issue) => `/data/${issue.path.map(String).join('/')}: ${issue.message}`)
    .join('; ');
}

function describeThrown(thrown: unknown): string {
  try {
    const error = asError(thrown);
    return `${error.name}: ${error.message}`;
  } catch {
    return 'something that cannot be described';
  }
}

const mismatch = (detail: string): Failed => failed('contract-mismatch', detail);
const malformed = (detail: string): Failed => failed('decision-malformed', detail);

function failed(code: CommandFailure['code'], detail: string): Failed {
  return { kind: 'failure', failure: { code, detail: storableText(detail) } };
}

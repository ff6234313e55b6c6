// Owns one flush: statements sent in one go, answered in order; and the first error of theirs that is a reason, not a consequence.
import { createHash } from 'node:crypto';
import { Writable } from 'node:stream';
import type pg from 'pg';
import { invariant, OnelaneError } from '../../../shared/process/errors.ts';
import { refuseLonger, STATEMENT_LENGTH_MAX } from '../../../shared/resources/array-text.ts';

/** A prepared statement; its name follows from its text, so that stores can share connections. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

/** Every value is sent as text, and every column is selected as text; bytes go as they are. */
export type Parameter = string | number | null | Uint8Array;
export type TextRow = readonly (string | null)[];

export interface Answer {
  readonly command: string;
  readonly rows: readonly TextRow[];
  readonly count: number;
}

/** The server turned a COMMIT into a ROLLBACK and reported no error: it had failed before. */
export class CommitRolledBack extends OnelaneError {
  readonly code = 'commit-rolled-back' as const;
}

export function statement(text: string): Statement {
  return { name: `ol_${createHash('sha256').update(text).digest('hex').slice(0, 24)}`, text };
}

/** One promise for all of it, made when somebody asks: a statement that fails unasked does not end the process. */
export class Flush {
  readonly #client: pg.ClientBase;
  readonly #lengthMax: number;
  readonly #stream: Writable | null;
  #isHeldBack = false;
  readonly #answers: (Answer | Error | undefined)[] = [];
  #left = 0;
  #wake: (() => void) | null = null;

  /** `lengthMax`: of all values of one statement. */
  constructor(client: pg.ClientBase, lengthMax = STATEMENT_LENGTH_MAX) {
    this.#client = client;
    this.#lengthMax = lengthMax;
    this.#stream = streamOf(client);
  }

  /** Sends at the end of this turn, together with what else is sent in it, and waits for nothing. Returns the answer's place. Throws StatementTooLarge, and then it was not sent. */
  send(what: Statement, values: readonly Parameter[] = []): number {
    refuseLonger(lengthOf(values), this.#lengthMax);
    this.#holdBack();
    const at = this.#answers.push(undefined) - 1;
    this.#left++;
    this.#client.query<(string | null)[]>(
      { name: what.name, text: what.text, values: [...values], rowMode: 'array' },
      (failure: Error | null | undefined, result) => {
        this.#answers[at] = failure ?? { command: result.command, rows: result.rows, count: result.rowCount ?? 0 };
        this.#left--;
        if (this.#left === 0) this.#wake?.();
      },
    );
    return at;
  }

  /** A system call for each statement, and a server that wakes up for each, would cost more than the statements. */
  #holdBack(): void {
    const stream = this.#stream;
    if (stream === null || this.#isHeldBack) return;
    this.#isHeldBack = true;
    stream.cork();
    process.nextTick(() => {
      this.#isHeldBack = false;
      stream.uncork();
    });
  }

  /** All answers in the order of sending. Rejects with FlushFailed for the first that failed: the others failed because of it. */
  async answers(): Promise<readonly Answer[]> {
    if (this.#left > 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.#answers.map((answer, at) => {
      if (answer instanceof Error) throw new FlushFailed(at, answer);
      invariant(answer !== undefined, 'every statement of the flush was answered');
      return answer;
    });
  }
}

/** The connection's socket, as the driver holds it; its types do not know it, and without it statements only leave one by one. */
function streamOf(client: pg.ClientBase): Writable | null {
  const connection: unknown = Reflect.get(client, 'connection');
  const stream: unknown =
    typeof connection === 'object' && connection !== null ? Reflect.get(connection, 'stream') : null;
  return stream instanceof Writable ? stream : null;
}

function lengthOf(values: readonly Parameter[]): number {
  let length = 0;
  for (const value of values)
    length += typeof value === 'object' || typeof value === 'string' ? (value?.length ?? 0) : 0;
  return length;
}

/** Inside this room only; whoever leaves it throws the cause. `at`: which statement, as `send` numbered it. */
export class FlushFailed extends Error {
  readonly at: number;
  readonly reason: Error;

  constructor(at: number, reason: Error) {
    super(reason.message, { cause: reason });
    this.at = at;
    this.reason = reason;
  }
}

export const BEGIN = statement('begin isolation level read committed read write');
export const COMMIT = statement('commit');
export const ROLLBACK = statement('rollback');

/** COMMIT of a failed transaction resolves; only its tag tells. */
export function requireCommitted(answer: Answer | undefined): void {
  if (answer?.command === 'COMMIT') return;
  throw new CommitRolledBack(`the server answered COMMIT with ${answer?.command ?? 'nothing'}; nothing was written`);
}

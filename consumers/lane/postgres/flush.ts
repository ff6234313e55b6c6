// Owns one flush: statements sent in one go, answered in order, and the one that failed.
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { OnelaneError } from '../../../shared/process/errors.ts';
import { refuseLonger, STATEMENT_LENGTH_MAX } from '../../../shared/resources/array-text.ts';
import { RoundTrip, type Sending } from './round-trip.ts';

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

/** Statements that wait for each other's company. Nothing leaves before somebody asks for the answers. */
export class Flush {
  readonly #client: pg.ClientBase;
  readonly #lengthMax: number;
  readonly #sending: Sending[] = [];

  /** `lengthMax`: of all values of one statement. */
  constructor(client: pg.ClientBase, lengthMax = STATEMENT_LENGTH_MAX) {
    this.#client = client;
    this.#lengthMax = lengthMax;
  }

  /** Returns the place of its answer. Throws StatementTooLarge, and then it will not be sent. */
  send(statement: Statement, values: readonly Parameter[] = []): number {
    refuseLonger(lengthOf(values), this.#lengthMax);
    return this.#sending.push({ statement, values }) - 1;
  }

  /** All answers in the order of sending, asked for once. Rejects with FlushFailed for the statement that failed: none behind it was carried out. */
  answers(): Promise<readonly Answer[]> {
    if (this.#sending.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      const trip = new RoundTrip(this.#sending, (error, answers) => {
        if (error === null || error === undefined) resolve(answers);
        else reject(new FlushFailed(answers.length, error));
      });
      this.#client.query(trip);
    });
  }
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

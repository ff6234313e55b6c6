// Owns one round trip: statements that leave in one piece with one Sync behind them, so that their answers come in one piece too.
import pg from 'pg';
import { asError } from '../../../shared/process/errors.ts';
import type { Answer, Parameter, Statement, TextRow } from './flush.ts';

export interface Sending {
  readonly statement: Statement;
  readonly values: readonly Parameter[];
}

/** How it ended: answers in the order of sending, and an error when the statement behind the last of them failed. */
export type Ended = (error: Error | null | undefined, answers: readonly Answer[]) => void;

/** The names that a connection's server knows. */
const prepared = new WeakMap<pg.Connection, Set<string>>();

/**
 * Given to `client.query`, which calls the methods below as messages come. A statement that fails is the last: the server skips what
 * stands behind it up to the Sync, a COMMIT too, and the transaction waits to be rolled back.
 */
export class RoundTrip implements pg.Submittable {
  /** The driver sees to the query_timeout by putting its own callback around this one. */
  callback: (error?: Error | null) => void;
  readonly #sending: readonly Sending[];
  readonly #answers: Answer[] = [];
  #rows: TextRow[] = [];
  #preparing: string[] = [];
  #connection: pg.Connection | null = null;

  constructor(sending: readonly Sending[], ended: Ended) {
    this.#sending = sending;
    this.callback = (error) => {
      ended(error, this.#answers);
    };
  }

  /** Returns an error when not all of it could be put together; the driver gives it to `handleError`. */
  submit(connection: pg.Connection): Error | null {
    this.#connection = connection;
    connection.stream.cork();
    try {
      for (const { statement, values } of this.#sending) {
        this.#prepare(connection, statement);
        connection.bind({ statement: statement.name, values: values.map(parameterBytes) }, false);
        connection.execute(null, false);
      }
      connection.sync();
    } catch (thrown) {
      return asError(thrown);
    } finally {
      connection.stream.uncork();
    }
    if (this.#preparing.length > 0) connection.on('parseComplete', this.#onPrepared);
    return null;
  }

  handleDataRow(message: { readonly fields: TextRow }): void {
    this.#rows.push(message.fields);
  }

  handleCommandComplete(message: { readonly text: string }): void {
    const [command = '', ...numbers] = message.text.split(' ');
    this.#answers.push({ command, rows: this.#rows, count: Number(numbers.at(-1) ?? 0) });
    this.#rows = [];
  }

  handleReadyForQuery(): void {
    this.#end(null);
  }

  handleError(error: Error): void {
    // Of an error that the server did not send nobody knows how far it got: the answers of another round trip could be taken for ours.
    if (!(error instanceof pg.DatabaseError)) this.#connection?.stream.destroy();
    this.#end(error);
  }

  #end(error: Error | null): void {
    this.#connection?.off('parseComplete', this.#onPrepared);
    this.callback(error);
  }

  #prepare(connection: pg.Connection, { name, text }: Statement): void {
    const known = namesOf(connection);
    if (known.has(name) || this.#preparing.includes(name)) return;
    this.#preparing.push(name);
    connection.parse({ name, text, types: [] }, false);
  }

  /** In the order of asking. A name whose statement the server refused, or skipped, stays unknown. */
  readonly #onPrepared = (): void => {
    const [name, ...rest] = this.#preparing;
    this.#preparing = rest;
    if (name !== undefined && this.#connection !== null) namesOf(this.#connection).add(name);
  };
}

function namesOf(connection: pg.Connection): Set<string> {
  const known = prepared.get(connection);
  if (known !== undefined) return known;
  const names = new Set<string>();
  prepared.set(connection, names);
  return names;
}

/** As the driver takes them: text goes as text, bytes as they are. */
function parameterBytes(value: Parameter): string | Buffer | null {
  if (typeof value === 'number') return String(value);
  if (value === null || typeof value === 'string') return value;
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

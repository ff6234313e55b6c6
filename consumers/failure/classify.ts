// Owns the verdict on an error of the database: a refusal, an outage, plan again, too slow, or a tenure that is no longer ours.
import type { CommandFailure } from '../../shared/command/failure.ts';
import { storableText } from '../../shared/command/failure.ts';
import { isOwnTable } from '../../shared/postgres/own-tables.ts';
import { asError } from '../../shared/process/errors.ts';
import { StatementTooLarge } from '../../shared/resources/array-text.ts';
import { DatabaseWentBack, RowUnreadable, TenureLost } from '../lane/batch-store.ts';

export type Verdict =
  /** The database will not take one of the commands: find which, park it. */
  | { readonly kind: 'refusal'; readonly failure: CommandFailure }
  /** Nothing could be written: wait, same batch, same order. */
  | { readonly kind: 'outage'; readonly cause: Error }
  /** Read again and plan again; `connection`: on another connection. */
  | { readonly kind: 'plan-again'; readonly sqlstate: string; readonly fresh: 'rows' | 'connection' }
  /** The statement timeout struck, or the statement would have been too large: try fewer at once. */
  | { readonly kind: 'too-slow'; readonly failure: CommandFailure }
  /** Neither the server nor the network spoke: our own code is at fault, and waiting would not mend it. */
  | { readonly kind: 'bug'; readonly cause: Error }
  | { readonly kind: 'lost'; readonly cause: Error }
  | { readonly kind: 'went-back'; readonly cause: Error };

/** Raised by our own persist statement when a row did not count: it had changed since it was recalled. */
export const ROW_CHANGED = 'OL001';
/** The same, but the row was locked: the database itself does not let it count (a trigger that returns null). */
export const ROW_NOT_TAKEN = 'OL002';

const REFUSAL_CLASSES = new Set(['21', '22', '23', '27', '38', '39', '44', '54', 'P0']);
/** Every class that PostgreSQL defines itself (appendix A of its manual); a code outside of them is somebody's own. */
const KNOWN_CLASSES = new Set(
  (
    '00 01 02 03 08 09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 40 42 44 53 54 55 57 58 72 ' +
    'F0 HV P0 XX OL'
  ).split(' '),
);
const BUGS = [TypeError, RangeError, ReferenceError, SyntaxError];
const SQLSTATE = /^[0-9A-Z]{5}$/;

/** `schema`: the name of Onelane's own; an error of a table of Onelane's is never a command's fault, one of a developer's table beside them is. */
export function classify(error: unknown, about: { readonly schema: string }): Verdict {
  const cause = asError(error);
  if (cause instanceof TenureLost) return { kind: 'lost', cause };
  if (cause instanceof DatabaseWentBack) return { kind: 'went-back', cause };
  if (BUGS.some((bug) => cause instanceof bug)) return { kind: 'bug', cause };
  if (cause instanceof RowUnreadable) {
    return { kind: 'refusal', failure: { code: 'refused-by-database', detail: storableText(cause.message) } };
  }
  if (cause instanceof StatementTooLarge) {
    return { kind: 'too-slow', failure: { code: 'refused-by-database', detail: storableText(cause.message) } };
  }
  const report = reportOf(cause);
  if (report === null) return { kind: 'outage', cause };
  if (report.sqlstate.startsWith('23') && report.schema === about.schema && isOwnTable(report.table ?? '')) {
    // A missing ledger partition (23514) or two that insert the same of our rows (23505): the next attempt finds it mended.
    return { kind: 'plan-again', sqlstate: report.sqlstate, fresh: 'rows' };
  }
  return verdictOn(report, cause);
}

function verdictOn(report: Report, cause: Error): Verdict {
  const { sqlstate } = report;
  const failure = (code: 'refused-by-database' | 'timed-out'): CommandFailure => ({
    code,
    detail: storableText(describe(report, cause)),
    sqlstate,
  });
  if (sqlstate === ROW_CHANGED || sqlstate === '55P03' || sqlstate.startsWith('40')) {
    return { kind: 'plan-again', sqlstate, fresh: 'rows' };
  }
  if (sqlstate === ROW_NOT_TAKEN) return { kind: 'refusal', failure: failure('refused-by-database') };
  // "cached plan must not change result type" repeats on its connection; on a new one it is gone.
  if (sqlstate === '0A000') return { kind: 'plan-again', sqlstate, fresh: 'connection' };
  if (sqlstate === '57014') return { kind: 'too-slow', failure: failure('timed-out') };
  const family = sqlstate.slice(0, 2);
  if (REFUSAL_CLASSES.has(family) || !KNOWN_CLASSES.has(family)) {
    return { kind: 'refusal', failure: failure('refused-by-database') };
  }
  return { kind: 'outage', cause };
}

interface Report {
  readonly sqlstate: string;
  readonly schema: string | undefined;
  readonly table: string | undefined;
  readonly constraint: string | undefined;
}

/** What the server said; null when it was not the server that spoke (a socket, a driver, a bug). */
function reportOf(cause: Error): Report | null {
  const field = (name: string): string | undefined => {
    const value: unknown = Reflect.get(cause, name);
    return typeof value === 'string' ? value : undefined;
  };
  const sqlstate = field('code');
  // A server's report has a severity; Node's own error codes (EPIPE, five letters too) come without one.
  if (sqlstate === undefined || !SQLSTATE.test(sqlstate) || field('severity') === undefined) return null;
  return { sqlstate, schema: field('schema'), table: field('table'), constraint: field('constraint') };
}

function describe(report: Report, cause: Error): string {
  const where = [
    report.constraint === undefined ? '' : ` (constraint ${report.constraint})`,
    report.table === undefined ? '' : ` on table ${report.table}`,
  ].join('');
  return `the database refused it with ${report.sqlstate}${where}: ${cause.message}`;
}

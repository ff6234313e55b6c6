// Owns the errors of a database that cannot be used, and tells them apart.
import pg from 'pg';
import { asError, OnelaneError } from '../process/errors.ts';

export class DatabaseAway extends OnelaneError {
  readonly code = 'database-away' as const;
}
export class DatabaseMissing extends OnelaneError {
  readonly code = 'database-missing' as const;
}
export class DatabaseRefused extends OnelaneError {
  readonly code = 'database-refused' as const;
}
export class DatabaseTooOld extends OnelaneError {
  readonly code = 'database-too-old' as const;
}
export class DatabasePooler extends OnelaneError {
  readonly code = 'database-pooler' as const;
}
export class DatabaseUrlMalformed extends OnelaneError {
  readonly code = 'database-url-malformed' as const;
}

/** Database 14 has every function that the statements use. */
export const SERVER_VERSION_MIN = 140_000;

/** Why a connection could not be made, as one of our errors; `where` must not hold a password. */
export function connectFailure(thrown: unknown, where: string): OnelaneError {
  const cause = asError(thrown);
  const sqlstate = cause instanceof pg.DatabaseError ? (cause.code ?? '') : '';
  if (sqlstate === '3D000') {
    return new DatabaseMissing(`there is no such database at ${where}: create it (createdb) or correct DATABASE_URL`, {
      cause,
    });
  }
  if (sqlstate.startsWith('28') || sqlstate === '42501') {
    return new DatabaseRefused(
      `PostgreSQL at ${where} refuses this user: check user, password and privileges in DATABASE_URL (${cause.message})`,
      { cause },
    );
  }
  return new DatabaseAway(
    `PostgreSQL at ${where} cannot be reached: start it or correct DATABASE_URL (${cause.message})`,
    { cause },
  );
}

/** Null when the server is new enough; `version` as in server_version_num. */
export function tooOld(version: number, where: string): DatabaseTooOld | null {
  if (version >= SERVER_VERSION_MIN) return null;
  return new DatabaseTooOld(
    `PostgreSQL at ${where} is version ${Math.floor(version / 10_000)}: Onelane needs ${SERVER_VERSION_MIN / 10_000} or newer`,
  );
}

/** Host, port and database of a URL, for sentences; throws when it is no PostgreSQL URL. */
export function whereOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !/^postgres(ql)?:$/.test(parsed.protocol)) {
    throw new DatabaseUrlMalformed(
      'DATABASE_URL is no PostgreSQL URL: write postgres://user:password@host:port/database',
    );
  }
  return `${parsed.host}${parsed.pathname}`;
}

// Owns what the routes are given, and the bounds of one request.
import type { Observe } from '../../shared/process/events.ts';
import type { Clock } from '../../shared/process/time.ts';
import type { Database } from '../../shared/postgres/database.ts';
import type { ResourceTypes } from '../../shared/resources/resource-type.ts';
import type { OutcomeWatch } from '../outcome-watch.ts';
import type { Submitter } from '../submit.ts';

/** Of the request line and the headers. */
export const HEADER_BYTES_MAX = 16 * 1024;
/** Of one part of a path. */
export const PARAMETER_LENGTH_MAX = 4 * 1024;

export interface HttpLimits {
  /** Of one request with many commands. */
  readonly bodyBytes: number;
  /** Of one request with one command, spaces and escapes included. */
  readonly singleBytes: number;
  /** Of all large bodies that are read whole at a time; and of all small ones. */
  readonly bodiesBytes: number;
  readonly commands: number;
  /** Requests with many commands at a time. */
  readonly uploads: number;
  readonly waitMs: number;
}

export const HTTP_LIMITS: HttpLimits = {
  bodyBytes: 64 * 1024 * 1024,
  singleBytes: 2 * 1024 * 1024,
  bodiesBytes: 128 * 1024 * 1024,
  commands: 50_000,
  uploads: 64,
  waitMs: 30_000,
};

export interface HttpGiven {
  readonly submitter: Submitter;
  readonly watch: OutcomeWatch;
  readonly database: Database;
  readonly types: ResourceTypes;
  readonly limits: HttpLimits;
  readonly observe: Observe;
  readonly clock: Clock;
}

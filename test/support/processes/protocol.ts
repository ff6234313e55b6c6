// Owns what a test and the processes that it starts say to each other.
import type { LaneSignal } from '../../../shared/process/test-signal.ts';

/** What a child is started with, as its only argument in JSON. */
export interface ChildGiven {
  readonly databaseUrl: string;
  readonly schema: string;
  readonly configFile: string;
  readonly partitions: number;
  /** The API's; 0 picks a free one. */
  readonly port: number;
  readonly batchSize: number;
  /** More settings, as environment variables. */
  readonly settings?: Readonly<Record<string, string>>;
}

export type FromChild =
  | { readonly kind: 'ready'; readonly url: string | null }
  /** The lane waits there until `go`. */
  | { readonly kind: 'reached'; readonly signal: LaneSignal; readonly partition: number }
  | Happening;

/** The events that a fault run counts, as they may travel between processes. */
export type Happening =
  | { readonly kind: 'claimed'; readonly partition: number; readonly epoch: number; readonly claims: number }
  | { readonly kind: 'released'; readonly partition: number; readonly epoch: number }
  | { readonly kind: 'lost'; readonly partition: number; readonly epoch: number; readonly reason: string }
  | { readonly kind: 'halted'; readonly partition: number; readonly detail: string }
  | {
      readonly kind: 'applied';
      readonly partition: number;
      readonly commits: number;
      readonly entries: number;
      readonly applied: number;
      readonly rejected: number;
      readonly repeated: number;
      readonly parked: number;
      readonly strays: number;
    };

export type ToChild =
  /** Stop the lane that is the nth to reach this signal from now on, and say so. */
  | { readonly kind: 'arm'; readonly signal: LaneSignal; readonly nth: number }
  /** Whoever waits at a signal goes on. */
  | { readonly kind: 'go' }
  /** Block the event loop until a byte comes over the pipe. */
  | { readonly kind: 'block' };

/** The pipe's number among a child's files. */
export const UNBLOCKING = 4;

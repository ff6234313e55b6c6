// Owns the error of a log that is not the one the database knows.
import { OnelaneError } from '../process/errors.ts';

/** Thrown by `Lane.start` and `Lane.next`; the lane halts with this sentence rather than skip or double. */
export class LogDiverged extends OnelaneError {
  readonly code = 'log-diverged' as const;
}

// Owns the error of a log that has another number of partitions than the system.
import { OnelaneError } from '../process/errors.ts';

/** Thrown by `Transport.provision`. */
export class LogPartitionsDiffer extends OnelaneError {
  readonly code = 'log-partitions-differ' as const;

  constructor(found: number, wanted: number) {
    super(
      found === 0
        ? 'the log does not exist yet: call provision() first'
        : `the log has ${found} partitions and the system wants ${wanted}: a system keeps its number for ever, so use the log that belongs to it`,
    );
  }
}

// Owns the error of a lane whose holder has stopped: its partitions are given to others.
import { OnelaneError } from '../../process/errors.ts';

/** A lane whose holder does nothing with it for so long is given to others: heartbeats alone would hide it for ever. */
export class LaneSilent extends OnelaneError {
  readonly code = 'lane-silent' as const;
}

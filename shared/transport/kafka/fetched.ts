// Owns what was fetched of one partition, as a lane is given it.
import type { Partition } from '../../command/identity.ts';
import type { RecordPage } from './records.ts';

export interface Fetched {
  readonly partition: Partition;
  /** Offsets of what stands there first and last, records that are nobody's entries included. */
  readonly first: number;
  readonly last: number;
  /** Entries alone; may be empty. */
  readonly page: RecordPage;
}

/** Up to which offset it was taken: what stands behind it is fetched again. null: nothing was. */
export type Taken = number | null;

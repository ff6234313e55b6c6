// Owns the list of events: what the system tells about itself. Log, metrics and tests are subscribers like anyone else's.

/** Ids, counts and milliseconds; never a payload. Kinds are past participles. Add yours to the section of your room. */
export type OnelaneEvent =
  // consumers: lanes
  | { readonly kind: 'lane-claimed'; readonly partition: number; readonly epoch: bigint; readonly claims: number }
  | { readonly kind: 'lane-released'; readonly partition: number; readonly epoch: bigint }
  | { readonly kind: 'lane-halted'; readonly partition: number; readonly code: string; readonly detail: string }
  /** Its halt is not on record: another consumer has claimed the partition since. */
  | { readonly kind: 'halt-outdated'; readonly partition: number; readonly code: string }
  | { readonly kind: 'tenure-lost'; readonly partition: number; readonly epoch: bigint; readonly reason: string }
  | {
      readonly kind: 'batch-applied';
      readonly partition: number;
      readonly entries: number;
      readonly applied: number;
      readonly rejected: number;
      readonly repeated: number;
      readonly parked: number;
      readonly strays: number;
      readonly ms: number;
      readonly cut: 'size' | 'linger' | 'single';
      /** Append time of the batch's last entry. */
      readonly appendedAt: Date;
      readonly through: bigint;
      readonly commits: bigint;
    }
  | {
      readonly kind: 'batch-planned-again';
      readonly partition: number;
      readonly sqlstate: string;
      readonly attempt: number;
    }
  | { readonly kind: 'batch-narrowed'; readonly partition: number; readonly entries: number; readonly sqlstate: string }
  | {
      readonly kind: 'command-parked';
      readonly partition: number;
      readonly id: string;
      readonly resource: string;
      readonly code: string;
    }
  | { readonly kind: 'stray-kept'; readonly partition: number; readonly reason: string }
  | {
      readonly kind: 'outage-waited';
      readonly partition: number;
      readonly attempt: number;
      readonly ms: number;
      readonly cause: Error;
    }
  | { readonly kind: 'settle-failed'; readonly partition: number; readonly cause: Error }
  | { readonly kind: 'holder-terminated'; readonly partition: number; readonly pid: number }
  // consumers: leases, housekeeping, watchdog
  | { readonly kind: 'leases-changed'; readonly held: readonly number[]; readonly consumers: number }
  | { readonly kind: 'lease-lost'; readonly partition: number; readonly reason: string }
  | { readonly kind: 'ledger-pruned'; readonly partitions: readonly string[] }
  | { readonly kind: 'last-revisions-pruned'; readonly rows: number }
  | { readonly kind: 'log-pruned'; readonly partition: number; readonly entries: number }
  | { readonly kind: 'housekeeping-failed'; readonly cause: Error }
  // transports
  | { readonly kind: 'connection-lost'; readonly what: string; readonly cause: Error }
  | { readonly kind: 'connection-restored'; readonly what: string }
  /** What was read ahead is not in the log any more: the lane begins anew where the database says. */
  | { readonly kind: 'log-torn'; readonly partition: number; readonly reason: string }
  /** Nothing is wrong yet; the sentence says what should be changed before something is. */
  | { readonly kind: 'log-warned'; readonly detail: string }
  | { readonly kind: 'log-prune-failed'; readonly partition: number; readonly cause: Error }
  // producers
  | {
      readonly kind: 'publish-failed';
      readonly partition: number;
      readonly entries: number;
      readonly attempt: number;
      readonly cause: Error;
    }
  /** The caller went away, or sent what is no HTTP; so many commands had been read until then. */
  | { readonly kind: 'upload-aborted'; readonly commands: number }
  | { readonly kind: 'request-failed'; readonly code: string; readonly cause: Error }
  // process
  | { readonly kind: 'migrated'; readonly from: number; readonly to: number }
  | { readonly kind: 'embedded-server-started'; readonly port: number; readonly how: 'created' | 'started' | 'adopted' }
  | { readonly kind: 'service-started'; readonly name: string }
  | { readonly kind: 'service-stopped'; readonly name: string; readonly ms: number };

/** Must not throw and must not block: it is called inside the lane's loop. */
export type Observe = (event: OnelaneEvent) => void;

export function fanOut(observers: readonly Observe[]): Observe {
  return (event) => {
    for (const observe of observers) observe(event);
  };
}

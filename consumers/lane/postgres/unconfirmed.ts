// Owns COMMITs whose answer never came: what they would have committed, until the fence tells whether they did.
import type { EntryHash, Partition } from '../../../shared/command/identity.ts';
import type { BatchStep, Committed, Tenure } from '../batch-store.ts';

/** What a transaction was about. */
export type Work =
  | { readonly kind: 'steps'; readonly steps: readonly BatchStep[] }
  | { readonly kind: 'mark'; readonly entry: EntryHash };

/**
 * The lane that lost an answer comes again with the same tenure and the same work. Stands the commit count one ahead of it then, the
 * COMMIT had been carried out, and the lane gets what it would have got. Only this lane's epoch and owner could have raised the count.
 */
export class Unconfirmed {
  readonly #byPartition = new Map<Partition, Sent>();

  /** Before COMMIT is sent. One per partition: a tenure has one transaction at a time. */
  remember(before: Tenure, work: Work, committed: Committed): void {
    this.#byPartition.set(before.partition, { before, work, committed });
  }

  forget(partition: Partition): void {
    this.#byPartition.delete(partition);
  }

  /** What was committed for this tenure and this work; null when nothing that was sent explains it. */
  recover(tenure: Tenure, work: Work): Committed | null {
    const sent = this.#byPartition.get(tenure.partition);
    if (sent === undefined) return null;
    const { before } = sent;
    const isSame = before.epoch === tenure.epoch && before.owner === tenure.owner && before.commits === tenure.commits;
    return isSame && nameOf(sent.work) === nameOf(work) ? sent.committed : null;
  }
}

interface Sent {
  readonly before: Tenure;
  readonly work: Work;
  readonly committed: Committed;
}

/** Equal for equal work; long, and made only when an answer was lost. */
function nameOf(work: Work): string {
  if (work.kind === 'mark') return `mark ${work.entry}`;
  return work.steps
    .map(({ wanted }) => `${wanted.ids.join()};${wanted.entries.map((entry) => entry.hash).join()}`)
    .join('|');
}

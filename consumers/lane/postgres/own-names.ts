// Owns the names under which this process has held tenures: whoever finds one of them in a tenure row knows that its holder is alive.
import type { Partition, Uuid } from '../../../shared/command/identity.ts';

/** Claims of one partition whose answer was lost, in a row; any of them may have been carried out. */
const UNANSWERED_MAX = 64;

export class OwnNames {
  readonly #byPartition = new Map<Partition, { readonly held: Uuid | null; readonly unanswered: readonly Uuid[] }>();

  /** Before the claim is sent. */
  claiming(partition: Partition, owner: Uuid): void {
    const { held, unanswered } = this.#of(partition);
    this.#byPartition.set(partition, { held, unanswered: [...unanswered, owner].slice(-UNANSWERED_MAX) });
  }

  claimed(partition: Partition, owner: Uuid): void {
    this.#byPartition.set(partition, { held: owner, unanswered: [] });
  }

  all(partition: Partition): readonly Uuid[] {
    const { held, unanswered } = this.#of(partition);
    return held === null ? unanswered : [held, ...unanswered];
  }

  #of(partition: Partition): { readonly held: Uuid | null; readonly unanswered: readonly Uuid[] } {
    return this.#byPartition.get(partition) ?? { held: null, unanswered: [] };
  }
}

// Owns the running count of what a fault run's consumers tell: how much was applied, what became of each tenure, what must never happen.
import type { Happening } from '../processes/protocol.ts';

export interface Tally {
  applied: number;
  repeated: number;
  rejected: number;
  parked: number;
  strays: number;
  /** Tenures that a living holder found lost. */
  lost: number;
}

/** `open`: its holder never told an end; it holds it still, or died first. */
export type TenureEnd = 'open' | 'released' | 'lost';

interface ToldTenure {
  readonly child: string;
  end: TenureEnd;
}

/**
 * What one process tells arrives in its order; what two tell arrives in any. So nothing is concluded when a claim is heard: epochs, which the
 * database counts, say which tenure came before which, whenever they are asked.
 */
export class Ticker {
  readonly tally: Tally = { applied: 0, repeated: 0, rejected: 0, parked: 0, strays: 0, lost: 0 };
  /** Sentences; any is a failure of the run. */
  readonly violations: string[] = [];
  /** By partition, then by epoch. */
  readonly #tenures = new Map<number, Map<number, ToldTenure>>();
  readonly #commits = new Map<string, string>();
  readonly #lastApplied = new Map<number, string>();
  readonly #waiting = new Set<{ readonly isMet: () => boolean; readonly resolve: () => void }>();

  hear(child: string, said: Happening): void {
    this.#note(child, said);
    for (const each of this.#waiting) {
      if (!each.isMet()) continue;
      this.#waiting.delete(each);
      each.resolve();
    }
  }

  /** Resolves when `isMet` is true, asked at once and after each happening. */
  until(isMet: () => boolean): Promise<void> {
    if (isMet()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.add({ isMet, resolve }));
  }

  /** Partitions whose newest tenure is the child's, and open. */
  heldBy(child: string): readonly number[] {
    return [...this.#tenures].flatMap(([partition, tenures]) => {
      const newest = tenures.get(Math.max(...tenures.keys()));
      return newest?.child === child && newest.end === 'open' ? [partition] : [];
    });
  }

  /** How many tenures of the child ended so and were claimed anew, by whomever. `open` ones were taken over. */
  succeeded(child: string, end: TenureEnd): number {
    return [...this.#tenures.values()].reduce((count, tenures) => {
      const newest = Math.max(...tenures.keys());
      const ended = [...tenures].filter(([epoch, told]) => epoch < newest && told.child === child && told.end === end);
      return count + ended.length;
    }, 0);
  }

  /** Who told last of a batch of the partition. */
  lastApplied(partition: number): string | null {
    return this.#lastApplied.get(partition) ?? null;
  }

  #note(child: string, said: Happening): void {
    switch (said.kind) {
      case 'claimed':
        this.#noteClaim(child, said);
        return;
      case 'released':
        this.#end(child, said, 'released');
        return;
      case 'lost':
        this.tally.lost++;
        this.#end(child, said, 'lost');
        return;
      case 'halted':
        this.violations.push(`partition ${said.partition} halted at ${child}: ${said.detail}`);
        return;
      case 'applied':
        this.#noteBatch(child, said);
    }
  }

  #noteClaim(child: string, { partition, epoch }: { readonly partition: number; readonly epoch: number }): void {
    const tenures = this.#tenures.get(partition) ?? new Map<number, ToldTenure>();
    this.#tenures.set(partition, tenures);
    const other = tenures.get(epoch);
    if (other !== undefined)
      this.violations.push(`epoch ${partition}/${epoch} was claimed by ${other.child} and again by ${child}`);
    tenures.set(epoch, { child, end: 'open' });
  }

  #end(child: string, said: { readonly partition: number; readonly epoch: number }, end: TenureEnd): void {
    const told = this.#tenures.get(said.partition)?.get(said.epoch);
    if (told?.child === child) told.end = end;
  }

  /** A commit count that two holders reached is a transaction that the fence let through twice. */
  #noteBatch(child: string, said: Extract<Happening, { kind: 'applied' }>): void {
    const commit = `${said.partition}/${said.commits}`;
    const before = this.#commits.get(commit);
    if (before !== undefined) this.violations.push(`commit ${commit} was made by ${before} and again by ${child}`);
    this.#commits.set(commit, child);
    this.#lastApplied.set(said.partition, child);
    for (const field of ['applied', 'repeated', 'rejected', 'parked', 'strays'] as const)
      this.tally[field] += said[field];
  }
}

// Owns the running count of what a fault run's consumers tell: how much was applied, which tenures changed hands, what must never happen.
import type { Happening } from '../processes/protocol.ts';

export interface Tally {
  applied: number;
  repeated: number;
  rejected: number;
  parked: number;
  strays: number;
  /** Tenures that somebody claimed while their last holder had neither released nor lost them; that they were lost shows later or never. */
  takenOver: number;
  /** Tenures that a living holder found lost. */
  lost: number;
}

export class Ticker {
  readonly tally: Tally = { applied: 0, repeated: 0, rejected: 0, parked: 0, strays: 0, takenOver: 0, lost: 0 };
  /** Sentences; any is a failure of the run. */
  readonly violations: string[] = [];
  /** Who holds what, as far as they told. */
  readonly #holders = new Map<number, { readonly child: string; readonly epoch: number }>();
  readonly #claims = new Map<string, string>();
  readonly #commits = new Map<string, string>();
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

  heldBy(child: string): readonly number[] {
    return [...this.#holders].filter(([, holder]) => holder.child === child).map(([partition]) => partition);
  }

  #note(child: string, said: Happening): void {
    switch (said.kind) {
      case 'claimed':
        this.#noteClaim(child, said);
        return;
      case 'released':
        this.#letGo(said);
        return;
      case 'lost':
        this.tally.lost++;
        this.#letGo(said);
        return;
      case 'halted':
        this.violations.push(`partition ${said.partition} halted at ${child}: ${said.detail}`);
        return;
      case 'applied':
        this.#noteBatch(child, said);
    }
  }

  /** What two processes tell arrives in any order: an older claim that is heard later changes nothing any more. */
  #noteClaim(child: string, said: { readonly partition: number; readonly epoch: number }): void {
    const claim = `${said.partition}/${said.epoch}`;
    const other = this.#claims.get(claim);
    if (other !== undefined) this.violations.push(`epoch ${claim} was claimed by ${other} and again by ${child}`);
    this.#claims.set(claim, child);
    const before = this.#holders.get(said.partition);
    if (before !== undefined) this.tally.takenOver++;
    if ((before?.epoch ?? 0) < said.epoch) this.#holders.set(said.partition, { child, epoch: said.epoch });
  }

  #letGo(said: { readonly partition: number; readonly epoch: number }): void {
    if (this.#holders.get(said.partition)?.epoch === said.epoch) this.#holders.delete(said.partition);
  }

  /** A commit count that two holders reached is a transaction that the fence let through twice. */
  #noteBatch(child: string, said: Extract<Happening, { kind: 'applied' }>): void {
    const commit = `${said.partition}/${said.commits}`;
    const before = this.#commits.get(commit);
    if (before !== undefined) this.violations.push(`commit ${commit} was made by ${before} and again by ${child}`);
    this.#commits.set(commit, child);
    for (const field of ['applied', 'repeated', 'rejected', 'parked', 'strays'] as const)
      this.tally[field] += said[field];
  }
}

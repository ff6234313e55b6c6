// Owns whether this consumer is among the members, and how many of them there are.
import type { ShareState } from './fair-share.ts';
import type { LeaseTable } from './lease-table.ts';

/** What rejects may have been done in part; the next call puts that right. */
export class Membership {
  wanted: 'in' | 'out' = 'out';
  /** `unknown`: a row of ours may stand in the table. */
  #row: 'absent' | 'unknown' | 'present' = 'absent';
  #consumers = 0;

  get isMember(): boolean {
    return this.#row === 'present' && this.wanted === 'in';
  }

  /** Members, this one included, at the last look. */
  get consumers(): number {
    return this.#consumers;
  }

  /** Not wanted, and nothing of ours in the table. */
  get isOver(): boolean {
    return this.#row === 'absent' && this.wanted === 'out';
  }

  /** Renews our row, and returns who is there and what they hold. */
  async renew(table: LeaseTable): Promise<ShareState> {
    this.#row = 'unknown';
    if ((await table.renewMember()) === 'new') await table.announce();
    this.#row = 'present';
    const seen = await table.look();
    if (seen.expired) await table.deleteExpired();
    this.#consumers = seen.consumers.length;
    return seen;
  }

  async resign(table: LeaseTable): Promise<void> {
    if (this.#row !== 'absent') await this.end(table);
  }

  /** Tells the others in any case: what was freed before is theirs now. */
  async end(table: LeaseTable): Promise<void> {
    await table.leave();
    await table.announce();
    this.#row = 'absent';
  }
}

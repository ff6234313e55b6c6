// Owns chains: a command that waits, and all of its batch that must stay behind it because it names the same resource or the same id.
import type { Entry } from '../../shared/command/entry.ts';
import type { CommandFailure } from '../../shared/command/failure.ts';
import type { Position } from '../../shared/command/identity.ts';

/** Its entries are placed from the first one on. Mutable within one transaction. */
export interface Chain {
  readonly entries: readonly Entry[];
  placed: Placed;
}

/** So many entries of a chain were applied, and at most so many can be, as far as we know: the one behind those was refused for this. */
export interface Placed {
  readonly done: number;
  readonly most: number;
  readonly failure: CommandFailure | null;
}

/** Of what waits, in the order of the log by first entries. What is in none of them waits for nobody. */
export function chainsOf(entries: readonly Entry[], waits: ReadonlySet<Position>): readonly Chain[] {
  const links = new Set<Link>();
  const byName = new Map<string, Link>();
  for (const entry of entries) {
    const names = namesOf(entry);
    const [home, ...others] = new Set(names.map((name) => byName.get(name)).filter((link) => link !== undefined));
    if (home === undefined && (names.length === 0 || !waits.has(entry.delivery.position))) continue;
    const link: Link = home ?? { entries: [] };
    for (const other of others) {
      links.delete(other);
      link.entries.push(...other.entries);
      for (const name of other.entries.flatMap(namesOf)) byName.set(name, link);
    }
    link.entries.push(entry);
    links.add(link);
    for (const name of names) byName.set(name, link);
  }
  return [...links].map((link) => chain(link.entries.sort(byPosition)));
}

/** What later entries may have in common with this one; strays are nobody's. An id that reads like a key only makes one wait that need not. */
export function namesOf({ body }: Entry): readonly string[] {
  return body.kind === 'stray' ? [] : [body.key, body.id];
}

interface Link {
  readonly entries: Entry[];
}

function chain(entries: readonly Entry[]): Chain {
  return { entries, placed: { done: 0, most: entries.length, failure: null } };
}

function byPosition(one: Entry, other: Entry): number {
  return one.delivery.position < other.delivery.position ? -1 : 1;
}

// Owns the verdict on what was read for one command: its outcome, somebody else's, not yet, or nothing known. Pure.
import type { CommandId, ContentHash, Partition, Position, ResourceKey } from '../shared/command/identity.ts';
import type { RecordedOutcome } from '../shared/command/outcome.ts';

/** What the asker knows of the command. */
export interface Sought {
  readonly id: CommandId;
  /** null: only the id is known. */
  readonly key: ResourceKey | null;
  /** null: whatever the content, it is taken for the same. */
  readonly content: ContentHash | null;
  readonly partition: Partition | null;
  readonly position: Position | null;
}

export type Seen =
  | { readonly kind: 'outcome'; readonly recorded: RecordedOutcome }
  /** The id stands for another command, and this one will never be applied under it. */
  | { readonly kind: 'id-reused' }
  /** Other resources have commands with this id; about this one nothing is certain yet. */
  | { readonly kind: 'elsewhere'; readonly keys: readonly ResourceKey[] }
  /** The lane has not come to it. */
  | { readonly kind: 'pending' }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'away'; readonly cause: Error };

/** The next position of each lane, read before the outcomes; a partition that was never read has null. */
export type Reached = ReadonlyMap<Partition, Position | null>;

export function judge(sought: Sought, recorded: readonly RecordedOutcome[], reached: Reached): Seen {
  const own = sought.key === null ? recorded : recorded.filter((each) => each.key === sought.key);
  const [first, second] = own;
  if (first === undefined) return judgeAbsent(sought, recorded, reached);
  if (second !== undefined && second.key !== first.key) return { kind: 'elsewhere', keys: own.map((each) => each.key) };
  if (sought.content !== null && sought.content !== first.content) return { kind: 'id-reused' };
  return { kind: 'outcome', recorded: first };
}

/** The lane has not come to it: there can be no outcome. */
export function isAhead(sought: Sought, reached: Reached): boolean {
  return placeOf(sought, reached) === 'ahead';
}

function judgeAbsent(sought: Sought, recorded: readonly RecordedOutcome[], reached: Reached): Seen {
  const place = placeOf(sought, reached);
  if (place === 'ahead') return { kind: 'pending' };
  if (recorded.length === 0) return { kind: 'nothing' };
  if (place === 'passed') return { kind: 'id-reused' };
  return { kind: 'elsewhere', keys: recorded.map((each) => each.key) };
}

/** Where the command is from the lane's point of view, as far as it is known. */
function placeOf(sought: Sought, reached: Reached): 'ahead' | 'passed' | 'unknown' {
  if (sought.partition === null || sought.position === null) return 'unknown';
  const next = reached.get(sought.partition);
  if (next === undefined) return 'unknown';
  return next === null || next <= sought.position ? 'ahead' : 'passed';
}

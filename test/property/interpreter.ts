// Owns the plain meaning of a log: its entries taken one at a time, over Maps, sharing no code with the lane's plan.
import type { Command, Delivery, Entry } from '../../shared/command/entry.ts';
import type { Json } from '../../shared/command/identity.ts';
import type { AnyResourceType, ResourceTypes } from '../../shared/resources/resource-type.ts';

/** What must be true at the end, whatever the cuts, redeliveries and crashes were. Keys of `outcomes` are `<resource> <id>`. */
export interface Meaning {
  readonly rows: ReadonlyMap<string, { readonly state: unknown; readonly revision: number }>;
  /** Changes ever, also of resources whose row is gone. */
  readonly revisions: ReadonlyMap<string, number>;
  readonly outcomes: ReadonlyMap<string, PlainOutcome>;
  /** Per resource, in order. */
  readonly parked: ReadonlyMap<string, readonly { readonly id: string; readonly code: string }[]>;
  /** One each, in order of the log. */
  readonly strays: readonly { readonly text: string; readonly reason: string }[];
}

export interface PlainOutcome {
  readonly outcome: 'applied' | 'rejected';
  readonly revision: number;
  readonly code: string | null;
  readonly reply: Json | null;
}

/** A database may refuse a command for what it would write: then it is parked, and has changed nothing. */
export type Refuses = (reply: Json | null) => boolean;

/** A database may refuse a command for what it would write; a command may have been blamed, as `<resource> <id>`, for deaths of its consumers. */
export interface Fate {
  readonly refuses: Refuses;
  readonly blamed: ReadonlySet<string>;
}

const KIND: Fate = { refuses: () => false, blamed: new Set() };

interface Books {
  readonly fate: Fate;
  readonly types: ResourceTypes;
  readonly rows: Map<string, { state: unknown; revision: number }>;
  readonly revisions: Map<string, number>;
  readonly outcomes: Map<string, PlainOutcome>;
  readonly parked: Map<string, { id: string; code: string }[]>;
  readonly strays: { text: string; reason: string }[];
  readonly seen: Map<string, { key: string; content: string }[]>;
}

export function interpret(entries: readonly Entry[], types: ResourceTypes, fate: Fate = KIND): Meaning {
  const books: Books = {
    fate,
    types,
    rows: new Map(),
    revisions: new Map(),
    outcomes: new Map(),
    parked: new Map(),
    strays: [],
    seen: new Map(),
  };
  for (const entry of entries) interpretEntry(books, entry);
  return books;
}

function interpretEntry(books: Books, entry: Entry): void {
  const { body } = entry;
  if (body.kind === 'stray') return keepStray(books, entry, body.reason);
  const sameId = books.seen.get(body.id) ?? [];
  if (sameId.some((each) => each.key === body.key && each.content === body.content)) return;
  if (sameId.length > 0) return keepStray(books, entry, 'id-conflict');
  books.seen.set(body.id, [{ key: body.key, content: body.content }]);
  interpretCommand(books, body);
}

function interpretCommand(books: Books, command: Command): void {
  if (books.parked.has(command.key)) return park(books, command, 'resource-held');
  if (books.fate.blamed.has(`${command.key} ${command.id}`)) return park(books, command, 'crashed-consumer');
  const type = books.types.get(command.type);
  if (type === undefined) return park(books, command, 'contract-mismatch');
  if (type.rows.canonicalSubject(command.subject) !== command.subject)
    return reject(books, command, 'subject-not-canonical');
  const schema = type.contract.commands.get(command.name);
  const payload = schema?.safeParse(structuredClone(command.data));
  if (payload?.success !== true) return park(books, command, 'contract-mismatch');
  if (command.expectedRevision !== null && !isExpected(books, command, command.expectedRevision)) {
    return reject(books, command, 'revision-mismatch');
  }
  const revision = books.revisions.get(command.key) ?? 0;
  decide(books, command, type, { data: payload.data, revision });
}

/** 0 expects that there is no such row; any other number expects a row with that revision. */
function isExpected(books: Books, command: Command, expected: number): boolean {
  const row = books.rows.get(command.key);
  return row === undefined ? expected === 0 : expected === row.revision;
}

function decide(
  books: Books,
  command: Command,
  type: AnyResourceType,
  given: { data: unknown; revision: number },
): void {
  const state = books.rows.get(command.key)?.state ?? null;
  let decision: unknown;
  try {
    const about = {
      id: command.id,
      key: command.key,
      time: new Date(command.timeMs),
      revision: given.revision as never,
    };
    decision = type.decide(structuredClone(state), { name: command.name, data: given.data }, about);
  } catch {
    return park(books, command, 'decide-threw');
  }
  const read = readDecision(decision);
  if (read === null) return park(books, command, 'decision-malformed');
  if (read.kind === 'reject') return reject(books, command, read.code);
  if (books.fate.refuses(read.reply ?? null)) return park(books, command, 'refused-by-database');
  const changes = read.kind === 'change' && (read.state !== null || state !== null);
  const revision = given.revision + (changes ? 1 : 0);
  if (changes && read.kind === 'change') {
    books.revisions.set(command.key, revision);
    if (read.state === null) books.rows.delete(command.key);
    else books.rows.set(command.key, { state: readAgain(type, read.state), revision });
  }
  note(books, command, { outcome: 'applied', revision, code: null, reply: read.reply ?? null });
}

/** What a row is worth is what its table gives back. */
const readAgain = ({ rows }: AnyResourceType, state: unknown): unknown => rows.decode(rows.encode(state));

type Read =
  | { readonly kind: 'change'; readonly state: unknown; readonly reply?: Json }
  | { readonly kind: 'unchanged'; readonly reply?: Json }
  | { readonly kind: 'reject'; readonly code: string };

function readDecision(decision: unknown): Read | null {
  if (typeof decision !== 'object' || decision === null || decision instanceof Promise || !('kind' in decision))
    return null;
  const { kind } = decision;
  if ('reply' in decision && typeof decision.reply === 'function') return null;
  if (kind === 'unchanged') return decision as Read; // kind was read; the rest is the world's own
  if (kind === 'change') return 'state' in decision && decision.state !== undefined ? (decision as Read) : null; // likewise
  const isRejection =
    kind === 'reject' && 'code' in decision && typeof decision.code === 'string' && !decision.code.includes(' ');
  return isRejection ? (decision as Read) : null; // likewise
}

function reject(books: Books, command: Command, code: string): void {
  const revision = code === 'subject-not-canonical' ? 0 : (books.revisions.get(command.key) ?? 0);
  note(books, command, { outcome: 'rejected', revision, code, reply: null });
}

function note(books: Books, command: Command, outcome: PlainOutcome): void {
  books.outcomes.set(`${command.key} ${command.id}`, outcome);
}

function park(books: Books, command: Command, code: string): void {
  books.parked.set(command.key, [...(books.parked.get(command.key) ?? []), { id: command.id, code }]);
}

/** The same headers and bytes are kept once. */
function keepStray(books: Books, entry: Entry, reason: string): void {
  const text = wholeText(entry.delivery);
  if (!books.strays.some((each) => each.text === text)) books.strays.push({ text, reason });
}

/** All that an entry consists of, as text that two different entries never share. */
export function wholeText(of: Pick<Delivery, 'headers' | 'bytes'>): string {
  const headers = Object.entries(of.headers).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${JSON.stringify(headers)} ${Buffer.from(of.bytes).toString('base64')}`;
}

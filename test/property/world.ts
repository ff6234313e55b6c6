// Owns the small world of the property tests: two resource types whose commands meet every way a decision can go.
import { z } from 'zod';
import { contract } from '../../shared/command/contract.ts';
import type { Json } from '../../shared/command/identity.ts';
import type { CommandContext, Decision, ResourceType, ResourceTypes } from '../../shared/resources/resource-type.ts';
import type { RowStore } from '../../shared/resources/row-store.ts';
import { bytea, integer, numeric, text, uuid } from '../../shared/resources/columns.ts';
import { jsonb } from '../../shared/resources/json-column.ts';
import { tableRows } from '../../shared/resources/table-rows.ts';
import { timestamptz } from '../../shared/resources/temporal-columns.ts';

interface Counter {
  readonly value: number;
}

const counterContract = contract('counter', {
  open: z.strictObject({}),
  put: z.strictObject({ value: z.int() }),
  add: z.strictObject({ by: z.int() }),
  brittle: z.strictObject({}),
  close: z.strictObject({}),
  purge: z.strictObject({}),
  vandal: z.strictObject({}),
  later: z.strictObject({}),
  nonsense: z.strictObject({ which: z.int().min(0).max(7) }),
});

/** A bigint key: `2` and `02` would be one row, so `02` is not canonical and `x` cannot be a key at all. */
const counterRows = (prefix: string): RowStore<Counter> => ({
  table: `${prefix}counters`,
  key: { name: 'id', sqlType: 'bigint' },
  revisionColumn: 'revision',
  columns: [{ name: 'value', sqlType: 'bigint' }],
  canonicalSubject: (subject) => (/^[0-9]{1,15}$/.test(subject) ? String(Number(subject)) : null),
  encode: (state) => [String(state.value)],
  decode: ([value]) => ({ value: Number(value) }),
});

type CounterCommand = typeof counterContract extends { commands: ReadonlyMap<infer Name, unknown> }
  ? { readonly name: Name; readonly data: unknown }
  : never;

const counterType = (prefix: string): ResourceType<Counter, CounterCommand> => ({
  contract: counterContract,
  rows: counterRows(prefix),
  decide: (state, command, about) => decideCounter(state, command.name, command.data, about),
});

interface Payload {
  readonly value?: number;
  readonly by?: number;
  readonly which?: number;
}

function decideCounter(state: Counter | null, name: string, data: unknown, about: CommandContext): Decision<Counter> {
  const payload = data as Payload; // the contract's schemas let nothing else through
  const reply: Json = {
    id: about.id,
    before: about.revision,
    value: state?.value ?? null,
    at: about.time.toISOString(),
  };
  switch (name) {
    case 'open':
      if (state !== null) return { kind: 'reject', code: 'exists', detail: `holds ${state.value}` };
      return { kind: 'change', state: { value: 0 }, reply };
    case 'put':
      return { kind: 'change', state: { value: payload.value ?? 0 }, reply };
    case 'add':
      if (state === null) return { kind: 'reject', code: 'absent', detail: 'nothing to add to' };
      if (payload.by === 0) return { kind: 'unchanged', reply };
      return { kind: 'change', state: { value: state.value + (payload.by ?? 0) } };
    case 'brittle':
      if (state !== null && state.value % 2 !== 0) throw new Error(`odd at ${state.value}\u0000`);
      return { kind: 'unchanged' };
    case 'close':
      if (state === null) return { kind: 'reject', code: 'absent', detail: 'nothing to close' };
      return { kind: 'change', state: null, reply };
    case 'purge':
      return { kind: 'change', state: null, reply };
    case 'vandal':
      if (state !== null) (state as { value: number }).value = 1_000_000; // a bug that a developer may write
      throw new Error('half done');
    case 'later':
      return Promise.resolve({ kind: 'unchanged' }) as unknown as Decision<Counter>; // another such bug
    default:
      return NONSENSE[payload.which ?? 0] as Decision<Counter>; // and some more
  }
}

const NONSENSE: readonly unknown[] = [
  undefined,
  null,
  'change',
  { kind: 'explode' },
  { kind: 'reject', code: 7, detail: 'a code is text' },
  { kind: 'change' },
  { kind: 'reject', code: 'No Spaces Please', detail: '' },
  { kind: 'unchanged', reply: () => 'not JSON' },
];

/** Every column reads otherwise than a command may write it, but for `text` and `edits`. */
interface Note {
  readonly text: string;
  readonly edits: number;
  readonly price: string;
  readonly at: string;
  readonly owner: string;
  readonly doc: Json;
  readonly mark: Uint8Array;
}

const noteContract = contract('note', {
  write: z.strictObject({ text: z.string().max(40) }),
  erase: z.strictObject({}),
  curse: z.strictObject({}),
  smudge: z.strictObject({ then: z.enum(['reject', 'throw', 'nothing']) }),
});

const noteRows = (prefix: string): RowStore<Note> =>
  tableRows({
    table: `${prefix}notes`,
    key: { column: 'name', type: 'text' },
    revision: 'changes',
    columns: {
      text: text(),
      edits: integer(),
      price: numeric('price', { scale: 2 }),
      at: timestamptz(),
      owner: uuid(),
      doc: jsonb(),
      mark: bytea(),
    },
  });

/** The reply of a command that a database may be told to refuse, whatever else is written with it. */
export const CURSE = 'cursed';

type NoteCommand = { readonly name: 'write' | 'erase' | 'curse' | 'smudge'; readonly data: unknown };

const noteType = (prefix: string): ResourceType<Note, NoteCommand> => ({
  contract: noteContract, // payloads as decide reads them: unknown
  rows: noteRows(prefix),
  decide(state, command) {
    const payload = command.data as { text?: string; then?: string }; // the schema saw to it
    if (command.name === 'erase') {
      if (state === null) return { kind: 'unchanged', reply: 'was blank' };
      return { kind: 'change', state: null };
    }
    if (command.name === 'curse') return { kind: 'change', state: noteOf('cursed', 0), reply: CURSE };
    if (command.name === 'smudge') return smudge(state, payload.then ?? '');
    const written = payload.text ?? '';
    return { kind: 'change', state: noteOf(written, (state?.edits ?? 0) + 1), reply: [written, seen(state)] };
  },
});

/** In forms that a database gives back otherwise, and with a property that no column is for. */
function noteOf(written: string, edits: number): Note {
  const doc = { zz: new Date(edits), b: undefined, é: null, a: [-0, { y: 1, x: edits }], 10: Number.NaN };
  return {
    text: written,
    edits,
    price: `${edits}.5`,
    at: `2026-11-22T10:00:0${edits % 10}.100+02:00`,
    owner: `0198C2E4-0000-7000-8000-00000000000${edits % 10}`,
    doc: doc as unknown as Json, // what JSON makes of it
    mark: Uint8Array.of(edits % 256, 7),
    ...{ draft: written },
  };
}

/** All that a command can know of a row, to the letter. */
function seen(state: Note | null): Json {
  if (state === null) return null;
  const { text: was, edits, price, at, owner, doc, mark } = state;
  return [was, edits, price, at, owner, JSON.stringify(doc), [...mark], Object.keys(state).length];
}

/** Bytes cannot be frozen: a bug that a developer may write. */
function smudge(state: Note | null, then: string): Decision<Note> {
  if (state === null) return { kind: 'reject', code: 'absent', detail: 'nothing to smudge' };
  state.mark[0] = 255;
  if (then === 'throw') throw new Error('half done');
  if (then === 'reject') return { kind: 'reject', code: 'thought-better', detail: 'but it was smudged already' };
  return { kind: 'unchanged', reply: seen({ ...state, mark: Uint8Array.of() }) };
}

/** `prefix`: what stands before the names of the tables, a schema with its dot or nothing. */
export function worldTypesIn(prefix: string): ResourceTypes {
  const counter = counterType(prefix);
  const note = noteType(prefix);
  return new Map([
    [counter.contract.type, counter as unknown as never], // types erased, as defineConfig does
    [note.contract.type, note as unknown as never],
  ]);
}

export const worldTypes: ResourceTypes = worldTypesIn('');

/** The world's tables, for PostgreSQL; `{tables}` stands for their schema. */
export const WORLD_SQL = `
create table {tables}.counters (id bigint primary key, revision bigint not null, value bigint not null);
create table {tables}.notes (name text primary key, changes bigint not null, text text not null, edits integer not null,
  price numeric(12,2) not null, at timestamptz not null, owner uuid not null, doc jsonb not null, mark bytea not null);
`;

// Owns a batch store on a fresh database, two tables of a developer's, and plans made by hand: what a lane would hand to the store.
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type {
  BatchStep,
  BatchStore,
  LedgerRow,
  Plan,
  Recall,
  RowChange,
  StrayRow,
  ParkedRow,
  Tenure,
  Wanted,
} from '../../consumers/lane/batch-store.ts';
import { postgresBatchStore } from '../../consumers/lane/postgres/store.ts';
import { contract } from '../../shared/command/contract.ts';
import {
  newCommandId,
  newUuid,
  type Uuid,
  partition,
  position,
  resourceKey,
  revision,
  trustedContent,
  trustedEntryHash,
  trustedTypeName,
  type CommandId,
  type ResourceKey,
} from '../../shared/command/identity.ts';
import type { OnelaneEvent } from '../../shared/process/events.ts';
import { systemClock } from '../../shared/process/time.ts';
import { bigint, nullable, text } from '../../shared/resources/columns.ts';
import { defineConfig, resourceType } from '../../shared/resources/define-config.ts';
import type { ResourceTypes } from '../../shared/resources/resource-type.ts';
import { tableRows } from '../../shared/resources/table-rows.ts';
import { freshDatabase, type TestDatabase, type TestDatabaseOptions } from './database.ts';

export const P0 = partition(0);
export const ACCOUNT = trustedTypeName('account');
export const NOTE = trustedTypeName('note');
export const AT = new Date('2026-11-22T10:00:00.123Z');

const TABLES = `
create table {tables}.account (
  id bigint primary key,
  revision bigint not null default 0,
  balance bigint not null default 0 check (balance >= 0),
  owner text
);
create table {tables}.note (
  name text primary key,
  "Changes" bigint not null default 0,
  "order" text not null,
  parent text references {tables}.note (name),
  untouched text not null default 'as it was'
);
`;

export interface StoreBundle {
  readonly db: TestDatabase;
  readonly store: BatchStore;
  readonly types: ResourceTypes;
  readonly events: OnelaneEvent[];
  /** A store as another process would have it. */
  another(lanePool?: TestDatabase['lanePool'], consumer?: Uuid): BatchStore;
  /** One statement on the test's own tables and Onelane's: `{tables}` and `{schema}` stand for the names. */
  sql(text: string, values?: readonly unknown[]): Promise<readonly Record<string, unknown>[]>;
  claim(store?: BatchStore): Promise<Tenure>;
}

export async function storeBundle(options: TestDatabaseOptions = {}): Promise<StoreBundle> {
  const db = await freshDatabase({ lanePoolMax: 2, ...options, sql: TABLES + (options.sql ?? '') });
  const types = typesOf(db.tables);
  const events: OnelaneEvent[] = [];
  const another = (lanePool = db.lanePool, consumer = newUuid()) =>
    postgresBatchStore({
      consumer,
      database: db.database,
      lanePool,
      types,
      ledgerRetentionMs: 30 * 86_400_000,
      observe: (event) => events.push(event),
      clock: systemClock,
    });
  const store = another();
  return {
    db,
    store,
    types,
    events,
    another,
    sql: async (statement, values = []) => {
      const named = statement.replaceAll('{tables}', `"${db.tables}"`).replaceAll('{schema}', `"${db.schema}"`);
      return (await db.database.pool.query<Record<string, unknown>>(named, [...values])).rows;
    },
    claim: (by = store) => by.claim(P0, { owner: newUuid(), contractHash: 'test' }),
  };
}

function typesOf(tables: string): ResourceTypes {
  const account = resourceType({
    contract: contract('account', { deposit: z.strictObject({ amount: z.int() }) }),
    rows: tableRows({
      table: `${tables}.account`,
      key: { column: 'id', type: 'bigint' },
      revision: 'revision',
      columns: { balance: bigint(), owner: nullable(text()) },
    }),
    decide: () => ({ kind: 'unchanged' }),
  });
  const note = resourceType({
    contract: contract('note', { write: z.strictObject({}) }),
    rows: tableRows({
      table: `${tables}.note`,
      key: { column: 'name', type: 'text' },
      revision: 'Changes',
      columns: { text: text('order'), parent: nullable(text()) },
    }),
    decide: () => ({ kind: 'unchanged' }),
  });
  return defineConfig({ resources: [account, note] }).types;
}

export interface AccountState {
  readonly balance: bigint;
  readonly owner: string | null;
}

export interface NoteState {
  readonly text: string;
  readonly parent: string | null;
}

export const accountKey = (id: string): ResourceKey => resourceKey(ACCOUNT, id);
export const noteKey = (name: string): ResourceKey => resourceKey(NOTE, name);

export function wanted(parts: Partial<Omit<Wanted, 'subjects'>> & { accounts?: string[]; notes?: string[] }): Wanted {
  const { accounts = [], notes = [], ...rest } = parts;
  const subjects = new Map([
    ...(accounts.length > 0 ? [[ACCOUNT, accounts] as const] : []),
    ...(notes.length > 0 ? [[NOTE, notes] as const] : []),
  ]);
  return { ids: [], keys: [...accounts.map(accountKey), ...notes.map(noteKey)], entries: [], ...rest, subjects };
}

/** A plan that writes what is given, through position `at`. */
export function planThrough(at: bigint, parts: Partial<Plan> = {}): Plan {
  return {
    rows: [],
    ledger: [],
    parked: [],
    strays: [],
    through: { position: position(at), hash: hashOf(at), appendedAt: AT },
    tally: { entries: 1, applied: 0, rejected: 0, repeated: 0, parked: 0, strays: 0 },
    halt: null,
    progress: 'yes',
    ...parts,
  };
}

export const hashOf = (at: bigint) => trustedEntryHash(at.toString(16).padStart(64, '0'));

/** The change of one account from what was found; null deletes. */
export function changeAccount(found: Recall, id: string, state: AccountState | null): RowChange {
  return change(found, { type: ACCOUNT, subject: id, values: state && [String(state.balance), state.owner] });
}

export function changeNote(found: Recall, name: string, state: NoteState | null): RowChange {
  return change(found, { type: NOTE, subject: name, values: state && [state.text, state.parent] });
}

function change(
  found: Recall,
  to: {
    readonly type: RowChange['type'];
    readonly subject: string;
    readonly values: readonly (string | null)[] | null;
  },
): RowChange {
  const key = resourceKey(to.type, to.subject);
  const before = found.rows.get(key) ?? null;
  const next = revision((before?.revision ?? found.lastRevisions.get(key) ?? 0) + 1);
  return {
    type: to.type,
    key,
    subject: to.subject,
    before,
    after: to.values === null ? null : { values: to.values, revision: next },
    lastRevision: next,
  };
}

/** Adds to what stands there; an account that is missing begins at 0. */
export function deposit(found: Recall, id: string, amount: bigint): RowChange {
  // The bundle's own state of this type.
  const before = found.rows.get(accountKey(id))?.state as AccountState | undefined;
  return changeAccount(found, id, { balance: (before?.balance ?? 0n) + amount, owner: before?.owner ?? null });
}

export function stepOf(about: Wanted, plan: BatchStep['plan']): BatchStep {
  return { wanted: about, plan };
}

export function ledgerRow(parts: Partial<LedgerRow> & Pick<LedgerRow, 'key'>): LedgerRow {
  return {
    id: newCommandId(),
    content: someContent(),
    at: AT,
    outcome: 'applied',
    revision: revision(1),
    code: null,
    detail: null,
    reply: null,
    ...parts,
  };
}

export function parkedRow(parts: Partial<ParkedRow> & Pick<ParkedRow, 'key' | 'number'>): ParkedRow {
  return {
    id: newCommandId(),
    content: someContent(),
    position: position(0),
    bytes: Buffer.from('{"a":"\u0000"}'),
    headers: { 'onelane-layout': '1' },
    appendedAt: AT,
    failure: { code: 'decide-threw', detail: 'it threw' },
    ...parts,
  };
}

export function strayRow(at: bigint, parts: Partial<StrayRow> = {}): StrayRow {
  return {
    position: position(at),
    hash: hashOf(at),
    reason: 'unreadable',
    detail: 'not JSON',
    id: null,
    key: null,
    bytes: Buffer.from([0, 1, 255]),
    headers: {},
    appendedAt: AT,
    ...parts,
  };
}

export const someContent = () => trustedContent(randomBytes(32).toString('hex'));
export const ids = (count: number): CommandId[] => Array.from({ length: count }, newCommandId);

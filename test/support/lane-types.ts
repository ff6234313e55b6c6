// Owns the resource types of the lane's scenarios: their `decide` guards nothing, so that the database has to.
import {
  bigint,
  contract,
  defineConfig,
  integer,
  nullable,
  resourceType,
  tableRows,
  text,
  z,
} from '../../shared/resources/index.ts';
import type { ResourceTypes } from '../../shared/resources/resource-type.ts';

export const SCENARIO_SQL = `
create table {tables}.account (id bigint primary key, revision bigint not null, balance bigint not null check (balance >= 0));
create table {tables}.seat (
  name text primary key,
  changes bigint not null,
  place integer,
  constraint seat_place unique (place) deferrable initially deferred
);
create table {tables}.parent (name text primary key, revision bigint not null, remark text not null);
create table {tables}.child (
  name text primary key,
  revision bigint not null,
  parent text not null references {tables}.parent (name)
)`;

export function scenarioTypes(tables: string): ResourceTypes {
  return defineConfig({ resources: [accountIn(tables), seatIn(tables), parentIn(tables), childIn(tables)] }).types;
}

function accountIn(tables: string) {
  return resourceType({
    contract: contract('account', {
      add: z.strictObject({ by: z.int() }),
      close: z.strictObject({}),
      explode: z.strictObject({}),
    }),
    rows: tableRows({
      table: `${tables}.account`,
      key: { column: 'id', type: 'bigint' },
      revision: 'revision',
      columns: { balance: bigint() },
    }),
    decide(state, command) {
      if (command.name === 'explode') throw new Error('a bug in decide');
      if (command.name === 'close') return { kind: 'change', state: null };
      return { kind: 'change', state: { balance: (state?.balance ?? 0n) + BigInt(command.data.by) } };
    },
  });
}

function seatIn(tables: string) {
  return resourceType({
    contract: contract('seat', { take: z.strictObject({ place: z.int().nullable() }), leave: z.strictObject({}) }),
    rows: tableRows({
      table: `${tables}.seat`,
      key: { column: 'name', type: 'text' },
      revision: 'changes',
      columns: { place: nullable(integer()) },
    }),
    decide: (_state, command) => ({
      kind: 'change',
      state: command.name === 'leave' ? null : { place: command.data.place },
    }),
  });
}

function parentIn(tables: string) {
  return resourceType({
    contract: contract('parent', { write: z.strictObject({ remark: z.string() }), erase: z.strictObject({}) }),
    rows: tableRows({
      table: `${tables}.parent`,
      key: { column: 'name', type: 'text' },
      revision: 'revision',
      columns: { remark: text() },
    }),
    decide: (_state, command) => ({
      kind: 'change',
      state: command.name === 'erase' ? null : { remark: command.data.remark },
    }),
  });
}

function childIn(tables: string) {
  return resourceType({
    contract: contract('child', { join: z.strictObject({ parent: z.string() }), leave: z.strictObject({}) }),
    rows: tableRows({
      table: `${tables}.child`,
      key: { column: 'name', type: 'text' },
      revision: 'revision',
      columns: { parent: text() },
    }),
    decide: (_state, command) => ({
      kind: 'change',
      state: command.name === 'leave' ? null : { parent: command.data.parent },
    }),
  });
}

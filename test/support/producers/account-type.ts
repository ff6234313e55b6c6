// Owns the resource type that tests of producers use: an account with a bigint key, over a table of the test's own.
import { z } from 'zod';
import { contract } from '../../../shared/command/contract.ts';
import type { AnyResourceType, ResourceTypes } from '../../../shared/resources/resource-type.ts';
import type { RowStore } from '../../../shared/resources/row-store.ts';

export const ACCOUNT_SQL = `
create table {tables}.account (
  id bigint primary key,
  revision bigint not null,
  balance bigint not null
);
create table {tables}.note (
  path text primary key,
  revision bigint not null,
  body text not null
)`;

const accounts = contract('account', {
  open: z.strictObject({}),
  deposit: z.strictObject({ amount: z.int().positive(), tags: z.array(z.string().max(5)).optional() }),
  import: z.looseObject({}),
});
const notes = contract('note', { write: z.strictObject({ body: z.string() }) });

/** Only what producers use of a resource type does something. */
export function testTypes(tables: string): ResourceTypes {
  const types: readonly AnyResourceType[] = [
    resourceType(accounts, {
      table: `${tables}.account`,
      key: { name: 'id', sqlType: 'bigint' },
      revisionColumn: 'revision',
      columns: [{ name: 'balance', sqlType: 'bigint' }],
      canonicalSubject: (subject) => (/^-?[0-9]{1,18}$/.test(subject) ? String(BigInt(subject)) : null),
      encode: () => [],
      decode: ([balance]) => ({ balance: BigInt(balance ?? '0') }),
    }),
    resourceType(notes, {
      table: `${tables}.note`,
      key: { name: 'path', sqlType: 'text' },
      revisionColumn: 'revision',
      columns: [{ name: 'body', sqlType: 'text' }],
      canonicalSubject: (subject) => subject,
      encode: () => [],
      decode: ([body]) => ({ body: body ?? '' }),
    }),
  ];
  return new Map(types.map((type) => [type.contract.type, type]));
}

function resourceType(contractOf: AnyResourceType['contract'], rows: RowStore<unknown>): AnyResourceType {
  return { contract: contractOf, decide: () => ({ kind: 'unchanged' }), rows };
}

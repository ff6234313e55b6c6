// Owns the resource type of the bench: accounts with a balance, as the bank has them, keyed by number.
import { contract } from '../../shared/command/contract.ts';
import { bigint } from '../../shared/resources/columns.ts';
import { resourceType } from '../../shared/resources/define-config.ts';
import type { AnyResourceType } from '../../shared/resources/resource-type.ts';
import { tableRows } from '../../shared/resources/table-rows.ts';
import { z } from 'zod';

/** `schema`: where the table lies. */
export function accounts(schema: string): AnyResourceType {
  const type = resourceType({
    contract: contract('account', { deposit: z.strictObject({ amount: z.int().positive() }) }),
    rows: tableRows({
      table: `${schema}.account`,
      key: { column: 'id', type: 'bigint' },
      revision: 'revision',
      columns: { balance: bigint() },
    }),
    decide: (state, command) => {
      const balance = (state?.balance ?? 0n) + BigInt(command.data.amount);
      return { kind: 'change', state: { balance }, reply: { balance: String(balance) } };
    },
  });
  return type;
}

/** The table with `rows` accounts in it; `{tables}` stands for its schema. */
export function accountTable(rows: number): string {
  return `
    create table {tables}.account (id bigint primary key, revision bigint not null, balance bigint not null) with (fillfactor = 50);
    insert into {tables}.account select n, 1, 1000000 from generate_series(1, ${rows}) as n;
    analyze {tables}.account;`;
}

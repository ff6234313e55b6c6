// Owns the config of a consumer whose commands kill it: one aborts the process, one never returns.
import { bigint, contract, defineConfig, resourceType, tableRows, z } from 'onelane';

const account = resourceType({
  contract: contract('account', {
    add: z.strictObject({ by: z.int() }),
    abort: z.strictObject({}),
    hang: z.strictObject({}),
  }),
  rows: tableRows({
    table: 'account',
    key: { column: 'id', type: 'bigint' },
    revision: 'revision',
    columns: { balance: bigint() },
  }),
  decide(state, command) {
    if (command.name === 'abort') process.abort();
    if (command.name === 'hang') for (;;);
    return { kind: 'change', state: { balance: (state?.balance ?? 0n) + BigInt(command.data.by) } };
  },
});

export default defineConfig({ resources: [account], sql: ['killers.sql'] });

// Owns the bank: accounts that are opened, filled, emptied and closed.
import { bigint, contract, defineConfig, resourceType, tableRows, z } from 'onelane';

/** In the smallest unit of the currency, so that nothing is ever rounded. */
const amount = z.int().positive();
const BALANCE_MAX = 2n ** 63n - 1n;

const account = resourceType({
  contract: contract('account', {
    open: z.strictObject({}),
    deposit: z.strictObject({ amount }),
    withdraw: z.strictObject({ amount }),
    close: z.strictObject({}),
  }),

  rows: tableRows({
    table: 'account',
    key: { column: 'id', type: 'text' },
    revision: 'revision',
    columns: { balance: bigint() },
  }),

  decide(state, command) {
    if (command.name === 'open') {
      return state === null ? balanceOf(0n) : no('account-exists', 'this account is open already');
    }
    if (state === null) return no('account-unknown', 'there is no such account: open it first');
    switch (command.name) {
      case 'deposit': {
        const balance = state.balance + BigInt(command.data.amount);
        return balance > BALANCE_MAX ? no('balance-too-large', 'this account cannot hold so much') : balanceOf(balance);
      }
      case 'withdraw': {
        const balance = state.balance - BigInt(command.data.amount);
        return balance < 0n ? no('insufficient-funds', `the balance is ${state.balance}`) : balanceOf(balance);
      }
      case 'close':
        return state.balance === 0n
          ? { kind: 'change', state: null }
          : no('balance-not-zero', `the balance is ${state.balance}: withdraw it first`);
    }
  },
});

export default defineConfig({ resources: [account], sql: ['bank.sql'] });

function balanceOf(balance: bigint) {
  return { kind: 'change', state: { balance }, reply: { balance: String(balance) } } as const;
}

function no(code: string, detail: string) {
  return { kind: 'reject', code, detail } as const;
}

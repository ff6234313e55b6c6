// Contracts: names that can stand in an event, schemas that can be compared, and one hash for all that a process knows.
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { contract, ContractMalformed, contractsHash } from '../../../shared/command/contract.ts';
import { DETAIL_LENGTH_MAX, storableText } from '../../../shared/command/failure.ts';

function bundle() {
  const open = z.strictObject({});
  const deposit = z.strictObject({ amount: z.int().min(1) });
  return { open, deposit, account: contract('account', { open, deposit }) };
}

describe('a contract', () => {
  it('knows its type, its commands and their schemas', () => {
    const { account, deposit } = bundle();
    expect(account.type).toBe('account');
    expect([...account.commands.keys()]).toEqual(['open', 'deposit']);
    expect(account.commands.get('deposit')).toBe(deposit);
  });

  it('is the same contract in whatever order it was written', () => {
    const { open, deposit, account } = bundle();
    expect(contract('account', { deposit, open }).fingerprint).toBe(account.fingerprint);
  });

  it('is another contract with one command more, another bound or another type', () => {
    const { open, deposit, account } = bundle();
    const others = [
      contract('account', { open, deposit, close: open }),
      contract('account', { open, deposit: z.strictObject({ amount: z.int().min(0) }) }),
      contract('konto', { open, deposit }),
    ];
    expect(new Set([account, ...others].map((each) => each.fingerprint)).size).toBe(4);
  });

  it.each(['', 'a.b', '1a', 'onelane', 'a/b', 'ä'])('refuses the resource type %j', (type) => {
    expect(() => contract(type, {})).toThrow(ContractMalformed);
  });

  it.each(['', '1a', 'a b', 'a\n', 'ä', '__proto__'])('refuses the command name %j', (name) => {
    expect(() => contract('account', Object.fromEntries([[name, bundle().open]]))).toThrow(ContractMalformed);
  });

  it.each([
    ['a date', z.date()],
    ['a bigint', z.bigint()],
    ['a transform', z.string().transform((text) => text.length)],
    ['a map', z.map(z.string(), z.string())],
  ])('refuses a schema that is no JSON schema: %s', (_, schema) => {
    expect(() => contract('account', { open: schema })).toThrow(/"account.open" has no JSON schema/);
  });
});

describe('the hash of all contracts', () => {
  it('does not depend on their order and changes with any of them', () => {
    const { account, open } = bundle();
    const file = contract('file', { change: open });
    expect(contractsHash([account, file])).toBe(contractsHash([file, account]));
    expect(contractsHash([account])).not.toBe(contractsHash([account, file]));
    expect(contractsHash([])).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe('storable text', () => {
  it('has no NUL, no lone surrogate and a bound, and is otherwise itself', () => {
    expect(storableText('as it is: 😀')).toBe('as it is: 😀');
    expect(storableText('a\0b\ud800c')).toBe('a\ufffdb\ufffdc');
    const cut = storableText('😀'.repeat(DETAIL_LENGTH_MAX));
    expect(cut.length).toBe(DETAIL_LENGTH_MAX);
    expect(storableText(`x${cut}`).isWellFormed()).toBe(true);
  });
});

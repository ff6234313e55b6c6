// Names in SQL and versions of servers: what is taken and what is refused.
import { describe, expect, it } from 'vitest';
import { DatabaseTooOld, tooOld } from '../../../shared/postgres/database-errors.ts';
import { rangeOfName } from '../../../shared/postgres/ledger-partitions.ts';
import { appendedChannel, outcomesChannel } from '../../../shared/postgres/notify.ts';
import { quoted, quoteTable, schemaName, SchemaNameMalformed } from '../../../shared/postgres/schema-name.ts';

describe('schema names', () => {
  it('a plain name is taken and quoted as it is', () => {
    expect(quoted(schemaName('onelane'))).toBe('"onelane"');
    expect(quoted(schemaName('Orders_2'))).toBe('"Orders_2"');
  });

  it.each(['', 'a b', 'a"b', '1a', 'a;b', 'pg_x', 'public', 'information_schema', 'ä', 'x'.repeat(49)])(
    '%j is refused',
    (text) => {
      expect(() => schemaName(text)).toThrow(SchemaNameMalformed);
    },
  );

  it('the longest name leaves room for its channels', () => {
    const longest = schemaName('x'.repeat(48));
    for (const channel of [outcomesChannel(longest), appendedChannel(longest)]) expect(channel.length).toBeLessThan(64);
    expect(outcomesChannel(longest)).not.toBe(appendedChannel(longest));
  });
});

describe('table names', () => {
  it.each([
    ['account', '"account"'],
    ['app.account', '"app"."account"'],
    ['app.We"ird', '"app"."We""ird"'],
  ])('%s becomes %s', (table, sql) => {
    expect(quoteTable(table)).toBe(sql);
  });

  it.each(['', 'a.', '.b', 'a\u0000b'])('%j is refused', (table) => {
    expect(() => quoteTable(table)).toThrow(SchemaNameMalformed);
  });
});

describe('server versions', () => {
  it('14 is new enough, 13 is not, and the sentence names both', () => {
    expect(tooOld(140_000, 'here')).toBeNull();
    expect(tooOld(180_004, 'here')).toBeNull();
    const old = tooOld(130_022, 'db:5432/app');
    expect(old).toBeInstanceOf(DatabaseTooOld);
    expect(old?.message).toMatch(/db:5432\/app is version 13.*14 or newer/);
    expect(tooOld(Number.NaN, 'here')).toBeInstanceOf(DatabaseTooOld);
  });
});

describe('names of ledger partitions', () => {
  it('say their bounds, also before 1970; other tables are nobody to prune', () => {
    expect(rangeOfName('ledger_-1000_2000')).toEqual({ from: new Date(-1_000), to: new Date(2_000) });
    for (const name of ['ledger', 'ledger_1', 'ledger_1_2_3', 'parked', 'xledger_1_2'])
      expect(rangeOfName(name)).toBeNull();
  });
});

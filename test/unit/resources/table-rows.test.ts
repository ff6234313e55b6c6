// Proves what a mapping says about itself: the state's type, its keys, its faults; and that a config and its decide are typed by it.
import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { contract } from '../../../shared/command/contract.ts';
import type { Json } from '../../../shared/command/identity.ts';
import {
  bigint,
  boolean,
  bytea,
  custom,
  double,
  nullable,
  numeric,
  text,
  textArray,
} from '../../../shared/resources/columns.ts';
import {
  ConfigMalformed,
  defineConfig,
  isConfig,
  resourceType,
  sqlFiles,
} from '../../../shared/resources/define-config.ts';
import { jsonb } from '../../../shared/resources/json-column.ts';
import { canonicalKey } from '../../../shared/resources/keys.ts';
import type { AnyResourceType } from '../../../shared/resources/resource-type.ts';
import { TableMappingMalformed, tableRows } from '../../../shared/resources/table-rows.ts';
import { timestamptz } from '../../../shared/resources/temporal-columns.ts';

const rows = tableRows({
  table: 'bank.account',
  key: { column: 'id', type: 'bigint' },
  revision: 'revision',
  columns: {
    balance: bigint('Balance'),
    owner: nullable(text()),
    doc: jsonb('doc', z.object({ tags: z.array(z.string()) })),
    free: jsonb(),
    at: timestamptz(),
    price: numeric(),
    color: custom('color', {
      sqlType: 'color',
      encode: (v: 'red' | 'blue') => v,
      decode: (v) => (v === 'red' ? 'red' : 'blue'),
    }),
    bytes: bytea(),
    tags: textArray(),
    ratio: double(),
    on: boolean(),
  },
});

interface State {
  readonly balance: bigint;
  readonly owner: string | null;
  readonly doc: { tags: string[] };
  readonly free: Json;
  readonly at: string;
  readonly price: string;
  readonly color: 'red' | 'blue';
  readonly bytes: Uint8Array;
  readonly tags: readonly string[];
  readonly ratio: number;
  readonly on: boolean;
}

const bank = contract('account', { open: z.strictObject({}), deposit: z.strictObject({ amount: z.int() }) });

describe('a mapping', () => {
  it('gives the state’s type', () => {
    expectTypeOf<Parameters<typeof rows.encode>[0]>().toEqualTypeOf<State>();
    expectTypeOf<ReturnType<typeof rows.decode>>().toEqualTypeOf<State>();
  });

  it('reads a column from its own name or from the property’s', () => {
    expect(rows.columns.map((column) => column.name)).toEqual([
      'Balance',
      'owner',
      'doc',
      'free',
      'at',
      'price',
      'color',
      'bytes',
      'tags',
      'ratio',
      'on',
    ]);
  });

  it('names the column that a state does not fit', () => {
    const small = tableRows({
      table: 't',
      key: { column: 'id', type: 'text' },
      revision: 'r',
      columns: { n: bigint('n n') },
    });
    // A developer without TypeScript.
    expect(() => small.encode({ n: 1 } as never)).toThrow(/column "n n".*bigint/);
    expect(() => small.encode({} as never)).toThrow(/no property "n"/);
    expect(() => small.decode(['x'])).toThrow(/column "n n"/);
  });

  const cases = [
    ['a table without a name', { table: '' }],
    ['a table with three names', { table: 'a.b.c' }],
    ['a schema without a name', { table: '.t' }],
    ['a column mapped twice', { columns: { a: text('x'), b: text('x') } }],
    ['the key as a column', { columns: { id: text() } }],
    ['the revision as the key', { revision: 'id' }],
    ['an empty name', { columns: { a: text('') } }],
    ['a name that PostgreSQL would cut', { columns: { a: text('é'.repeat(32)) } }],
    ['a NUL in a name', { columns: { a: text('a\u0000') } }],
    ['a key of another type', { key: { column: 'id', type: 'numeric' as never } }],
  ] as const;
  it.each(cases)('is malformed with %s', (_, part) => {
    const whole = { table: 't', key: { column: 'id', type: 'text' as const }, revision: 'r', columns: {}, ...part };
    expect(() => tableRows(whole)).toThrow(TableMappingMalformed);
  });
});

describe('a key', () => {
  const cases = [
    ['bigint', { '2': '2', '02': '2', '+2': '2', '-0': '0', '-7': '-7', '9223372036854775807': '9223372036854775807' }],
    [
      'bigint',
      {
        '9223372036854775808': null,
        '-9223372036854775808': '-9223372036854775808',
        '1.0': null,
        '': null,
        ' 1': null,
        '1e3': null,
        '٣': null,
      },
    ],
    ['integer', { '2147483647': '2147483647', '2147483648': null, '-2147483648': '-2147483648', '000': '0', x: null }],
    [
      'uuid',
      {
        'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11': 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
        a0eebc999c0b4ef8bb6d6bb9bd380a11: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
        '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}': 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
        nope: null,
      },
    ],
    ['text', { '02': '02', ' x ': ' x ', '': '' }],
  ] as const;
  it.each(cases)('of type %s has one spelling', (type, spellings) => {
    for (const [subject, canonical] of Object.entries(spellings)) {
      expect(canonicalKey(type, subject), subject).toBe(canonical);
      if (canonical !== null) expect(canonicalKey(type, canonical)).toBe(canonical);
    }
  });
});

describe('a resource type', () => {
  it('types decide by contract and rows, and what it returns by the state', () => {
    const account = resourceType({
      contract: bank,
      rows,
      decide(state, command, about) {
        expectTypeOf(state).toEqualTypeOf<State | null>();
        expectTypeOf(about.revision).toExtend<number>();
        if (command.name === 'deposit') {
          expectTypeOf(command.data).toEqualTypeOf<{ amount: number }>();
          if (state === null) return { kind: 'reject', code: 'absent', detail: '' };
          return { kind: 'change', state: { ...state, balance: state.balance + BigInt(command.data.amount) } };
        }
        expectTypeOf(command.name).toEqualTypeOf<'open'>();
        return { kind: 'unchanged' };
      },
    });
    expectTypeOf(account).toExtend<AnyResourceType>();
    // @ts-expect-error: a state of another form is not what the rows hold
    resourceType({ contract: bank, rows, decide: () => ({ kind: 'change', state: { balance: 1 } }) });
    // @ts-expect-error: there is no such command
    resourceType({ contract: bank, rows, decide: (_, command) => (command.name === 'close' ? NOTHING : NOTHING) });
    expect(defineConfig({ resources: [account], sql: ['./bank.sql'] })).toMatchObject({ kind: 'onelane-config' });
  });
});

const NOTHING = { kind: 'unchanged' } as const;

describe('a config', () => {
  const account = resourceType({ contract: bank, rows, decide: () => NOTHING });

  it('knows its types by name and its SQL files by where it lies', () => {
    const config = defineConfig({ resources: [account], sql: ['./bank.sql', '/abs/x.sql'] });
    expect(config.types.get(bank.type)).toBe(account);
    expect(sqlFiles(config, '/app/examples/onelane.config.ts')).toEqual(['/app/examples/bank.sql', '/abs/x.sql']);
    expect(isConfig(config)).toBe(true);
    expect(isConfig({ resources: [] })).toBe(false);
  });

  it.each([
    ['no resources', {}],
    ['an empty list', { resources: [] }],
    ['one type twice', { resources: [account, account] }],
    ['a type without decide', { resources: [{ ...account, decide: undefined }] }],
    ['a type without rows', { resources: [{ contract: bank, decide: () => NOTHING }] }],
    ['nothing in the list', { resources: [undefined] }],
    ['sql that names no files', { resources: [account], sql: [7] }],
  ])('is malformed with %s', (_, given) => {
    // As a developer without TypeScript may write it.
    expect(() => defineConfig(given as never)).toThrow(ConfigMalformed);
  });
});

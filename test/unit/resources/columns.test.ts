// Proves what codecs refuse, and the text forms that they share with PostgreSQL.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  hexArray,
  parseArray,
  plainArray,
  quotedArray,
  StatementTooLarge,
} from '../../../shared/resources/array-text.ts';
import {
  bigint,
  boolean,
  bytea,
  custom,
  double,
  integer,
  nullable,
  numeric,
  text,
  textArray,
  uuid,
  ValueNotStorable,
  type Column,
} from '../../../shared/resources/columns.ts';
import { jsonb } from '../../../shared/resources/json-column.ts';
import { date, timestamptz } from '../../../shared/resources/temporal-columns.ts';

describe('a codec refuses to store', () => {
  const cases: readonly (readonly [string, Column<unknown>, readonly unknown[]])[] = [
    ['integer', integer(), [1.5, 2 ** 31, -(2 ** 31) - 1, NaN, '1', 1n, null]],
    ['bigint', bigint(), [2n ** 63n, -(2n ** 63n) - 1n, 1, '1', null]],
    ['numeric', numeric(), [1, '1e5', '.5', '5.', '01', '+1', '', ' 1', null]],
    ['numeric with a scale', numeric('n', { scale: 2 }), ['1.234', '0.001']],
    ['double', double(), ['1', 1n, null]],
    ['boolean', boolean(), ['true', 1, null]],
    ['text', text(), ['a\u0000', '\ud800', 1, null]],
    ['uuid', uuid(), ['x', '', '0198c2e4', 1]],
    ['bytea', bytea(), ['text', [1], null]],
    ['text[]', textArray(), [['\u0000'], [1]]],
    [
      'timestamptz',
      timestamptz(),
      [
        '2026-02-30T00:00:00Z',
        '2026-01-01',
        '2026-01-01T00:00:00',
        '2026-01-01T24:00:00.000Z',
        '2026-01-01T00:00:00.1234567Z',
        5,
        new Date(),
      ],
    ],
    ['date', date(), ['2026-02-30', '2026-1-1', '0000-01-01', 5]],
    ['jsonb', jsonb(), [undefined, () => 1]],
    ['null', nullable(integer()), ['x', undefined]],
  ];
  it.each(cases)('as %s what it would change', (_, column, values) => {
    for (const value of values) expect(() => column.encode(value), String(value)).toThrow(ValueNotStorable);
  });
});

describe('a codec', () => {
  it('does not read a null that the mapping rules out', () => {
    expect(() => bigint().decode(null)).toThrow(/nullable/);
    expect(nullable(bigint()).decode(null)).toBeNull();
    expect(nullable(bigint()).encode(null)).toBeNull();
    expect(() => textArray().decode('{a,NULL}')).toThrow(ValueNotStorable);
    expect(() => textArray().decode('{{a},{b}}')).toThrow(/dimension/);
    expect(() => textArray().decode('[0:1]={a,b}')).toThrow(/bounds/);
  });

  it('stores instants in UTC and reads them as ISO', () => {
    const at = timestamptz();
    expect(at.encode('2026-11-22T12:00:00.120+02:00')).toBe('2026-11-22 10:00:00.12+00');
    expect(at.decode('2026-11-22 10:00:00.12+00')).toBe('2026-11-22T10:00:00.120Z');
    expect(at.decode('2026-11-22 10:00:00.123456+00')).toBe('2026-11-22T10:00:00.123456Z');
    expect(at.decode('2026-11-22 10:00:00.1234+00')).toBe('2026-11-22T10:00:00.123400Z');
    expect(at.encode('2026-11-22T10:00:00Z')).toBe('2026-11-22 10:00:00+00');
    for (const beyond of ['infinity', '-infinity', '0044-03-15 10:00:00+00 BC', '12026-01-01 00:00:00.5+00']) {
      expect(at.encode(at.decode(beyond))).toBe(beyond);
    }
    for (const beyond of ['infinity', '0044-03-15 BC', '12026-01-01']) {
      expect(date().encode(date().decode(beyond))).toBe(beyond);
    }
  });

  it('keeps −0, the infinities and NaN of a double', () => {
    for (const value of [-0, 0, Infinity, -Infinity, NaN, 5e-324, 1.7976931348623157e308]) {
      expect(double().decode(double().encode(value))).toBe(value);
    }
  });

  it('reads no jsonb number that JavaScript would change', () => {
    for (const lossless of [
      '{"a": [1, 2.50, 1e3, -0.1, 9007199254740993e0]}'.replace('9007199254740993e0', '9007199254740992'),
      '"12345678901234567890"',
      '[0.1000000000000000]',
      '1234567890.1234567',
      '{"1e999": "\\"1e999"}',
    ]) {
      expect(jsonb().decode(lossless)).toEqual(JSON.parse(lossless));
    }
    for (const lossy of ['9007199254740993', '[0.12345678901234567890]', '{"a": 1e999}', '12345678901234567890']) {
      expect(() => jsonb().decode(lossy), lossy).toThrow(ValueNotStorable);
    }
  });

  it('of a document with a schema gives the schema’s type, and refuses what does not match', () => {
    const doc = jsonb('doc', z.object({ name: z.string() }));
    expect(doc.decode('{"name":"x"}')).toEqual({ name: 'x' });
    expect(() => doc.decode('{"name":1}')).toThrow();
  });

  it('of a document has its names in the order in which PostgreSQL gives them back', () => {
    const doc = { zz: 1, é: 2, a: [{ y: 1, x: 2 }], '10': 3, ['__proto__']: 4 };
    expect(jsonb().encode(doc)).toBe('{"10":3,"a":[{"x":2,"y":1}],"zz":1,"é":2,"__proto__":4}');
  });

  it('can be the developer’s own', () => {
    const color = custom('c', {
      sqlType: 'app.color',
      encode: (v: 'red' | 'green') => v,
      decode: (v) => (v === 'red' ? v : 'green'),
    });
    expect(color).toMatchObject({ name: 'c', sqlType: 'app.color', isNullable: false });
    expect(color.decode(color.encode('red'))).toBe('red');
  });
});

describe('the text form of arrays', () => {
  const elements = fc.array(fc.option(fc.string({ unit: 'binary' })));

  it('is read back as it was printed', () => {
    fc.assert(
      fc.property(elements, (values) => {
        expect(parseArray(quotedArray(values))).toEqual(values);
      }),
    );
  });

  it('tells the text NULL from null, and reads what PostgreSQL leaves unquoted', () => {
    expect(quotedArray(['NULL', null, ''])).toBe('{"NULL",null,""}');
    expect(parseArray('{NULL,"NULL",a b,"",c,null}')).toEqual([null, 'NULL', 'a b', '', 'c', null]);
    expect(parseArray('{}')).toEqual([]);
    for (const broken of ['', '{', 'a', '{"a}', '{"a"b}']) expect(() => parseArray(broken), broken).toThrow();
  });

  it('of numbers and of bytes needs no quotes within', () => {
    expect(plainArray([1, 2n, 'x'])).toBe('{1,2,x}');
    expect(hexArray(['00ff', ''])).toBe('{"\\\\x00ff","\\\\x"}');
    expect([plainArray([]), hexArray([])]).toEqual(['{}', '{}']);
  });

  it('of what no statement can hold are not made', () => {
    const long = 'x'.repeat(60_000_000);
    for (const arrayOf of [quotedArray, hexArray]) {
      expect(arrayOf([long, long]).length).toBeGreaterThan(120_000_000);
      // Beyond the longest string of V8, which would be a RangeError.
      expect(() => arrayOf(Array.from({ length: 9 }, () => long))).toThrow(StatementTooLarge);
    }
  });
});

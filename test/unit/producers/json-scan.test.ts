// Proves that the scan takes what JSON.parse takes, finds the elements of a list, and bounds what a parser would have to build.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonScan, type Scanned } from '../../../producers/http/json-scan.ts';

function scan(text: string, cuts: readonly number[] = [], elementsMax = 1_000): Scanned {
  const bytes = Buffer.from(text);
  const scanner = new JsonScan(elementsMax);
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    scanner.push(bytes.subarray(from, from + cut));
    from += cut;
  }
  return scanner.end();
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const elementsOf = (text: string, scanned: Scanned) =>
  scanned.kind === 'list'
    ? scanned.elements.map(({ from, to }): unknown => JSON.parse(Buffer.from(text).subarray(from, to).toString()))
    : null;

/** Pieces of JSON in any order: mostly broken, some only just. */
const pieces = fc
  .array(
    fc.constantFrom(
      ...'{}[],:"\\/ \t\n-+.0123eEu',
      'true',
      'nul',
      'false',
      '"a"',
      '""',
      '\\u00e9',
      '\\ud8',
      'ü',
      '\u0001',
      '[]',
      '{"a":1}',
      '-0',
      '1e5',
      '01',
      '1.',
      '.5',
    ),
    { maxLength: 12 },
  )
  .map((each) => each.join(''));
const cutsInto = fc.array(fc.nat({ max: 9 }), { maxLength: 9 });

/** A document with one character left out, doubled, or replaced. */
const almost = fc
  .tuple(fc.json({ maxDepth: 3 }), fc.nat(), fc.constantFrom('', '"', ',', ']', '}', ':', '0', '\\', 'e', '-', ' '))
  .map(([text, at, by]) => text.slice(0, at % (text.length + 1)) + by + text.slice((at % (text.length + 1)) + 1));

describe('the scan', () => {
  it('takes what JSON.parse takes, and nothing else, wherever it is cut', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          pieces,
          almost,
          fc.json(),
          fc.json().map((text) => JSON.stringify(text)),
        ),
        cutsInto,
        (text, cuts) => {
          const { kind } = scan(text, cuts);
          expect(kind !== 'broken' && kind !== 'nothing').toBe(parses(text));
          expect(kind === 'nothing').toBe(/^[ \t\n\r]*$/.test(text));
        },
      ),
      { numRuns: 20_000 },
    );
  });

  it('finds the elements of a list', () => {
    const space = fc.constantFrom('', ' ', '\n\t');
    const list = fc.array(fc.tuple(space, fc.json({ maxDepth: 3 }), space).map((each) => each.join('')));
    fc.assert(
      fc.property(list, cutsInto, (texts, cuts) => {
        const text = ` [${texts.join(',')}]\n`;
        const scanned = scan(text, cuts);
        expect(scanned).toMatchObject({ kind: 'list', count: texts.length });
        expect(elementsOf(text, scanned)).toEqual(JSON.parse(text));
      }),
    );
  });

  it('knows an empty list, and keeps no more elements than it may', () => {
    expect(scan('[ \n]')).toEqual({ kind: 'list', weight: 2, count: 0, elements: [] });
    expect(scan('[1,2,3]', [], 2)).toMatchObject({
      count: 3,
      elements: [
        { from: 1, to: 2 },
        { from: 3, to: 4 },
      ],
    });
  });

  it('skips a byte order mark', () => {
    const text = '\ufeff[1,2]';
    expect(elementsOf(text, scan(text))).toEqual([1, 2]);
  });

  it('weighs at most what the value has on the wire, unless it names the same twice', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value, null, 2);
        const least = JSON.stringify(value).length;
        const scanned = scan(`[${text}]`);
        expect(scanned).toMatchObject({ kind: 'list', count: 1 });
        if (scanned.kind === 'list') expect(scanned.elements[0]?.weight).toBeLessThanOrEqual(least);
        const alone = scan(text);
        expect('weight' in alone ? alone.weight : Infinity).toBeLessThanOrEqual(least);
      }),
    );
  });

  it('weighs everything that a parser has to build', () => {
    expect(scan('[[{},{},[],"a",1,{"b":null}]]')).toMatchObject({ weight: 22, elements: [{ weight: 20 }] });
  });

  it('says where it breaks', () => {
    expect(scan('[1,,2]')).toEqual({ kind: 'broken', detail: 'It is no JSON from byte 4 on.' });
    expect(scan('[1,[2]')).toEqual({ kind: 'broken', detail: 'The JSON does not end: it has 6 bytes.' });
  });

  it('is as deep as the bytes', () => {
    const deep = '['.repeat(200_000) + ']'.repeat(200_000);
    expect(scan(deep)).toMatchObject({ kind: 'list', count: 1 });
    expect(scan(deep.slice(1))).toMatchObject({ kind: 'broken' });
  });
});

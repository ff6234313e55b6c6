// Proves the cutting of a stream into lines, wherever its chunks end, in bounded memory.
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readLines, type Line } from '../../../producers/http/lines.ts';

const LIMITS = { lineBytes: 100, totalBytes: 1_000 };

async function read(chunks: readonly Uint8Array[], limits = LIMITS): Promise<{ lines: Line[]; end: string }> {
  const lines: Line[] = [];
  const reading = readLines(
    Readable.from(
      chunks.map((chunk) => Buffer.from(chunk)),
      { objectMode: false },
    ),
    limits,
  );
  for (;;) {
    const step = await reading.next();
    if (step.done === true) return { lines, end: step.value };
    lines.push(...step.value);
  }
}

const told = (lines: readonly Line[]) =>
  lines.map((line) => [line.number, line.kind === 'json' ? line.value : line.fault.code]);

describe('lines', () => {
  it('are the same wherever the chunks end', async () => {
    const line = fc.oneof(fc.json({ maxDepth: 1 }), fc.constantFrom('', ' ', '{', 'ü', '\r', '{"a":"☃"}\r'));
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 8 }), fc.array(fc.nat({ max: 40 })), async (texts, cuts) => {
        const bytes = Buffer.from(texts.map((text) => text.replaceAll('\n', ' ')).join('\n'));
        const chunks: Buffer[] = [];
        let from = 0;
        for (const cut of cuts) {
          chunks.push(bytes.subarray(from, from + cut + 1));
          from += cut + 1;
        }
        chunks.push(bytes.subarray(from));
        const limits = { lineBytes: 10_000, totalBytes: 1_000_000 };
        const cutUp = await read(
          chunks.filter((chunk) => chunk.length > 0),
          limits,
        );
        const whole = await read(bytes.length === 0 ? [] : [bytes], limits);
        expect(told(cutUp.lines)).toEqual(told(whole.lines));
        const expected = texts.filter((text) => text.trim() !== '').length;
        expect(whole.lines).toHaveLength(expected);
      }),
      { numRuns: 200 },
    );
  });

  it('that are too long are counted, not kept, and the next ones are read', async () => {
    const { lines } = await read([Buffer.from(`1\n"${'x'.repeat(60)}`), Buffer.from(`${'y'.repeat(60)}"\n3`)]);
    expect(told(lines)).toEqual([
      [1, 1],
      [2, 'command-too-large'],
      [3, 3],
    ]);
  });

  it('that are not UTF-8 are unreadable, alone', async () => {
    const { lines } = await read([Buffer.from([0x31, 0x0a, 0xff, 0x0a, 0x33])]);
    expect(told(lines)).toEqual([
      [1, 1],
      [2, 'json-invalid'],
      [3, 3],
    ]);
  });

  it('may begin with a byte order mark', async () => {
    expect(told((await read([Buffer.from('\ufeff1\n2')])).lines)).toEqual([
      [1, 1],
      [2, 2],
    ]);
  });

  it('end at the bound', async () => {
    expect((await read([Buffer.from('1\n'.repeat(400)), Buffer.from('1\n'.repeat(400))])).end).toBe('too-large');
  });
});

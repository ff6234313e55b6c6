// Proves the bound on all bodies that are on their way in: many small ones count as few large ones do.
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { openBodyReader, type ReadBody } from '../../../producers/http/body.ts';

const KIB = 1024;
const LIMIT = 1024 * KIB;

function bundle() {
  const bodies = openBodyReader({ singleBytes: LIMIT, bytesTogether: 512 * KIB, elements: 10 });
  /** A body that has sent so much and does not end. */
  const begin = (size: number): { readonly read: Promise<ReadBody>; end(rest: string): Promise<ReadBody> } => {
    const stream = new PassThrough({ highWaterMark: LIMIT });
    const read = bodies.read(stream, LIMIT, 'many');
    stream.write(' '.repeat(size));
    return {
      read,
      end: (rest) => {
        stream.end(rest);
        return read;
      },
    };
  };
  return { begin };
}

describe('bodies on their way in', () => {
  it('are refused past their bound together, small as each may be, until some have ended', async () => {
    const { begin } = bundle();
    const first = Array.from({ length: 8 }, () => begin(60 * KIB));
    await expect(begin(60 * KIB).read).resolves.toMatchObject({ code: 'refused-busy' });
    for (const body of first) expect(await body.end('1')).toEqual({ kind: 'json', value: 1 });
    expect(await begin(60 * KIB).end('2')).toEqual({ kind: 'json', value: 2 });
  });

  it('find room beside large ones while they are small, and always while they are tiny', async () => {
    const { begin } = bundle();
    const large = begin(500 * KIB);
    await expect(begin(100 * KIB).read).resolves.toMatchObject({ code: 'refused-busy' });
    const small = Array.from({ length: 8 }, () => begin(60 * KIB));
    expect(await begin(4 * KIB - 1).end('3')).toEqual({ kind: 'json', value: 3 });
    for (const body of [large, ...small]) expect(await body.end('1')).toEqual({ kind: 'json', value: 1 });
  });

  it('that are large lists count until they are released', async () => {
    const { begin } = bundle();
    const list = await begin(400 * KIB).end('[1]');
    expect(list).toMatchObject({ kind: 'large-list', count: 1 });
    await expect(begin(200 * KIB).read).resolves.toMatchObject({ code: 'refused-busy' });
    if (list.kind === 'large-list') list.release();
    expect(await begin(200 * KIB).end('1')).toEqual({ kind: 'json', value: 1 });
  });
});

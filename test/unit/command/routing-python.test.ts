// The hash as the page of routing gives it for Python: it runs, and routes as we do.
import { expect, test } from 'vitest';
import { z } from 'zod';
import { describeWhere } from '../../support/describe-where.ts';
import { NO_PYTHON, pythonIn, pythonWith, runPython } from '../../support/docs/python.ts';
import { textOf } from '../house/tree.ts';

const { vectors } = z
  .object({
    vectors: z.array(
      z.object({
        key: z.string(),
        utf8: z.string(),
        murmur2: z.number(),
        partitions: z.record(z.string(), z.number()),
      }),
    ),
  })
  .parse(JSON.parse(textOf('shared/command/routing-vectors.json')));

const python = pythonWith() ?? '';

describeWhere('a Python', python === '' ? NO_PYTHON : null, 'the Python of docs/routing.md', () => {
  const [routing = ''] = pythonIn(textOf('docs/routing.md'));

  test('hashes every vector, and finds its partitions', async () => {
    const keys = vectors.flatMap(({ key, partitions }) =>
      Object.entries(partitions).map(([count, home]) => ({ key, count: Number(count), home })),
    );
    const typed = keys.filter(({ key }) => /^[a-z]+\/./.test(key));
    const program = `${routing}
import json
print(json.dumps([murmur2(bytes.fromhex(text)) for text in json.loads(${JSON.stringify(JSON.stringify(vectors.map(({ utf8 }) => utf8)))})]))
print(json.dumps([partition(*key.split("/", 1), count) for key, count in json.loads(${JSON.stringify(JSON.stringify(typed.map(({ key, count }) => [key, count])))})]))`;
    const [hashes, homes] = (await runPython(python, program)).trim().split('\n');
    expect(z.array(z.number()).parse(JSON.parse(hashes ?? ''))).toEqual(vectors.map(({ murmur2 }) => murmur2 >>> 0));
    expect(z.array(z.number()).parse(JSON.parse(homes ?? ''))).toEqual(typed.map(({ home }) => home));
    expect(typed.length).toBeGreaterThan(20);
  });
});

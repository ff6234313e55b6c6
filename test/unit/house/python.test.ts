// Python in the documents: what it computes is what we compute, and what cannot be run here is at least Python.
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { textOf } from './tree.ts';

const ANSWER_MS = 20_000;
const hasPython = spawnSync('python3', ['--version']).status === 0;
// Nobody reads a line under CI, and every machine of it has Python.
const isSkipped = !hasPython && (process.env['CI'] ?? '') === '';
if (isSkipped)
  process.stderr.write('SKIPPED: this machine lacks python3, with which the Python of the documents is run\n');

const vectorsSchema = z.object({
  vectors: z.array(z.object({ utf8: z.string(), murmur2: z.int(), partitions: z.record(z.string(), z.int()) })),
});

function blocksIn(page: string): readonly string[] {
  return [...textOf(page).matchAll(/^```python\n([^]*?)^```$/gm)].map(([, block]) => block ?? '');
}

/** What it prints. */
function python(program: string, input: string): string {
  const { stdout, stderr, status } = spawnSync('python3', ['-c', program], {
    input,
    encoding: 'utf8',
    timeout: ANSWER_MS,
  });
  if (status !== 0) throw new Error(`python3 ended with ${status}: ${stderr}`);
  return stdout;
}

describe.skipIf(isSkipped)('Python in the documents', () => {
  it('routes every vector as we do', () => {
    const [routing = ''] = blocksIn('docs/routing.md');
    const text = textOf('shared/command/routing-vectors.json');
    const { vectors } = vectorsSchema.parse(JSON.parse(text));
    const asked = `
import json, sys
found = []
for vector in json.load(sys.stdin)["vectors"]:
    key = bytes.fromhex(vector["utf8"])
    resource_type, _, subject = key.decode().partition("/")
    routed = {n: partition(resource_type, subject, int(n)) for n in vector["partitions"]} if b"/" in key else None
    found.append([murmur2(key), routed])
print(json.dumps(found))
`;
    const found = z
      .array(z.tuple([z.int(), z.record(z.string(), z.int()).nullable()]))
      .parse(JSON.parse(python(routing + asked, text)));
    expect(found.map(([hash]) => hash | 0)).toEqual(vectors.map(({ murmur2 }) => murmur2));
    const routed = found.map(([, partitions], at) => partitions ?? vectors[at]?.partitions);
    expect(routed).toEqual(vectors.map(({ partitions }) => partitions));
    expect(found.filter(([, partitions]) => partitions !== null).length).toBeGreaterThan(5);
  });

  it('is Python', () => {
    const blocks = ['README.md', 'docs/routing.md'].flatMap(blocksIn);
    expect(blocks.length).toBeGreaterThan(2);
    for (const block of blocks) python('import sys; compile(sys.stdin.read(), "document", "exec")', block);
  });

  it('is found out when it is none', () => {
    expect(() => python('import sys; compile(sys.stdin.read(), "document", "exec")', 'def (:')).toThrow(/SyntaxError/);
  });
});

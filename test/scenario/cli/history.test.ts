// Proves the history example: exact once, repeats the second time, and a difference is seen.
import { readFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openWorkplace, type Workplace } from '../../support/cli/workplace.ts';

const PACKED = new URL('../../../examples/history/fastify-changes.ndjson.gz', import.meta.url);
const TREE = new URL('../../../examples/history/fastify-final.json.gz', import.meta.url);
const CHANGES = 600;
let place: Workplace;

beforeEach(async () => {
  place = await openWorkplace('own');
  const lines = gunzipSync(readFileSync(PACKED)).toString('utf8').split('\n').slice(0, CHANGES);
  const tree = new Map<string, string>();
  for (const line of lines) {
    // Our own file, one change a line.
    const { path, to } = JSON.parse(line) as { readonly path: string; readonly to: string | null };
    if (to === null) tree.delete(path);
    else tree.set(path, to);
  }
  await place.put('changes.ndjson', lines.join('\n'));
  await place.put('tree.json', JSON.stringify(Object.fromEntries(tree)));
  const [[path = ''] = []] = tree;
  await place.put(
    'wrong.json',
    JSON.stringify({ ...Object.fromEntries(tree), [path]: '0'.repeat(40), more: '1'.repeat(40) }),
  );
});

afterEach(async () => {
  await place.close();
});

const figure = (stdout: string, name: string) =>
  Number(new RegExp(`^${name} +([\\d,]+)`, 'm').exec(stdout)?.[1]?.replaceAll(',', ''));

async function send(...args: readonly string[]) {
  const { code, stdout } = await place.runHistory(args);
  const names = ['commands', 'applied', 'repeats', 'rejections', 'parked', 'differences'] as const;
  const figures: Partial<Record<(typeof names)[number], number>> = {};
  for (const name of names) figures[name] = figure(stdout, name);
  return { code, ...figures };
}

test('the whole history is applied exactly; sent again it is repeats and changes nothing', async () => {
  await cp(PACKED, join(place.directory, 'whole.ndjson.gz'));
  await cp(TREE, join(place.directory, 'whole.json.gz'));
  const exact = { code: 0, commands: 9_025, rejections: 0, parked: 0, differences: 0 };
  expect(await send('whole.ndjson.gz', '--expect', 'whole.json.gz')).toEqual({ ...exact, applied: 9_025, repeats: 0 });
  expect(await send('whole.ndjson.gz', '--expect', 'whole.json.gz')).toEqual({ ...exact, applied: 0, repeats: 9_025 });
});

test('under prefixes a history is sent as often', async () => {
  const exact = { code: 0, rejections: 0, parked: 0, differences: 0 };
  const twice = 2 * CHANGES;
  expect(await send('changes.ndjson', '--expect', 'tree.json', '--repeat', '2')).toEqual({
    ...exact,
    commands: twice,
    applied: twice,
    repeats: 0,
  });
});

test('a tree that differs is seen, path by path, and ends with 1', async () => {
  const { code, stdout } = await place.runHistory(['changes.ndjson', '--expect', 'wrong.json']);
  expect(code).toBe(1);
  expect(figure(stdout, 'differences')).toBe(2);
  expect(stdout).toMatch(/should be 0{40}/);
  expect(stdout).toContain('more is missing');
});

test('each of two runs at once counts its own commands', async () => {
  const both = await Promise.all(['once', 'twice'].map(() => send('changes.ndjson', '--expect', 'tree.json')));
  for (const run of both) expect(run).toMatchObject({ code: 0, rejections: 0, differences: 0, commands: CHANGES });
  for (const { applied = 0, repeats = 0 } of both) expect(applied + repeats).toBe(CHANGES);
});

test.each([
  [['changes.ndjson'], 'changes.ndjson needs --expect TREE'],
  [['--expect', 'tree.json'], '--expect tree.json needs FILE'],
  [['--repeat', '0'], '--repeat is "0": give a whole number from 1 to 1000'],
  [['--repeat', 'x'], '--repeat is "x"'],
  [['--frobnicate'], "Unknown option '--frobnicate'"],
  [['gone', '--expect', 'tree.json'], 'no such file'],
  [['changes.ndjson', '--expect', 'changes.ndjson'], 'has a JSON value on each line, as a history has'],
])('usage that cannot be, as %j, is told with its reason and ends with 2', async (args, reason) => {
  const { code, stderr } = await place.runHistory(args);
  expect(code).toBe(2);
  expect(stderr).toContain(reason);
  expect(stderr).toContain('usage:');
});

test('--help is no mistake', async () => {
  expect(await place.runHistory(['--help'])).toMatchObject({ code: 0, stdout: expect.stringContaining('--repeat N') });
});

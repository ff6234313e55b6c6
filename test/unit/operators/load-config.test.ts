// Proves that a config file is found, loaded without a build, and refused with its file and cause.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { loadConfig } from '../../../operators/wiring/load-config.ts';

const directories: string[] = [];

async function bundle(files: Readonly<Record<string, string>> = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'onelane-config-'));
  directories.push(directory);
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
  return { directory, load: (named: string | null = null) => loadConfig(named, directory) };
}

afterEach(async () => {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true });
});

const COUNTER = `
import { bigint, contract, defineConfig, resourceType, tableRows, z } from 'onelane';
type Step = { readonly by: number };
const counter = resourceType({
  contract: contract('counter', { add: z.strictObject({ by: z.int() }) }),
  rows: tableRows({ table: 'counter', key: { column: 'id', type: 'text' }, revision: 'revision', columns: { total: bigint() } }),
  decide: (state, command) => ({ kind: 'change', state: { total: (state?.total ?? 0n) + BigInt((command.data as Step).by) } }),
});
export default defineConfig({ resources: [counter], sql: ['counter.sql'] });
`;

describe('a config', () => {
  test('in TypeScript loads without a build and without a package beside it', async () => {
    const { load, directory } = await bundle({ 'onelane.config.ts': COUNTER, 'counter.sql': 'select 1' });
    const config = await load();
    expect(config.file).toBe(join(directory, 'onelane.config.ts'));
    expect([...config.types.keys()]).toEqual(['counter']);
    expect(config.sql).toEqual([{ name: 'counter.sql', text: 'select 1' }]);
  });

  test('may be JavaScript, and may be named', async () => {
    const plain = COUNTER.replace(/^type .*$/m, '').replace(' as Step', '');
    const { load } = await bundle({ 'mine.mjs': plain, 'counter.sql': '' });
    expect([...(await load('mine.mjs')).types.keys()]).toEqual(['counter']);
  });

  test.each(['bank', 'history'])('of the example %s loads', async (name) => {
    const config = await loadConfig(`examples/${name}/onelane.config.ts`, resolve('.'));
    expect(config.sql).toHaveLength(1);
    expect(config.types.size).toBe(1);
  });

  test('that is missing is config-not-found, with the names that were tried', async () => {
    const { load } = await bundle();
    await expect(load()).rejects.toMatchObject({
      code: 'config-not-found',
      message: expect.stringContaining('onelane.config.ts, .js, .mjs'),
    });
    await expect(load('other.ts')).rejects.toMatchObject({ code: 'config-not-found' });
  });

  test.each([
    ['does not parse', 'export default {{{', 'onelane.config.ts'],
    ['throws', "throw new Error('no luck')", 'no luck'],
    ['imports what is not there', "import './gone.ts'", 'gone.ts'],
  ])('that %s is config-not-loaded, with file and cause', async (_why, text, said) => {
    const { load, directory } = await bundle({ 'onelane.config.ts': text });
    const refused = expect(load()).rejects;
    await refused.toMatchObject({ code: 'config-not-loaded', message: expect.stringContaining(said) });
    await expect(load()).rejects.toThrow(directory);
  });

  test.each([
    ['throws', "import './other.ts'", "\n\nthrow new Error('no luck');", /: no luck, at .*other\.ts:3:\d+$/],
    ['imports what is not there', "import './other.ts'", "import 'nonesuch'", /'nonesuch', imported by .*other\.ts$/],
    [
      'calls ours wrongly',
      "import { defineConfig } from 'onelane';\nexport default defineConfig({\n  resources: [],\n});",
      '',
      /, at .*onelane\.config\.ts:2:\d+$/,
    ],
  ])('that %s is refused with the place, in one line', async (_why, text, other, said) => {
    const { load } = await bundle({ 'onelane.config.ts': text, 'other.ts': other });
    await expect(load()).rejects.toThrow(said);
  });

  test('that names an SQL file which is not there is config-not-loaded', async () => {
    const { load } = await bundle({ 'onelane.config.ts': COUNTER });
    await expect(load()).rejects.toMatchObject({
      code: 'config-not-loaded',
      message: expect.stringContaining('counter.sql'),
    });
  });

  test.each([
    ['no default export', 'export const a = 1', 'has no default export'],
    ['another default export', 'export default { resources: [] }', 'exports something else'],
  ])('with %s is config-malformed', async (_why, text, said) => {
    const { load } = await bundle({ 'onelane.config.ts': text });
    await expect(load()).rejects.toMatchObject({ code: 'config-malformed', message: expect.stringContaining(said) });
  });
});

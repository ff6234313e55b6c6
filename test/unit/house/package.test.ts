// The package: what it declares is what its code uses, what its lock file says, and what it packs.
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { filesOf, importsOf, productSources, ROOT, textOf } from './tree.ts';

const ranges = z.record(z.string(), z.string()).default({});
const manifestSchema = z.object({
  bin: ranges,
  exports: z.record(z.string(), z.union([z.string(), ranges])),
  dependencies: ranges,
  devDependencies: ranges,
  engines: ranges,
  allowScripts: z.record(z.string(), z.boolean()),
  overrides: ranges,
});
const lockSchema = z.object({
  packages: z.record(
    z.string(),
    z.looseObject({
      resolved: z.string().optional(),
      hasInstallScript: z.boolean().optional(),
      dependencies: ranges,
      devDependencies: ranges,
      engines: z.unknown().optional(),
    }),
  ),
});

const manifest = manifestSchema.parse(JSON.parse(textOf('package.json')));
const { packages } = lockSchema.parse(JSON.parse(textOf('package-lock.json')));

function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? specifier);
}

/** Packages that these files take, types or values; Node's own modules are none. */
function taken(files: readonly string[]): ReadonlySet<string> {
  const imports = files.flatMap((file) => importsOf(file).filter((found) => found.kind === 'package'));
  return new Set(
    imports
      .map((found) => found.target)
      .filter((name) => !name.startsWith('node:'))
      .map(packageOf),
  );
}

describe('package.json', () => {
  it('declares every package that the product imports, as a dependency and not for development only', () => {
    const undeclared = [...taken(productSources())].filter((name) => manifest.dependencies[name] === undefined);
    expect(undeclared.filter((name) => name !== 'onelane')).toEqual([]);
  });

  it('declares no dependency that nothing imports or loads', () => {
    const used = taken(productSources());
    const loaded = productSources().map(textOf).join('\n');
    const idle = Object.keys(manifest.dependencies).filter((name) => !used.has(name) && !loaded.includes(name));
    expect(idle.filter((name) => !HELD_BACK.has(name))).toEqual([]);
  });

  it('declares every package that tests and examples import', () => {
    const sources = filesOf(['test', 'examples']).filter((file) => file.endsWith('.ts'));
    const declared = { ...manifest.dependencies, ...manifest.devDependencies };
    expect([...taken(sources)].filter((name) => declared[name] === undefined && name !== 'onelane')).toEqual([]);
  });

  it('overrides nothing: that would not reach whoever installs it', () => {
    expect(manifest.overrides).toEqual({});
  });

  it('names entries whose sources exist', () => {
    const entries = [...Object.values(manifest.bin), ...Object.values(manifest.exports)].flatMap((entry) =>
      typeof entry === 'string' ? [entry] : Object.values(entry),
    );
    const sources = entries
      .map((entry) => entry.replace(/^\.\//, ''))
      .map((entry) => entry.replace(/^dist\/(.*?)(\.d\.ts|\.js)$/, '$1.ts'));
    const all = filesOf();
    expect(sources.filter((source) => !all.includes(source))).toEqual([]);
    expect(entries.length).toBeGreaterThan(1);
  });
});

describe('what is packed', () => {
  it('is code, documents and examples, and no database that an example has made', async () => {
    const copy = await mkdtemp(join(tmpdir(), 'onelane-pack-'));
    try {
      await cp(join(ROOT, 'package.json'), join(copy, 'package.json'));
      const made = [
        'examples/history/.onelane/password',
        '.onelane-history/fastify/password',
        'examples/.onelane-x/port',
      ];
      const shipped = ['dist/operators/cli/main.js', 'docs/errors.md', 'examples/bank/onelane.config.ts'];
      for (const file of [...made, ...shipped, 'dist/test/a.js']) {
        await mkdir(dirname(join(copy, file)), { recursive: true });
        await writeFile(join(copy, file), '');
      }
      const { stdout } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
        cwd: copy,
      });
      const [packed] = packedSchema.parse(JSON.parse(stdout));
      expect(packed?.files.map(({ path }) => path)).toEqual([...shipped, 'package.json']);
    } finally {
      await rm(copy, { recursive: true });
    }
  });
});

const packedSchema = z.array(z.object({ files: z.array(z.object({ path: z.string() })) }));

describe('package-lock.json', () => {
  it('has the very ranges of package.json, so that npm ci takes it', () => {
    const root = packages[''];
    expect(root?.dependencies).toEqual(manifest.dependencies);
    expect(root?.devDependencies).toEqual(manifest.devDependencies);
    expect(root?.engines).toEqual(manifest.engines);
  });

  it('names no registry: whoever installs takes his own', () => {
    expect(Object.values(packages).filter((each) => each.resolved !== undefined)).toEqual([]);
  });

  it('has no install script that package.json does not allow or forbid by name', () => {
    const scripts = Object.entries(packages).filter(([, each]) => each.hasInstallScript === true);
    const names = scripts.map(([path]) => path.replace(/^.*node_modules\//, ''));
    const foreign = names.filter((name) => manifest.allowScripts[name] === undefined && !PLATFORM_ONLY.has(name));
    expect(foreign).toEqual([]);
  });
});

/** Newer ones need a newer Node than ours; who installs the package gets what its own ranges allow. */
const HELD_BACK = new Set(['light-my-request']);

/** Optional, never on Linux, and working without its script. */
const PLATFORM_ONLY = new Set(['fsevents']);

// Documents: what they name exists, what is printed from the code is what the code says now.
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import * as frontDoor from '../../../shared/resources/index.ts';
import { GENERATED, partIn } from '../../support/docs/generated.ts';
import { filesOf, textOf } from './tree.ts';

const all = filesOf();
const known = new Set(all);
for (const file of all) for (let at = posix.dirname(file); at !== '.'; at = posix.dirname(at)) known.add(at);
const pages = all.filter((file) => file.endsWith('.md'));
const scripts = z
  .object({ scripts: z.record(z.string(), z.string()) })
  .parse(JSON.parse(textOf('package.json'))).scripts;

/** Relative links, and words in backticks that are paths of this repository. */
function pathsIn(page: string, text: string): readonly string[] {
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, path]) =>
    posix.normalize(posix.join(posix.dirname(page), path ?? '')),
  );
  const rooted = [
    ...text.matchAll(/`((?:shared|producers|consumers|operators|test|docs|examples|\.ci)\/[\w./-]*)`/g),
  ].map(([, path]) => path ?? '');
  return [...links, ...rooted].map((path) => path.replace(/\/$/, ''));
}

/** npm scripts that a text tells the reader to run. */
function scriptsIn(text: string): readonly string[] {
  const run = [...text.matchAll(/\bnpm run (?:-s )?([a-z][\w:]*)/g)].map(([, name]) => name ?? '');
  return [...run, ...(/\bnpm start\b/.test(text) ? ['start'] : []), ...(/\bnpm test\b/.test(text) ? ['test'] : [])];
}

function commandsIn(text: string): readonly string[] {
  return [...text.matchAll(/(?:npx |`)onelane ([a-z]+)/g)].map(([, name]) => name ?? '');
}

describe('documents', () => {
  it('hold what is printed from the code, as the code says it now (else: npm run docs)', () => {
    for (const part of GENERATED) expect(partIn(textOf(part.file), part.name), part.file).toBe(part.text);
  });

  it('name only files and folders that exist', () => {
    const missing = pages.flatMap((page) =>
      pathsIn(page, textOf(page))
        .filter((path) => !known.has(path) && !known.has(`${path}.ts`))
        .map((path) => `${page}: ${path}`),
    );
    expect(missing).toEqual([]);
  });

  it('name only npm scripts that exist', () => {
    const missing = pages.flatMap((page) => scriptsIn(textOf(page)).filter((name) => scripts[name] === undefined));
    expect(missing).toEqual([]);
  });

  it('name only commands of the command line that exist', () => {
    const missing = pages.flatMap((page) =>
      commandsIn(textOf(page)).filter((name) => !known.has(`operators/cli/${name}.ts`)),
    );
    expect(missing).toEqual([]);
  });

  it('are found out when they name what is not there', () => {
    expect(pathsIn('docs/a.md', 'see [x](b.md) and `shared/nowhere.ts`, `other/x`')).toEqual([
      'docs/b.md',
      'shared/nowhere.ts',
    ]);
    expect(scriptsIn('`npm run nowhere` and npm start')).toEqual(['nowhere', 'start']);
    expect(commandsIn('run `onelane frobnicate`, npx onelane up')).toEqual(['frobnicate', 'up']);
  });
});

/** What else the package exports. */
const NO_COLUMNS = new Set(['z', 'contract', 'defineConfig', 'resourceType', 'tableRows']);

describe('the README', () => {
  const readme = textOf('README.md');

  it('has a curl line whose commands the bank example knows', () => {
    const bank = textOf('examples/bank/onelane.config.ts');
    const types = [...readme.matchAll(/-d '(\{.*\})'/g)].map(([, body]) =>
      z.object({ type: z.string() }).parse(JSON.parse(body ?? '')),
    );
    expect(types.length).toBeGreaterThan(1);
    for (const { type } of types) expect(bank).toMatch(new RegExp(`\\b${type.replace(/^account\./, '')}: z\\.`));
  });

  it('names every kind of column that a developer can map', () => {
    const kinds = Object.keys(frontDoor).filter((name) => !NO_COLUMNS.has(name));
    expect(kinds.filter((kind) => !readme.includes(`\`${kind}\``) && !readme.includes(`\`${kind}(`))).toEqual([]);
    expect(kinds).toContain('numeric');
  });

  it('says every guarantee, and docs/guarantees.md proves each', () => {
    const named = (text: string) => [...new Set([...text.matchAll(/\bG[1-9]\b/g)].map(([name]) => name))].sort();
    expect(named(readme)).toEqual(['G1', 'G2', 'G3', 'G4', 'G5', 'G6', 'G7', 'G8', 'G9']);
    expect(named(textOf('docs/guarantees.md'))).toEqual(named(readme));
  });
});

describe('the page of guarantees', () => {
  /** `- *a sentence* — \`test/file\``: the sentence is a test's name, or the beginning of one. */
  const proofs = [...textOf('docs/guarantees.md').matchAll(/^- \*(.+)\* — `(test\/[^`]+)`/gm)].map(
    ([, sentence, file]) => ({ sentence: sentence ?? '', file: file ?? '' }),
  );

  it('names tests that exist, by their own sentences', () => {
    const plain = (text: string) => text.replaceAll('\\', '').replaceAll(/\s+/g, ' ');
    const wrong = proofs.filter(({ sentence, file }) => !known.has(file) || !plain(textOf(file)).includes(sentence));
    expect(wrong).toEqual([]);
    expect(proofs.length).toBeGreaterThan(15);
  });

  it('proves every guarantee by at least one test', () => {
    const sections = textOf('docs/guarantees.md')
      .split(/^## /m)
      .slice(1)
      .filter((section) => /^G[1-9]/.test(section));
    expect(sections).toHaveLength(9);
    expect(sections.filter((section) => !/^- \*/m.test(section)).map((section) => section.slice(0, 2))).toEqual([]);
  });
});

// Cards and purpose sentences: each product folder and each source file says what it owns.
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesOf, PRODUCT_FOLDERS, textOf } from './tree.ts';

const CARD_LINES_MAX = 25;
const CARD_PARTS = [/decided|decides/i, /may import/i, /open|closed/i, /tested by/i];

const all = filesOf();
const productFiles = all.filter((file) => PRODUCT_FOLDERS.some((folder) => file.startsWith(`${folder}/`)));

/** Folders of the product that have code, and those above them. */
function foldersOf(files: readonly string[]): readonly string[] {
  const folders = new Set<string>();
  for (const file of files) {
    for (let at = posix.dirname(file); at !== '.'; at = posix.dirname(at)) folders.add(at);
  }
  return [...folders].sort();
}

function cardFaults(folder: string, card: string): readonly string[] {
  const lines = card.trimEnd().split('\n').length;
  return [
    ...(lines > CARD_LINES_MAX ? [`${folder}/README.md has ${lines} lines`] : []),
    ...CARD_PARTS.filter((part) => !part.test(card)).map(
      (part) => `${folder}/README.md says nothing about ${part.source}`,
    ),
  ];
}

describe('cards', () => {
  const folders = foldersOf(productFiles).filter((folder) => !folder.endsWith('/migrations'));

  it('stand in every product folder', () => {
    expect(folders.filter((folder) => !all.includes(`${folder}/README.md`))).toEqual([]);
  });

  it('stand in the folders beside the product', () => {
    expect(all).toEqual(expect.arrayContaining(['test/README.md', 'examples/README.md']));
  });

  it(`have at most ${CARD_LINES_MAX} lines and say what is decided, what may be imported, open or closed, and tested by what`, () => {
    const cards = folders.filter((folder) => all.includes(`${folder}/README.md`));
    expect(cards.flatMap((folder) => cardFaults(folder, textOf(`${folder}/README.md`)))).toEqual([]);
  });

  it('would be missed when a part is left out', () => {
    expect(cardFaults('x', 'Decided here: a. May import: b. Open. Tested by: c.')).toEqual([]);
    expect(cardFaults('x', 'Decided here: a. Open. Tested by: c.')).toHaveLength(1);
    expect(cardFaults('x', `Decided here. May import. Open. Tested by.${'\n.'.repeat(30)}`)).toHaveLength(1);
  });
});

describe('purpose sentences', () => {
  const sources = all.filter((file) => /\.tsx?$/.test(file) && !file.endsWith('.d.ts'));
  const opening = (text: string): string => (text.startsWith('#!') ? text.slice(text.indexOf('\n') + 1) : text);

  it('open every TypeScript file', () => {
    expect(sources.filter((file) => !/^\/\/ \S.{10,}/.test(opening(textOf(file))))).toEqual([]);
  });

  it('open every migration and SQL file', () => {
    expect(all.filter((file) => file.endsWith('.sql') && !/^-- \S.{10,}/.test(textOf(file)))).toEqual([]);
  });
});

// Words: what no file of the repository may say, because it is true on one machine only, or of its making and not of itself.
import { describe, expect, it } from 'vitest';
import { filesOf, textOf } from './tree.ts';

/** Spelt in pieces, so that this file does not say them itself. */
const joined = (...parts: readonly string[]) => parts.join('');
const BANNED: Readonly<Record<string, RegExp>> = {
  'a path of one machine': new RegExp(joined('(?<![\\w.])/(?:wo', 'rk|ro', 'ot|ho', 'me/[a-z]+|Us', 'ers/[a-z]+)/')),
  'the address of a registry': new RegExp(joined('https?://(?:regi', 'stry\\.|rep', 'o1?\\.|de', 'b\\.)')),
  'a task that was left': new RegExp(joined('\\b(?:TO', 'DO|FIX', 'ME|XX', 'X)\\b')),
  'the number of an issue': new RegExp(joined('\\bissue', ' \\d+\\b|\\(#', '\\d+\\)')),
  'a focused or skipped test': new RegExp(joined('\\b(?:it|test|describe)\\.(?:sk', 'ip|on', 'ly|to', 'do)\\(')),
};
const TEXT =
  /\.(ts|tsx|js|mjs|json|md|sql|html|css|yml|yaml|sh)$|(^|\/)(run|Dockerfile|\.[a-z]+rc[a-z.]*|\.gitignore)$/;

function faultsIn(file: string, text: string): readonly string[] {
  return Object.entries(BANNED).flatMap(([what, pattern]) => {
    const found = pattern.exec(text);
    return found === null ? [] : [`${file}: ${what}: ${found[0]}`];
  });
}

describe('words', () => {
  const files = filesOf().filter((file) => TEXT.test(file));

  it('that belong to one machine, or to the making of the project, stand nowhere', () => {
    expect(files.length).toBeGreaterThan(100);
    expect(files.flatMap((file) => faultsIn(file, textOf(file)))).toEqual([]);
  });

  it('are found where they stand', () => {
    expect(faultsIn('a', joined('see /wo', 'rk/main/x'))).toHaveLength(1);
    expect(faultsIn('a', joined('https://regi', 'stry.example.org'))).toHaveLength(1);
    expect(faultsIn('a', joined('// TO', 'DO later'))).toHaveLength(1);
    expect(faultsIn('a', joined('it.on', "ly('x')"))).toHaveLength(1);
    expect(faultsIn('a', 'a path /v1/commands, a schema root, homework/x')).toEqual([]);
  });

  it('that take the types away stand in no source, be it in a comment', () => {
    const untyped = new RegExp(joined('(: an', 'y\\b|<an', 'y>|as an', 'y\\b)'));
    expect(files.filter((file) => file.endsWith('.ts') && untyped.test(textOf(file)))).toEqual([]);
  });

  it('that sleep stand in no test: it waits for an event or a position', () => {
    const sleep = new RegExp(joined('setTime', 'out\\((?:r|resolve|res|done)\\b'));
    expect(files.filter((file) => file.startsWith('test/') && sleep.test(textOf(file)))).toEqual([]);
  });

  it('that switch the linter off are followed by a reason', () => {
    const bare = files.flatMap((file) =>
      textOf(file)
        .split('\n')
        .filter((line) => /eslint-disable|@ts-expect-error|prettier-ignore/.test(line) && /^\s*(\/\/|\/\*)/.test(line))
        .filter((line) => !/ -- \S|@ts-expect-error:? \S/.test(line))
        .map((line) => `${file}: ${line.trim()}`),
    );
    expect(bare).toEqual([]);
  });
});

// Sizes that keep a file on two screens and a function on one, for code that the linter measures and for what it cannot.
import { describe, expect, it } from 'vitest';
import ts from 'typescript';
import { filesOf, parse, textOf } from './tree.ts';

const PRODUCT = { lines: 300, functionLines: 70, parameters: 4, typeParameters: 2 };
const TEST = { lines: 400, functionLines: 120, parameters: 4, typeParameters: 2 };

const limitsOf = (file: string) => (file.startsWith('test/') ? TEST : PRODUCT);
const countLines = (text: string): number => text.split('\n').length - (text.endsWith('\n') ? 1 : 0);

/** Functions over their limits. The callback of a `describe` is a table of contents, not a function. */
function functionFaults(file: string, text: string): readonly string[] {
  const limits = limitsOf(file);
  const source = parse(file, text);
  const faults: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined && !isDescribe(node)) {
      const start = source.getLineAndCharacterOfPosition(node.getStart()).line;
      const lines = source.getLineAndCharacterOfPosition(node.getEnd()).line - start + 1;
      const at = `${file}:${start + 1}`;
      if (lines > limits.functionLines) faults.push(`${at} has ${lines} lines (${limits.functionLines})`);
      if (node.parameters.length > limits.parameters) faults.push(`${at} has ${node.parameters.length} parameters`);
      if ((node.typeParameters?.length ?? 0) > limits.typeParameters) faults.push(`${at} has too many type parameters`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return faults;
}

function isDescribe(node: ts.Node): boolean {
  const call = node.parent;
  return ts.isCallExpression(call) && /^describe(\w*)\b/.test(call.expression.getText());
}

describe('sizes', () => {
  const sources = filesOf().filter((file) => /\.(ts|tsx|js|mjs)$/.test(file));

  it('no source file is longer than its limit', () => {
    const long = sources
      .map((file) => ({ file, lines: countLines(textOf(file)) }))
      .filter(({ file, lines }) => lines > limitsOf(file).lines);
    expect(long).toEqual([]);
  });

  it('no function is longer or takes more than its limit', () => {
    expect(sources.flatMap((file) => functionFaults(file, textOf(file)))).toEqual([]);
  });

  it('finds a function that is too long or takes too much', () => {
    const long = `export function f() {\n${'  g();\n'.repeat(69)}}\n`;
    expect(functionFaults('shared/a.ts', long)).toHaveLength(1);
    expect(functionFaults('test/a.ts', long)).toHaveLength(0);
    expect(functionFaults('shared/a.ts', 'export const f = (a, b, c, d, e) => a;')).toHaveLength(1);
    expect(functionFaults('test/a.ts', `describe('x', () => {\n${'  it();\n'.repeat(200)}});\n`)).toHaveLength(0);
  });
});

describe('names', () => {
  const VAGUE = /(^|[-/.])(utils?|helpers?|managers?|common|misc|stuff)([-.]|$)|(^|\/)(data|info)(\/|$)/;

  it('files and folders are in kebab-case and say what they own', () => {
    const files = filesOf(['shared', 'producers', 'consumers', 'operators', 'test', 'examples']);
    const code = files.filter((file) => /\.(ts|tsx|sql)$/.test(file));
    expect(code.filter((file) => !/^[a-z0-9./-]+$/.test(file))).toEqual([]);
    expect(code.filter((file) => VAGUE.test(file.replace(/\.[a-z.]+$/, '')))).toEqual([]);
  });

  it('finds a name that says nothing', () => {
    const vague = ['shared/utils', 'shared/batch-helper', 'shared/time-manager', 'shared/data/rows'];
    expect(vague.filter((name) => !VAGUE.test(name))).toEqual([]);
    expect(['shared/process/time', 'shared/postgres/data-directory'].filter((name) => VAGUE.test(name))).toEqual([]);
  });
});

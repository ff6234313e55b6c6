// Errors and codes: a literal code for each class, no code twice, and every code in the documents and the reverse.
import { describe, expect, it } from 'vitest';
import ts from 'typescript';
import { REJECTION } from '../../../shared/command/outcome.ts';
import { parse, productSources, textOf } from './tree.ts';

const ERRORS = 'docs/errors.md';
const BASE = 'OnelaneError';

interface ErrorClass {
  readonly name: string;
  readonly file: string;
  /** null: not a readonly literal on the class. */
  readonly code: string | null;
}

function errorClasses(file: string, text = textOf(file)): readonly ErrorClass[] {
  const found: ErrorClass[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isClassDeclaration(node) && node.name !== undefined) {
      const base =
        node.heritageClauses?.flatMap((clause) => clause.types.map((type) => type.expression.getText())) ?? [];
      if (base.includes(BASE)) found.push({ name: node.name.text, file, code: literalCode(node) });
      else if (base.some((name) => /Error$/.test(name)) && node.name.text !== BASE && !staysInside(node, text)) {
        found.push({ name: node.name.text, file, code: null });
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(parse(file, text));
  return found;
}

/** A signal that never leaves its room needs no code; its comment promises so. */
function staysInside(node: ts.ClassDeclaration, text: string): boolean {
  return /inside this room only/i.test(text.slice(node.getFullStart(), node.getStart()));
}

function literalCode(node: ts.ClassDeclaration): string | null {
  const member = node.members.find((each) => ts.isPropertyDeclaration(each) && each.name.getText() === 'code');
  if (member === undefined || !ts.isPropertyDeclaration(member)) return null;
  const isReadonly = member.modifiers?.some((modifier) => modifier.kind === ts.SyntaxKind.ReadonlyKeyword) === true;
  const value = member.initializer;
  const literal = value !== undefined && ts.isAsExpression(value) ? value.expression : value;
  return isReadonly && literal !== undefined && ts.isStringLiteral(literal) ? literal.text : null;
}

/** The members of a union of string literals. */
function unionOf(file: string, name: string): readonly string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isTypeAliasDeclaration(node) && node.name.text === name) {
      const gather = (type: ts.Node): void => {
        if (ts.isLiteralTypeNode(type) && ts.isStringLiteral(type.literal)) found.push(type.literal.text);
        ts.forEachChild(type, gather);
      };
      gather(node.type);
    }
    ts.forEachChild(node, visit);
  };
  visit(parse(file));
  return found;
}

/** The codes in the first column of a section's table; every section when none is named. */
function documented(text: string, heading?: string): readonly string[] {
  const sections = text.split(/^## /m).filter((section) => heading === undefined || section.startsWith(heading));
  return sections.flatMap((section) => [...section.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, code]) => code ?? ''));
}

const sorted = (codes: Iterable<string>): readonly string[] => [...codes].sort();
const classes = productSources().flatMap((file) => errorClasses(file));

describe('error classes', () => {
  it('have a literal readonly code each, on the class', () => {
    expect(classes.length).toBeGreaterThan(10);
    expect(classes.filter((each) => each.code === null)).toEqual([]);
  });

  it('share no code', () => {
    const codes = classes.map((each) => each.code);
    expect(codes.filter((code, at) => codes.indexOf(code) !== at)).toEqual([]);
  });

  it('would be caught with a code that is no literal, that can be changed, or that is missing', () => {
    const codeOf = (body: string) => errorClasses('a.ts', `class A extends ${BASE} { ${body} }`)[0]?.code;
    expect(codeOf("readonly code = 'a-b' as const;")).toBe('a-b');
    expect(codeOf("code = 'a-b';")).toBeNull();
    expect(codeOf('readonly code = make();')).toBeNull();
    expect(codeOf('')).toBeNull();
    expect(errorClasses('a.ts', 'class A extends Error {}')).toHaveLength(1);
    expect(errorClasses('a.ts', '/** Inside this room only. */ class A extends Error {}')).toHaveLength(0);
  });
});

describe('the errors page', () => {
  const page = textOf(ERRORS);
  const HALTS = ['outage'];

  it('has every code of an error class, and no other', () => {
    const codes = [...documented(page, 'Errors of a process'), ...documented(page, 'What ends a lane')];
    expect(sorted(codes)).toEqual(sorted([...classes.map((each) => each.code ?? ''), ...HALTS]));
  });

  it('has every failure, rejection and stray, and no other', () => {
    const failures = unionOf('shared/command/failure.ts', 'FailureCode');
    const strays = unionOf('shared/command/entry.ts', 'StrayReason');
    expect(failures.length).toBeGreaterThan(3);
    expect(sorted(documented(page, 'Failures of a command'))).toEqual(sorted(failures));
    expect(sorted(documented(page, 'Rejections'))).toEqual(sorted(Object.values(REJECTION)));
    expect(sorted(documented(page, 'Strays'))).toEqual(sorted(strays));
  });
});

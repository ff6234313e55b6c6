// Owns how the house tests see the repository: its files, and what a TypeScript file imports.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
export const PRODUCT_FOLDERS = ['shared', 'producers', 'consumers', 'operators'] as const;

const NOT_OURS = new Set(['node_modules', 'dist', '.git', 'coverage']);

/** Every file of these folders (or of the whole repository), with `/` between the parts, sorted. */
export function filesOf(folders: readonly string[] = ['.']): readonly string[] {
  return folders.flatMap((folder) => walk(join(ROOT, folder))).sort();
}

export function textOf(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

export function productSources(): readonly string[] {
  return filesOf(PRODUCT_FOLDERS).filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'));
}

export function parse(file: string, text = textOf(file)): ts.SourceFile {
  return ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
}

export interface Import {
  /** A path inside the repository, or a package name as it stands. */
  readonly target: string;
  readonly kind: 'file' | 'package';
  readonly only: 'types' | 'values';
}

/** Static imports, re-exports, dynamic imports and `import('…')` types of one file. */
export function importsOf(file: string, text = textOf(file)): readonly Import[] {
  const found: Import[] = [];
  const add = (specifier: ts.Node, only: Import['only']): void => {
    if (!ts.isStringLiteralLike(specifier)) return;
    const inside = specifier.text.startsWith('.');
    const target = inside ? posix.normalize(posix.join(posix.dirname(file), specifier.text)) : specifier.text;
    found.push({ target, kind: inside ? 'file' : 'package', only });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, isTypeOnly(node) ? 'types' : 'values');
    else if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined) {
      add(node.moduleSpecifier, node.isTypeOnly ? 'types' : 'values');
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [specifier] = node.arguments;
      if (specifier !== undefined) add(specifier, 'values');
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, 'types');
    ts.forEachChild(node, visit);
  };
  visit(parse(file, text));
  return found;
}

function isTypeOnly(node: ts.ImportDeclaration): boolean {
  const clause = node.importClause;
  if (clause === undefined) return false;
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  const named = clause.namedBindings;
  return (
    clause.name === undefined &&
    named !== undefined &&
    ts.isNamedImports(named) &&
    named.elements.length > 0 &&
    named.elements.every((element) => element.isTypeOnly)
  );
}

function walk(folder: string): readonly string[] {
  let entries;
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
  return entries.flatMap((entry) => {
    if (NOT_OURS.has(entry.name) || entry.name.startsWith('.onelane')) return [];
    const path = join(folder, entry.name);
    return entry.isDirectory() ? walk(path) : [relative(ROOT, path).split(sep).join('/')];
  });
}

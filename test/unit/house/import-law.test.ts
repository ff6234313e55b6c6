// The import law: who may import whom, proven on every import of the product and on imports that break it.
import { describe, expect, it } from 'vitest';
import ts from 'typescript';
import { filesOf, importsOf, parse, productSources, textOf, type Import } from './tree.ts';

/** A room and the rooms it may import; the longest name that a path begins with is its room. */
const LAW: Readonly<Record<string, readonly string[]>> = {
  'shared/process/': [],
  'shared/command/': ['shared/process/'],
  'shared/resources/': ['shared/process/', 'shared/command/'],
  'shared/transport/': ['shared/process/', 'shared/command/'],
  'shared/transport/catalogue.ts': ['shared/process/', 'shared/command/', 'shared/transport/', 'adapter'],
  'shared/transport/memory/': ['shared/process/', 'shared/command/', 'shared/transport/'],
  'shared/transport/kafka/': ['shared/process/', 'shared/command/', 'shared/transport/'],
  'shared/transport/rabbitmq/': ['shared/process/', 'shared/command/', 'shared/transport/'],
  'shared/transport/postgres/': ['shared/process/', 'shared/command/', 'shared/transport/', 'shared/postgres/'],
  'shared/postgres/': ['shared/process/', 'shared/command/'],
  'producers/': ['shared/'],
  'consumers/': ['shared/'],
  'operators/': ['shared/', 'producers/', 'consumers/'],
};
const ADAPTER = /^shared\/transport\/(memory|kafka|rabbitmq|postgres)\//;
/** Packages that only certain rooms may use, so that each stays behind its seam. */
const PACKAGES: Readonly<Record<string, RegExp>> = {
  pg: /^(shared\/postgres|shared\/transport\/postgres|consumers|producers|operators)\//,
  kafkajs: /^shared\/transport\/kafka\//,
  amqplib: /^shared\/transport\/rabbitmq\//,
  fastify: /^(producers|operators)\/.*http\//,
  commander: /^operators\/cli\//,
  pino: /^shared\/process\//,
  'prom-client': /^shared\/process\//,
};

function roomOf(path: string): string {
  const rooms = Object.keys(LAW).filter((room) => path.startsWith(room));
  return rooms.sort((a, b) => b.length - a.length)[0] ?? '';
}

/** Why this import breaks the law, or null. */
function faultOf(file: string, found: Import): string | null {
  if (found.kind === 'package') return packageFault(file, found.target);
  const from = roomOf(file);
  const into = roomOf(found.target);
  if (into === '') return `${file} imports ${found.target}, which is no room of the product`;
  if (from === into) return null;
  const allowed = LAW[from] ?? [];
  if (ADAPTER.test(found.target)) {
    return allowed.includes('adapter') ? null : `${file} imports the adapter ${found.target}; only the catalogue does`;
  }
  return allowed.some((room) => into.startsWith(room)) ? null : `${file} may not import ${found.target}`;
}

function packageFault(file: string, name: string): string | null {
  const base = name.startsWith('@') ? name.split('/').slice(0, 2).join('/') : (name.split('/')[0] ?? name);
  const where = PACKAGES[base];
  return where === undefined || where.test(file) ? null : `${file} may not use the package ${base}`;
}

const law = (file: string, target: string) => faultOf(file, { target, kind: 'file', only: 'values' });

describe('the import law', () => {
  it('holds for every import of the product', () => {
    const faults = productSources().flatMap((file) => importsOf(file).flatMap((found) => faultOf(file, found) ?? []));
    expect(faults).toEqual([]);
  });

  it('is not vacuous: it sees imports of every room that has files', () => {
    const rooms = new Set(productSources().map(roomOf));
    expect(rooms.size).toBeGreaterThan(4);
    expect(rooms).not.toContain('');
    expect(productSources().flatMap((file) => importsOf(file)).length).toBeGreaterThan(50);
  });

  it.each([
    ['producers/submit.ts', 'consumers/lane/plan.ts'],
    ['consumers/worker.ts', 'producers/submit.ts'],
    ['shared/command/wire.ts', 'producers/submit.ts'],
    ['shared/process/errors.ts', 'shared/command/wire.ts'],
    ['shared/command/wire.ts', 'shared/transport/transport.ts'],
    ['shared/resources/table-rows.ts', 'shared/postgres/database.ts'],
    ['shared/transport/inbox.ts', 'shared/postgres/database.ts'],
    ['shared/transport/memory/index.ts', 'shared/postgres/database.ts'],
    ['shared/transport/postgres/index.ts', 'shared/transport/memory/index.ts'],
    ['shared/postgres/migrate.ts', 'shared/resources/resource-type.ts'],
    ['consumers/worker.ts', 'operators/cli/main.ts'],
    ['consumers/worker.ts', 'shared/transport/postgres/index.ts'],
    ['operators/wiring/up.ts', 'shared/transport/postgres/index.ts'],
    ['producers/submit.ts', 'test/support/database.ts'],
  ])('refuses %s importing %s', (file, target) => {
    expect(law(file, target)).not.toBeNull();
  });

  it.each([
    ['producers/submit.ts', 'shared/transport/transport.ts'],
    ['consumers/lane/plan.ts', 'consumers/failure/policies.ts'],
    ['shared/transport/catalogue.ts', 'shared/transport/postgres/index.ts'],
    ['shared/transport/postgres/index.ts', 'shared/postgres/database.ts'],
    ['operators/cli/up.ts', 'consumers/worker.ts'],
  ])('allows %s importing %s', (file, target) => {
    expect(law(file, target)).toBeNull();
  });

  it('keeps each package behind its seam', () => {
    expect(packageFault('shared/resources/table-rows.ts', 'pg')).not.toBeNull();
    expect(packageFault('consumers/lane/plan.ts', 'kafkajs')).not.toBeNull();
    expect(packageFault('shared/postgres/database.ts', 'pg')).toBeNull();
  });

  it('keeps the operators to themselves: not even an example imports them', () => {
    const faults = filesOf(['examples'])
      .filter((file) => file.endsWith('onelane.config.ts'))
      .flatMap((file) => importsOf(file).filter((found) => /^(operators|consumers)\//.test(found.target)));
    expect(faults).toEqual([]);
  });
});

describe('plan.ts', () => {
  const PLAN = 'consumers/lane/plan.ts';
  const EFFECTS = new Set(['performance', 'setTimeout', 'setImmediate', 'setInterval', 'process', 'fetch', 'crypto']);

  /** Clocks, randomness, promises and I/O that a source names. */
  function effectsIn(file: string, text: string): readonly string[] {
    const found: string[] = [];
    const visit = (node: ts.Node): void => {
      if (ts.isIdentifier(node) && EFFECTS.has(node.text)) found.push(node.text);
      if (ts.isPropertyAccessExpression(node) && /^(Math\.random|Date\.now)$/.test(node.getText()))
        found.push(node.getText());
      if (ts.isNewExpression(node) && node.expression.getText() === 'Date' && (node.arguments?.length ?? 0) === 0) {
        found.push('new Date()');
      }
      if (node.kind === ts.SyntaxKind.AwaitExpression || node.kind === ts.SyntaxKind.AsyncKeyword) found.push('async');
      ts.forEachChild(node, visit);
    };
    visit(parse(file, text));
    return found;
  }

  /** `plan.ts` and what it takes values from inside its own room. */
  function closure(): readonly string[] {
    const seen = new Set<string>();
    const open = filesOf(['consumers']).includes(PLAN) ? [PLAN] : [];
    for (let file = open.pop(); file !== undefined; file = open.pop()) {
      seen.add(file);
      for (const found of importsOf(file)) {
        const inside = found.kind === 'file' && found.target.startsWith('consumers/') && found.only === 'values';
        if (inside && !seen.has(found.target)) open.push(found.target);
      }
    }
    return [...seen];
  }

  it('and what it calls in the lane does no I/O and takes no clock', () => {
    expect(closure().flatMap((file) => effectsIn(file, textOf(file)).map((effect) => `${file}: ${effect}`))).toEqual(
      [],
    );
    const packages = closure().flatMap((file) => importsOf(file).filter((found) => found.kind === 'package'));
    expect(packages.map((found) => found.target)).toEqual([]);
  });

  it('would be caught with a clock, a promise or randomness', () => {
    expect(effectsIn('a.ts', 'export const now = () => Date.now();')).toEqual(['Date.now']);
    expect(effectsIn('a.ts', 'export const now = () => new Date();')).toEqual(['new Date()']);
    expect(effectsIn('a.ts', 'export const then = new Date(5);')).toEqual([]);
    expect(effectsIn('a.ts', 'export async function f() { return Math.random(); }')).toEqual(['async', 'Math.random']);
  });
});

describe('a row store', () => {
  it('runs no SQL: nothing in shared/resources calls query or connects', () => {
    const faults = productSources()
      .filter((file) => file.startsWith('shared/resources/'))
      .filter((file) => /\.(query|connect)\s*\(/.test(textOf(file)));
    expect(faults).toEqual([]);
  });
});

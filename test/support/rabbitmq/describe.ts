// Owns how a test file asks for RabbitMQ: its tests run on a broker, or are skipped with one loud line, which under CI is a failure.
import { afterAll, beforeAll } from 'vitest';
import { describeWhere } from '../describe-where.ts';
import { ownRabbit, rabbitSource, testRabbit, type RabbitNeed, type TestRabbit } from './available.ts';
import type { NodeOptions, RabbitNode } from './node.ts';

const OPEN_MS = 180_000;
const CLOSE_MS = 60_000;

/**
 * Tests that need some broker. `rabbit` gives it inside tests and hooks; it is opened before the first and closed after the last.
 * To be awaited at the top of a file, as what the machine has is asked before tests are collected.
 */
export async function describeWithRabbit(name: string, tests: (rabbit: () => TestRabbit) => void): Promise<void> {
  await describeWhereRabbit('shared', name, () => tests(opened(testRabbit)));
}

/** Tests that share a node of their own, which they may kill and order about, and have to leave as they found it. */
export async function describeWithNode(
  name: string,
  options: NodeOptions,
  tests: (node: () => RabbitNode) => void,
): Promise<void> {
  await describeWhereRabbit('own', name, () => tests(opened(() => ownRabbit(options))));
}

/** Tests that start nodes themselves. */
export async function describeWhereRabbit(need: RabbitNeed, name: string, tests: () => void): Promise<void> {
  const source = await rabbitSource(need);
  describeWhere('a RabbitMQ broker', source.kind === 'nowhere' ? source.why : null, name, tests);
}

function opened<T extends TestRabbit>(open: () => Promise<T>): () => T {
  let rabbit: T | undefined;
  beforeAll(async () => {
    rabbit = await open();
  }, OPEN_MS);
  afterAll(async () => {
    await rabbit?.close();
  }, CLOSE_MS);
  return () => {
    if (rabbit === undefined) throw new Error('the broker is there inside tests and hooks only');
    return rabbit;
  };
}

// Owns the making of an example payload from a command's schema, for the line that a newcomer pastes.
import { z } from 'zod';
import type { Json } from '../../shared/command/identity.ts';

type Node = Readonly<Record<string, unknown>>;

const DEPTH_MAX = 5;

/** A payload that the schema accepts, or undefined when none could be guessed. */
export function samplePayload(schema: z.ZodType): Json | undefined {
  const guess = sampleOf(asNode(z.toJSONSchema(schema, { io: 'input' })), 0);
  return schema.safeParse(guess).success ? guess : undefined;
}

function sampleOf(node: Node, depth: number): Json {
  if (depth > DEPTH_MAX) return null;
  const fixed = node['const'] ?? first(node['enum']) ?? node['default'];
  if (isScalar(fixed)) return fixed;
  const alternative = first(node['anyOf']) ?? first(node['oneOf']);
  if (alternative !== undefined) return sampleOf(asNode(alternative), depth + 1);
  switch (node['type']) {
    case 'object':
      return sampleObject(node, depth);
    case 'array':
      return [];
    case 'integer':
    case 'number':
      return sampleNumber(node);
    case 'boolean':
      return true;
    case 'string':
      return 'text';
    default:
      return null;
  }
}

function sampleObject(node: Node, depth: number): Json {
  const properties = asNode(node['properties']);
  const required = Array.isArray(node['required']) ? node['required'].map(String) : [];
  return Object.fromEntries(required.map((name) => [name, sampleOf(asNode(properties[name]), depth + 1)]));
}

const USUAL = 500;

function sampleNumber(node: Node): number {
  const at = (name: string, otherwise: number) => (typeof node[name] === 'number' ? node[name] : otherwise);
  const least = Math.max(at('minimum', -Infinity), at('exclusiveMinimum', -Infinity) + 1);
  const most = Math.min(at('maximum', Infinity), at('exclusiveMaximum', Infinity) - 1);
  return Math.min(most, Math.max(least, USUAL));
}

function asNode(value: unknown): Node {
  // A JSON schema is made of objects; what is none has no properties, and the guess is checked in the end.
  return typeof value === 'object' && value !== null ? (value as Node) : {};
}

function first(value: unknown): unknown {
  return Array.isArray(value) ? value[0] : undefined;
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

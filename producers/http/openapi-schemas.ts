// Owns the JSON schemas that /openapi.json names: commands with their payloads, outcomes, results, problems.
import { z } from 'zod';
import type { Json } from '../../shared/command/identity.ts';
import type { ResourceTypes } from '../../shared/resources/resource-type.ts';
import { shortDraftSchema } from '../draft.ts';
import { PROBLEMS } from './problem.ts';

export type JsonSchema = Readonly<Record<string, Json>>;

const ref = (name: string): JsonSchema => ({ $ref: `#/components/schemas/${name}` });
const text = (description: string): JsonSchema => ({ type: 'string', description });
const uuid: JsonSchema = { type: 'string', format: 'uuid' };
const placeInLog: JsonSchema = {
  type: ['integer', 'null'],
  description: 'place in the partition; null where the broker gives none',
};

export const COMMAND = ref('Command');
export const EVENT = ref('CloudEvent');
export const ACCEPTED = ref('Accepted');
export const OUTCOME = ref('Outcome');
export const LINE_RESULT = ref('LineResult');
export const PROBLEM = ref('Problem');

/** Everything that the operations refer to. */
export function componentSchemas(types: ResourceTypes): Readonly<Record<string, JsonSchema>> {
  const commands = [...types.values()].flatMap(({ contract }) =>
    [...contract.commands].map(([name, payload]) => ({ full: `${contract.type}.${name}`, payload })),
  );
  return {
    ...Object.fromEntries(
      commands.map(({ full, payload }) => [`${full}.data`, payloadSchema(`${full}.data`, payload)]),
    ),
    ...Object.fromEntries(commands.map(({ full }) => [full, commandSchema(full)])),
    Command: { oneOf: commands.map(({ full }) => ref(full)) },
    CloudEvent: eventSchema(),
    ...FIXED,
  };
}

function commandSchema(full: string): JsonSchema {
  const envelope = plainSchema(shortDraftSchema);
  const { properties } = envelope;
  // A zod object prints its members under `properties`.
  const members = properties as JsonSchema;
  return { ...envelope, properties: { ...members, type: { const: full }, data: ref(`${full}.data`) } };
}

function eventSchema(): JsonSchema {
  return {
    type: 'object',
    description:
      'CloudEvents 1.0, structured JSON; type, subject and data as in Command. Other attributes are ignored.',
    required: ['specversion', 'id', 'source', 'type', 'subject'],
    properties: {
      specversion: { const: '1.0' },
      id: text('a UUID stands for itself; any other text is hashed with the source'),
      source: text('the caller'),
      type: text('<resource type>.<command name>'),
      subject: text('the id of the resource'),
      time: { type: 'string', format: 'date-time' },
      data: true,
      expectedrevision: { type: 'integer', minimum: 0 },
      traceparent: text('as in W3C Trace Context'),
    },
  };
}

/** A payload's schema as a component of its own; what refers to its own parts is told where they are now. */
function payloadSchema(component: string, payload: z.ZodType): JsonSchema {
  const base = `#/components/schemas/${component}`;
  const moved = JSON.stringify(plainSchema(payload)).replaceAll(
    /"\$ref":"#(\/[^"]*)?"/g,
    (_, path: string | undefined) => JSON.stringify({ $ref: base + (path ?? '') }).slice(1, -1),
  );
  // What was printed from a schema is a schema.
  return JSON.parse(moved) as JsonSchema;
}

function plainSchema(schema: z.ZodType): JsonSchema {
  // toJSONSchema prints plain JSON by its own contract.
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  return rest;
}

const FIXED: Readonly<Record<string, JsonSchema>> = {
  Accepted: {
    type: 'object',
    required: ['id', 'type', 'subject', 'partition', 'position', 'status', 'href'],
    properties: {
      id: uuid,
      type: text('as sent'),
      subject: text('as sent'),
      partition: { type: 'integer', minimum: 0 },
      position: placeInLog,
      status: { enum: ['accepted', 'pending'], description: 'pending: it was waited for, and has no outcome yet' },
      href: text('where to ask what became of it'),
    },
  },
  Outcome: {
    type: 'object',
    required: ['id', 'status'],
    properties: {
      id: uuid,
      resource: { type: ['string', 'null'], description: '<resource type>/<id>' },
      status: { enum: ['applied', 'rejected', 'parked', 'discarded', 'pending'] },
      revision: { type: 'integer', description: 'of the resource, after it was applied or when it was rejected' },
      reply: { description: 'what the command answered' },
      code: text('why it was rejected or parked'),
      detail: text('the same as a sentence'),
      number: { type: 'integer', description: "the parked command's number within its resource" },
      partition: { type: ['integer', 'null'] },
      position: placeInLog,
      href: text('where to ask again'),
    },
  },
  LineResult: {
    type: 'object',
    required: ['line', 'status'],
    properties: {
      line: { type: 'integer', minimum: 1, description: 'of the body; empty lines count but have no result' },
      id: uuid,
      status: { enum: ['accepted', 'invalid', 'not-accepted', 'outcome-unknown', 'not-attempted'] },
      partition: { type: 'integer' },
      position: placeInLog,
      code: text('why it was not accepted: a code of problems, or not-attempted; stands with every other status'),
      detail: text('the same as a sentence'),
      pointer: text('where in the command (RFC 6901)'),
    },
  },
  Problem: {
    type: 'object',
    description: 'RFC 9457. A rejected command has the code that its resource type gave.',
    required: ['type', 'title', 'status', 'detail', 'code'],
    properties: {
      type: text('urn:onelane:problem:<code>'),
      title: text('what is wrong'),
      status: { type: 'integer' },
      detail: text('what is wrong here, and what to do'),
      code: { type: 'string', description: 'stable', examples: Object.keys(PROBLEMS) },
      pointer: text('where in the command (RFC 6901)'),
      errors: {
        type: 'array',
        items: { type: 'object', properties: { pointer: { type: 'string' }, detail: { type: 'string' } } },
      },
      id: uuid,
      outcome: ref('Outcome'),
      results: { type: 'array', items: ref('LineResult') },
    },
  },
};

// Owns /openapi.json: the routes as fastify knows them, with what their bodies, answers and problems look like.
import { fastifySwagger } from '@fastify/swagger';
import type { FastifyInstance, FastifySchema } from 'fastify';
import { jsonSchemaTransform } from 'fastify-type-provider-zod';
import type { ResourceTypes } from '../../shared/resources/resource-type.ts';
import {
  ACCEPTED,
  COMMAND,
  componentSchemas,
  EVENT,
  LINE_RESULT,
  OUTCOME,
  PROBLEM,
  type JsonSchema,
} from './openapi-schemas.ts';
import { kindOf, PROBLEM_TYPE, type ProblemCode } from './problem.ts';
import { JSON_TYPE } from './reply.ts';

interface Documented {
  readonly body?: Content;
  readonly answers: Readonly<Record<string, Answer>>;
  readonly problems: readonly ProblemCode[];
  readonly headers?: JsonSchema;
  /** Where the path is written otherwise than fastify's. */
  readonly url?: string;
}

interface Answer {
  readonly description: string;
  readonly content?: Content;
}

type Content = Readonly<Record<string, { readonly schema: JsonSchema }>>;

const json = (schema: JsonSchema): Content => ({ 'application/json': { schema } });
const list = (items: JsonSchema): JsonSchema => ({ type: 'array', items, maxItems: 50_000 });
const line = (of: JsonSchema): JsonSchema => ({ ...of, description: 'one JSON document per line' });

const PREFER =
  'wait=5: answer with the outcome. A wait longer than the setting ONELANE_WAIT (30 seconds unless it is set) is cut to that, and the ' +
  'answer says in Preference-Applied for how long it would have waited; a wait that is no whole number is ignored. It is not applied ' +
  'to many commands: they are answered when all are stored or refused, without Preference-Applied.';

/** By operationId. */
const OPERATIONS: Readonly<Record<string, Documented>> = {
  postCommands: {
    body: {
      'application/json': { schema: { oneOf: [COMMAND, EVENT, list(COMMAND)] } },
      'application/cloudevents+json': { schema: EVENT },
      'application/cloudevents-batch+json': { schema: list(EVENT) },
      'application/x-ndjson': { schema: line(COMMAND) },
    },
    headers: {
      type: 'object',
      properties: {
        'Idempotency-Key': { type: 'string', description: 'the id is derived from it and the source' },
        'If-Match': { type: 'string', description: '"7": the expected revision' },
        'If-None-Match': { type: 'string', description: '*: the resource must not exist' },
        Prefer: { type: 'string', description: PREFER },
      },
    },
    answers: {
      200: {
        description: 'Waited for and applied; or, for many commands, one result per line',
        content: {
          'application/json': { schema: { oneOf: [OUTCOME, list(LINE_RESULT)] } },
          'application/x-ndjson': { schema: line(LINE_RESULT) },
        },
      },
      202: {
        description: 'Accepted: it is stored and will take effect once. Or waited for, and parked',
        content: json({ oneOf: [ACCEPTED, OUTCOME] }),
      },
    },
    problems: [
      'json-invalid',
      'body-missing',
      'precondition-invalid',
      'idempotency-key-invalid',
      'header-not-for-many',
      'rejected',
      'command-discarded',
      'revision-mismatch',
      'body-too-large',
      'too-many-commands',
      'command-too-large',
      'content-type-unsupported',
      'command-malformed',
      'type-unknown',
      'command-name-unknown',
      'subject-invalid',
      'subject-not-canonical',
      'payload-invalid',
      'idempotency-key-reused',
      'id-reused',
      'refused-busy',
      'resource-held',
      'not-accepted',
      'outcome-unknown',
    ],
  },
  getCommand: {
    answers: { 200: { description: 'Its outcome, or pending', content: json(OUTCOME) } },
    problems: [
      'query-invalid',
      'after-invalid',
      'command-unknown',
      'command-ambiguous',
      'id-reused',
      'refused-busy',
      'database-away',
    ],
  },
  getResource: {
    url: '/v1/resources/:type/:id',
    answers: {
      200: {
        description: 'The state; ETag is the revision. Numbers that a double cannot hold are strings',
        content: json({ type: 'object' }),
      },
    },
    problems: [
      'query-invalid',
      'resource-unknown',
      'command-parked',
      'subject-invalid',
      'subject-not-canonical',
      'refused-busy',
      'database-away',
      'outcome-pending',
    ],
  },
  getLive: { answers: { 200: { description: 'It turns', content: json({ type: 'object' }) } }, problems: [] },
  getReady: {
    answers: {
      200: { description: 'Commands can be published', content: json({ type: 'object' }) },
      503: { description: 'They cannot', content: json({ type: 'object' }) },
    },
    problems: [],
  },
  getMetrics: {
    answers: { 200: { description: 'Prometheus text', content: { 'text/plain': { schema: { type: 'string' } } } } },
    problems: [],
  },
};

/** Before the routes; serve it after them with `openApiRoute`. */
export function describeApi(app: FastifyInstance, types: ResourceTypes): void {
  // fastify loads what is registered before it becomes ready, and reports failures there.
  void app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Onelane',
        version: '1',
        description: 'Updates to resources, applied in order, each exactly once.',
      },
      // Printed from the same zod schemas that check the commands.
      components: { schemas: componentSchemas(types) as never },
    },
    transform: (route) => {
      const { schema, url } = jsonSchemaTransform(route);
      const documented = OPERATIONS[operationOf(schema)];
      return documented === undefined
        ? { schema, url }
        : { schema: documentedSchema(schema, documented), url: documented.url ?? url };
    },
  });
}

export function openApiRoute(app: FastifyInstance): void {
  let printed: string | null = null;
  app.get('/openapi.json', { schema: { hide: true } }, (_request, reply) => {
    printed ??= JSON.stringify(app.swagger());
    return reply.header('content-type', JSON_TYPE).send(printed);
  });
}

function operationOf(schema: FastifySchema | undefined): string {
  return schema !== undefined && 'operationId' in schema ? String(schema.operationId) : '';
}

function documentedSchema(schema: FastifySchema | undefined, documented: Documented): FastifySchema {
  const params = renamed(schema?.params);
  return {
    ...schema,
    ...(params === undefined ? {} : { params }),
    ...(documented.body === undefined ? {} : { body: { content: documented.body } }),
    ...(documented.headers === undefined ? {} : { headers: documented.headers }),
    response: { ...documented.answers, ...problemAnswers(documented.problems) },
  };
}

/** The rest of a path has no name in fastify; in a document it is the id. */
function renamed(params: unknown): unknown {
  return params === undefined ? undefined : JSON.parse(JSON.stringify(params).replaceAll('"*"', '"id"'));
}

function problemAnswers(codes: readonly ProblemCode[]): Readonly<Record<string, Answer>> {
  const answers: Record<string, Answer> = {};
  for (const code of [...codes, 'internal' as const]) {
    const { status, title } = kindOf(code);
    const before = answers[status]?.description;
    const description = `${before === undefined ? '' : `${before}; `}${code}: ${title}`;
    answers[status] = { description, content: { [PROBLEM_TYPE]: { schema: PROBLEM } } };
  }
  return answers;
}

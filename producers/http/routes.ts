// Owns the table of routes: what each takes, what it answers, and how its body is read.
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { openBodyReader, type ParsedBody } from './body.ts';
import { getCommand, postOne } from './commands.ts';
import type { HttpGiven } from './http-given.ts';
import { linesOfList, readLines } from './lines.ts';
import { postMany, type ManyCommands } from './many-commands.ts';
import { problem } from './problem.ts';
import { sendProblem } from './reply.ts';
import { getResource } from './resources.ts';

export interface RoutesGiven extends HttpGiven {
  readonly partitions: number;
}

/** A body as its content type wants it read. */
type CommandsBody = ParsedBody | { readonly kind: 'lines'; readonly lines: ManyCommands['lines'] };

const waitSeconds = (maxMs: number) =>
  z.coerce
    .number()
    .min(0)
    .max(maxMs / 1_000)
    .default(0);
const idText = z.string().min(1).max(256);
const sourceText = z.string().min(1).max(1_024);

export function commandRoutes(app: FastifyInstance, given: RoutesGiven): void {
  readBodies(app, given);
  const uploads = { running: 0 };
  app.route({
    method: 'POST',
    url: '/v1/commands',
    schema: { operationId: 'postCommands', summary: 'Submit one command, or many' },
    handler: async (request, reply) => postCommands(given, { request, reply, uploads }),
  });
  const typed = app.withTypeProvider<ZodTypeProvider>();
  typed.route({
    method: 'GET',
    url: '/v1/commands/:id',
    schema: {
      operationId: 'getCommand',
      summary: 'What became of a command',
      params: z.object({ id: idText }),
      querystring: z.object({
        wait: waitSeconds(given.limits.waitMs),
        after: z.string().max(4_096).optional(),
        resource: z.string().max(1_024).optional(),
        source: sourceText.optional(),
      }),
    },
    handler: async ({ params, query }, reply) =>
      getCommand(given, reply, {
        id: params.id,
        waitMs: query.wait * 1_000,
        after: query.after,
        resource: query.resource,
        source: query.source,
      }),
  });
  resourceRoute(app, given);
  refuseOtherMethods(app);
}

function resourceRoute(app: FastifyInstance, given: RoutesGiven): void {
  app.withTypeProvider<ZodTypeProvider>().route({
    method: 'GET',
    // The rest of the path is the id, so that slashes may stand in it encoded or not.
    url: '/v1/resources/:type/*',
    schema: {
      operationId: 'getResource',
      summary: 'The state of a resource',
      params: z.object({ type: z.string(), '*': z.string().min(1) }),
      querystring: z.object({
        after: idText.optional(),
        source: sourceText.optional(),
        wait: z.coerce
          .number()
          .min(0)
          .max(given.limits.waitMs / 1_000)
          .default(WAIT_AFTER_SECONDS),
      }),
    },
    handler: async ({ params, query }, reply) =>
      getResource(given, reply, {
        type: params.type,
        subject: params['*'],
        after: query.after,
        source: query.source,
        waitMs: query.wait * 1_000,
      }),
  });
}

/** Who asks to read a write wants it read: a wait is the default. */
const WAIT_AFTER_SECONDS = 5;

/** How each content type is read; others get 415. Bodies are parsed once, and by nobody else. */
function readBodies(app: FastifyInstance, given: HttpGiven): void {
  const { limits } = given;
  const bodies = openBodyReader({ bytes: limits.bodyBytes, bytesTogether: limits.bodiesBytes });
  const whole = (limit: number) => (_request: FastifyRequest, stream: Readable) => bodies.read(stream, limit);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(['application/json', 'application/cloudevents-batch+json'], whole(limits.bodyBytes));
  app.addContentTypeParser('application/cloudevents+json', whole(limits.singleBytes));
  app.addContentTypeParser(
    ['application/x-ndjson', 'application/ndjson', 'application/jsonl'],
    (_request, stream, done) => {
      const lines = readLines(stream, { lineBytes: limits.singleBytes, totalBytes: limits.bodyBytes });
      done(null, { kind: 'lines', lines } satisfies CommandsBody);
    },
  );
}

interface Arrived {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly uploads: { running: number };
}

async function postCommands(given: HttpGiven, { request, reply, uploads }: Arrived): Promise<FastifyReply> {
  if (request.headers['content-encoding'] !== undefined && request.headers['content-encoding'] !== 'identity') {
    return sendProblem(reply, problem('content-type-unsupported', 'The body is compressed.'));
  }
  // Made by the parsers above, which are the only ones.
  const body = request.body as CommandsBody | undefined | null;
  if (body === undefined || body === null) return sendProblem(reply, problem('body-missing', 'There is no body.'));
  if (body.kind === 'problem') return sendProblem(reply, body);
  const mediaType = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  const form = mediaType.startsWith('application/cloudevents') ? 'event' : 'either';
  const many = manyOf(body, mediaType);
  if (many === 'not-a-list') return sendProblem(reply, problem('json-invalid', 'A batch of events is a JSON array.'));
  if (many === null) return postOne(given, { request, reply, form }, body.kind === 'json' ? body.value : null);
  if (many.count > given.limits.commands) {
    return sendProblem(
      reply,
      problem('too-many-commands', `The array has ${many.count} commands; nothing was stored.`),
    );
  }
  if (uploads.running >= given.limits.uploads) {
    return sendProblem(reply, problem('refused-busy', 'Too many uploads are running.'));
  }
  uploads.running += 1;
  try {
    return await postMany(given, { request, reply, form }, many);
  } finally {
    uploads.running -= 1;
  }
}

function manyOf(
  body: Exclude<CommandsBody, { kind: 'problem' }>,
  mediaType: string,
): ManyCommands | 'not-a-list' | null {
  if (body.kind === 'lines') return { lines: body.lines, answer: 'lines', count: 0 };
  if (Array.isArray(body.value) && mediaType !== 'application/cloudevents+json') {
    return { lines: linesOfList(body.value), answer: 'list', count: body.value.length };
  }
  return mediaType === 'application/cloudevents-batch+json' ? 'not-a-list' : null;
}

/** Known paths with another method: 405 that names what there is, before any body is read. */
function refuseOtherMethods(app: FastifyInstance): void {
  const known: readonly (readonly [string, string])[] = [
    ['/v1/commands', 'POST'],
    ['/v1/commands/:id', 'GET, HEAD'],
    ['/v1/resources/:type/*', 'GET, HEAD'],
    ['/health/live', 'GET, HEAD'],
    ['/health/ready', 'GET, HEAD'],
    ['/metrics', 'GET, HEAD'],
    ['/openapi.json', 'GET, HEAD'],
  ];
  const methods: HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
  for (const [url, allow] of known) {
    app.route({
      method: methods.filter((method) => !allow.split(', ').includes(method)),
      url,
      schema: { hide: true },
      onRequest: async (request, reply) => {
        reply.header('allow', allow);
        await sendProblem(reply, problem('method-not-allowed', `${request.method} is not possible here.`));
      },
      handler: async (_request, reply) => reply,
    });
  }
}

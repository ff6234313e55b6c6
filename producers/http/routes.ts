// Owns the table of routes: what each takes, what it answers, and how its body is read.
import { METHODS } from 'node:http';
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { openBodyReader, type ReadBody } from './body.ts';
import { getCommand, postOne } from './commands.ts';
import type { HttpGiven } from './http-given.ts';
import { linesOfLargeList, linesOfList, readLines } from './lines.ts';
import { postMany, type ManyCommands } from './many-commands.ts';
import { commandPath, commandQuery, resourcePath, resourceQuery, strayQuery, waitMsOf } from './parameters.ts';
import { withHint } from './paths.ts';
import { problem, type Problem } from './problem.ts';
import { sendProblem } from './reply.ts';
import { getResource } from './resources.ts';

export interface RoutesGiven extends HttpGiven {
  readonly partitions: number;
}

/** A body as its content type wants it read. */
type CommandsBody = ReadBody | { readonly kind: 'lines'; readonly lines: ManyCommands['lines'] };

export function commandRoutes(app: FastifyInstance, given: RoutesGiven): void {
  readBodies(app, given);
  const uploads = { running: 0 };
  const { waitMs } = given.limits;
  app.route({
    method: 'POST',
    url: '/v1/commands',
    schema: { operationId: 'postCommands', summary: 'Submit one command, or many' },
    // Before the body is read: nothing of it is stored then.
    onRequest: (request, reply, done) => {
      const stray = strayQuery(request.query);
      if (stray === null) done();
      else sendProblem(reply, stray);
    },
    handler: async (request, reply) => postCommands(given, { request, reply, uploads }),
  });
  const typed = app.withTypeProvider<ZodTypeProvider>();
  typed.route({
    method: 'GET',
    url: '/v1/commands/:id',
    schema: {
      operationId: 'getCommand',
      summary: 'What became of a command',
      params: commandPath,
      querystring: commandQuery(waitMs),
    },
    handler: async ({ params, query }, reply) =>
      getCommand(given, reply, {
        id: params.id,
        waitMs: waitMsOf(query, waitMs),
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
      params: resourcePath,
      querystring: resourceQuery(given.limits.waitMs),
    },
    handler: async ({ params, query }, reply) =>
      getResource(given, reply, {
        type: params.type,
        subject: params['*'],
        after: query.after,
        source: query.source,
        waitMs: waitMsOf(query, given.limits.waitMs),
      }),
  });
}

/** How each content type is read; others get 415. Bodies are parsed once, and by nobody else. */
function readBodies(app: FastifyInstance, given: HttpGiven): void {
  const { limits } = given;
  const { singleBytes, bodiesBytes, commands } = limits;
  const bodies = openBodyReader({ singleBytes, bytesTogether: bodiesBytes, elements: commands });
  const whole = (limit: number, holds: 'one' | 'many') => (_request: FastifyRequest, stream: Readable) =>
    bodies.read(stream, limit, holds);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(['application/json', 'application/cloudevents-batch+json'], whole(limits.bodyBytes, 'many'));
  app.addContentTypeParser('application/cloudevents+json', whole(limits.singleBytes, 'one'));
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

async function postCommands(given: HttpGiven, arrived: Arrived): Promise<FastifyReply> {
  // Made by the parsers above, which are the only ones.
  const body = arrived.request.body as CommandsBody | undefined | null;
  try {
    return await answerBody(given, arrived, body ?? problem('body-missing', 'There is no body.'));
  } finally {
    if (body?.kind === 'large-list') body.release();
  }
}

async function answerBody(
  given: HttpGiven,
  { request, reply, uploads }: Arrived,
  body: CommandsBody,
): Promise<FastifyReply> {
  if (request.headers['content-encoding'] !== undefined && request.headers['content-encoding'] !== 'identity') {
    return sendProblem(reply, problem('content-type-unsupported', 'The body is compressed.'));
  }
  if (body.kind === 'problem') return sendProblem(reply, body);
  const mediaType = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  const form = mediaType.startsWith('application/cloudevents') ? 'event' : 'either';
  const read = readingOf(body, { mediaType, limits: given.limits });
  if (read.kind === 'problem') return sendProblem(reply, read);
  if (read.kind === 'one') return postOne(given, { request, reply, form }, read.value);
  const { many } = read;
  if (many.count > given.limits.commands) {
    return sendProblem(
      reply,
      problem(
        'too-many-commands',
        `The array has ${many.count} commands; at most ${given.limits.commands} are taken, and nothing was stored.`,
      ),
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

type Reading =
  { readonly kind: 'one'; readonly value: unknown } | { readonly kind: 'many'; readonly many: ManyCommands } | Problem;

/** One command or many, as the content type says where the body does not. */
function readingOf(
  body: Exclude<CommandsBody, Problem>,
  { mediaType, limits }: { readonly mediaType: string; readonly limits: HttpGiven['limits'] },
): Reading {
  const isBatch = mediaType === 'application/cloudevents-batch+json';
  const isSingle = mediaType === 'application/cloudevents+json';
  switch (body.kind) {
    case 'lines':
      return { kind: 'many', many: { lines: body.lines, answer: 'lines', count: 0 } };
    case 'large-list':
      // What a list holds is not looked at where one command is due.
      if (isSingle) return { kind: 'one', value: [] };
      return {
        kind: 'many',
        many: { lines: linesOfLargeList(body, limits.singleBytes), answer: 'list', count: body.count },
      };
    case 'too-large-for-one':
      return isBatch ? NOT_A_LIST : problem('command-too-large', `${body.detail}.`);
    case 'json':
      if (isSingle || !Array.isArray(body.value)) {
        return isBatch ? NOT_A_LIST : { kind: 'one', value: body.value };
      }
      return { kind: 'many', many: { lines: linesOfList(body.value), answer: 'list', count: body.value.length } };
  }
}

const NOT_A_LIST = problem('json-invalid', 'A batch of events is a JSON array.');

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
  for (const method of METHODS) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method);
  for (const [url, allow] of known) {
    app.route({
      method: app.supportedMethods.filter((method) => !allow.split(', ').includes(method)),
      url,
      schema: { hide: true },
      onRequest: async (request, reply) => {
        reply.header('allow', allow);
        const detail = withHint(`${request.method} is not possible here`, request.url);
        await sendProblem(reply, problem('method-not-allowed', detail));
      },
      handler: async (_request, reply) => reply,
    });
  }
}

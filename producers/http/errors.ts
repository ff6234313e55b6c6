// Owns what happens to a request that no route answered: unknown paths, parameters that cannot be read, faults of our own.
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import type { Observe } from '../../shared/process/events.ts';
import { withoutHost } from './broken-requests.ts';
import { PARAMETER_LENGTH_MAX } from './http-given.ts';
import { problemOfParameters } from './parameters.ts';
import { nothingAt } from './paths.ts';
import { problem, type Problem, type ProblemCode } from './problem.ts';
import { sendProblem } from './reply.ts';

/** Codes of fastify that are the caller's doing, and have a message that says it well. */
const FASTIFY_PROBLEMS: ReadonlyMap<string, ProblemCode> = new Map([
  ['FST_ERR_CTP_INVALID_MEDIA_TYPE', 'content-type-unsupported'],
  ['FST_ERR_CTP_INVALID_CONTENT_LENGTH', 'request-malformed'],
  ['FST_ERR_BAD_URL', 'url-invalid'],
  ['FST_ERR_ROUTE_REWRITE_NOT_STR', 'url-invalid'],
]);

const TOO_LONG = problem('url-too-long', `A part of its path has more than ${PARAMETER_LENGTH_MAX} characters.`);

export function answerErrors(app: FastifyInstance, observe: Observe): void {
  app.setErrorHandler((error: FastifyError, _request, reply) => sendProblem(reply, problemOf(error, observe)));
  // Before a body is looked at: what stands in it makes no difference any more.
  app.addHook('onRequest', (request, reply, done) => {
    const refusal = withoutHost(request) ?? (request.is404 ? unknownRoute(request) : null);
    if (refusal === null) done();
    else sendProblem(reply, refusal);
  });
  app.setNotFoundHandler((request, reply) => sendProblem(reply, unknownRoute(request)));
}

export function answerBadUrl(error: FastifyError, _request: FastifyRequest, reply: FastifyReply): void {
  sendProblem(reply, problemOfUrl(error));
}

function problemOfUrl({ code, message }: FastifyError): Problem {
  return code === 'FST_ERR_MAX_PARAM_LENGTH' ? TOO_LONG : problem('url-invalid', `${message}.`);
}

function unknownRoute({ method, url }: FastifyRequest): Problem {
  return problem('route-unknown', nothingAt(method, url));
}

function problemOf(error: FastifyError, observe: Observe): Problem {
  if (hasZodFastifySchemaValidationErrors(error)) return problemOfParameters(error.validation);
  const code = FASTIFY_PROBLEMS.get(error.code);
  if (code !== undefined) return problem(code, `${error.message}.`);
  observe({ kind: 'request-failed', code: 'internal', cause: error });
  return problem('internal', 'The request could not be answered.');
}

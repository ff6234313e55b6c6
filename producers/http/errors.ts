// Owns what happens to a request that no route answered: unknown paths, wrong methods, broken requests, faults of our own.
import type { Socket } from 'node:net';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import type { Observe } from '../../shared/process/events.ts';
import { kindOf, pointed, problem, PROBLEM_TYPE, problemText, type Problem, type ProblemCode } from './problem.ts';
import { sendProblem } from './reply.ts';

/** Codes of fastify that are the caller's doing. */
const FASTIFY_PROBLEMS: ReadonlyMap<string, ProblemCode> = new Map([
  ['FST_ERR_CTP_INVALID_MEDIA_TYPE', 'content-type-unsupported'],
  ['FST_ERR_CTP_INVALID_CONTENT_LENGTH', 'request-malformed'],
  ['FST_ERR_CTP_BODY_TOO_LARGE', 'body-too-large'],
  ['FST_ERR_BAD_URL', 'url-invalid'],
  ['FST_ERR_ROUTE_REWRITE_NOT_STR', 'url-invalid'],
  ['FST_ERR_MAX_PARAM_LENGTH', 'url-too-long'],
]);

/** Codes of node's HTTP parser; anything else that it refuses is malformed. */
const PARSER_PROBLEMS: ReadonlyMap<string, ProblemCode> = new Map([
  ['HPE_HEADER_OVERFLOW', 'headers-too-large'],
  ['ERR_HTTP_REQUEST_TIMEOUT', 'request-timed-out'],
]);

export function answerErrors(app: FastifyInstance, observe: Observe): void {
  app.setErrorHandler((error: FastifyError, _request, reply) => sendProblem(reply, problemOf(error, observe)));
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, problem('route-unknown', `There is nothing at ${request.method} ${pathOf(request)}.`)),
  );
}

export function answerBadUrl(error: FastifyError, _request: FastifyRequest, reply: FastifyReply): void {
  sendProblem(reply, problem(FASTIFY_PROBLEMS.get(error.code) ?? 'url-invalid', `${error.message}.`));
}

/** What node could not parse never becomes a request: the answer is written to the socket. */
export function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket & { _httpMessage?: unknown }): void {
  const code = PARSER_PROBLEMS.get(error.code ?? '') ?? 'request-malformed';
  // An answer that has begun must not be followed by a second one.
  if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const body = problemText(problem(code, 'The request cannot be read.'));
  const { status, title } = kindOf(code);
  const head = `HTTP/1.1 ${status} ${title}\r\nContent-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}`;
  socket.end(`${head}\r\nConnection: close\r\n\r\n${body}`, () => socket.destroy());
}

function problemOf(error: FastifyError, observe: Observe): Problem {
  if (hasZodFastifySchemaValidationErrors(error)) {
    const errors = error.validation.map((issue) => ({
      pointer: issue.instancePath,
      detail: issue.message ?? 'cannot be read',
    }));
    const detail = errors.map((each) => `${each.pointer.slice(1)}: ${each.detail}.`).join(' ');
    return pointed('query-invalid', detail, errors);
  }
  const code = FASTIFY_PROBLEMS.get(error.code);
  if (code !== undefined) return problem(code, `${error.message}.`);
  observe({ kind: 'request-failed', code: 'internal', cause: error });
  return problem('internal', 'The request could not be answered.');
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0]?.slice(0, PATH_SHOWN_MAX) ?? '';
}

const PATH_SHOWN_MAX = 200;

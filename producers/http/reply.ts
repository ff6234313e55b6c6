// Owns how answers leave: JSON text made once, problems with their headers, and the end of interest when a caller has gone.
import type { FastifyReply } from 'fastify';
import { kindOf, PROBLEM_TYPE, problemText, type Problem } from './problem.ts';

export const JSON_TYPE = 'application/json; charset=utf-8';

export function sendJson(reply: FastifyReply, status: number, document: unknown): FastifyReply {
  return reply.code(status).header('content-type', JSON_TYPE).send(JSON.stringify(document));
}

/** `printed`: members that are JSON already. */
export function sendProblem(
  reply: FastifyReply,
  given: Problem,
  printed: Readonly<Record<string, string>> = {},
): FastifyReply {
  const { status, retryAfterSeconds } = kindOf(given.code);
  if (retryAfterSeconds !== undefined) reply.header('retry-after', retryAfterSeconds);
  // A body that was not read to its end must not be taken for the next request.
  if (!reply.request.raw.complete && reply.request.raw.readableFlowing !== null) reply.header('connection', 'close');
  return reply.code(status).header('content-type', PROBLEM_TYPE).send(problemText(given, printed));
}

/** Calls `gone` if the connection closes before the answer has been sent. Returns what ends the watching. */
export function whenCallerGoes(reply: FastifyReply, gone: () => void): () => void {
  const onClose = () => {
    if (!reply.raw.writableFinished) gone();
  };
  reply.raw.once('close', onClose);
  return () => {
    reply.raw.off('close', onClose);
  };
}

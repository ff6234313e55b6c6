// Owns the answers to what never becomes a request of a route: node would close the connection, or answer with a bare status.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { bytesText } from '../../shared/process/quantity.ts';
import { HEADER_BYTES_MAX } from './http-given.ts';
import { kindOf, problem, PROBLEM_TYPE, problemText, type Problem } from './problem.ts';

/** Codes of node's HTTP parser; anything else that it refuses is malformed. */
const PARSER_PROBLEMS: ReadonlyMap<string, Problem> = new Map([
  [
    'HPE_HEADER_OVERFLOW',
    problem('headers-too-large', `The URL and the headers have more than ${bytesText(HEADER_BYTES_MAX)} together.`),
  ],
  ['ERR_HTTP_REQUEST_TIMEOUT', problem('request-timed-out', 'The request did not arrive in time.')],
]);
const MALFORMED = problem('request-malformed', 'The request cannot be read.');
const NO_HOST = problem('request-malformed', 'The Host header is missing.');
const NO_TUNNEL = problem('method-not-allowed', 'CONNECT is not possible here.');

/** What is being answered on a connection, as node keeps it. */
interface Answering {
  readonly _httpMessage?: { readonly headersSent: boolean; readonly req: { readonly complete: boolean } } | null;
}

/** What node could not parse: the answer is written to the socket. */
export function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Duplex & Answering): void {
  const answering = socket._httpMessage ?? null;
  // An answer that has begun must not be followed by a second one; and a request that came whole must not be answered for what is behind it.
  const isAnothers = answering !== null && (answering.headersSent || answering.req.complete);
  if (error.code === 'ECONNRESET' || !socket.writable || isAnothers) {
    socket.destroy();
    return;
  }
  writeProblem(socket, PARSER_PROBLEMS.get(error.code ?? '') ?? MALFORMED);
}

/** What node parses, and would answer by itself. */
export function answerOddRequests(app: FastifyInstance): void {
  const { server } = app;
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    const odd = problem('expectation-failed', `"Expect: ${request.headers.expect ?? ''}" cannot be met.`);
    response.writeHead(kindOf(odd.code).status, { 'content-type': PROBLEM_TYPE }).end(problemText(odd));
  });
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    socket.on('error', () => socket.destroy());
    writeProblem(socket, NO_TUNNEL, 'Allow: GET, HEAD, POST\r\n');
  });
}

/** HTTP/1.1 demands it; node's own check, which answers without a document, is off. */
export function withoutHost({ raw }: FastifyRequest): Problem | null {
  return raw.headers.host === undefined && raw.httpVersion === '1.1' ? NO_HOST : null;
}

function writeProblem(socket: Duplex, given: Problem, headers = ''): void {
  const body = problemText(given);
  const { status, title } = kindOf(given.code);
  const head = `HTTP/1.1 ${status} ${title}\r\n${headers}Content-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}`;
  socket.end(`${head}\r\nConnection: close\r\n\r\n${body}`, () => socket.destroy());
}

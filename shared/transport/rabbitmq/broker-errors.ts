// Owns what can be wrong with a broker, as sentences: the one place that knows how amqplib and RabbitMQ say it.
import { asError, OnelaneError } from '../../process/errors.ts';
import { BrokerAway } from '../broker-away.ts';
import { BrokerLoginRefused, BrokerRightMissing, BrokerTlsFailed, isTlsFault } from '../broker-faults.ts';
import type { RabbitAccess } from './client.ts';

/** There is no such vhost, or the user may not enter it. */
export class VhostRefused extends OnelaneError {
  readonly code = 'vhost-refused' as const;
}

/** A queue is not there, or not any more. */
export class QueueMissing extends OnelaneError {
  readonly code = 'queue-missing' as const;
}

/** A queue is there with other arguments than a log needs. */
export class QueueUnfit extends OnelaneError {
  readonly code = 'queue-unfit' as const;
}

export interface About {
  readonly access: RabbitAccess;
  /** The prefix of the queues. */
  readonly channel: string;
}

/** As a person may see it: never with the password. */
export function addressOf({ tls, host, port }: RabbitAccess): string {
  return `${tls === null ? 'amqp' : 'amqps'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** What amqplib threw, as a sentence that says what to do; our own errors stay, what has no sentence of its own is the broker being away. */
export function explain(thrown: unknown, about: About): OnelaneError {
  const error = asError(thrown);
  if (error instanceof OnelaneError) return error;
  const replied = replyCode(error);
  return (
    tlsFailed(error, about) ??
    shutOut(error, about) ??
    (replied === REPLY.accessRefused ? rightMissing(error, about) : null) ??
    (replied === REPLY.notFound ? queueMissing(about, error) : null) ??
    new BrokerAway(awaySentence(error, about), { cause: error })
  );
}

/** Of a connection that stood, or of an end that has no code at all. */
const HANGS_UP: ReadonlySet<string> = new Set(['', 'ECONNRESET', 'EPIPE']);

/** What the broker gave as its reason for ending a channel or the connection; null when it gave none. */
export function replyCode(thrown: unknown): number | null {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'number' ? thrown.code : null;
}

export const REPLY = { forced: 320, accessRefused: 403, notFound: 404, preconditionFailed: 406 } as const;

function awaySentence(error: Error, { access }: About): string {
  const at = addressOf(access);
  const replied = replyCode(error);
  if (replied === REPLY.forced) return `the broker at ${at} has closed the connection: it stops, or an operator did it`;
  if (replied !== null) {
    return `the broker at ${at} has ended a channel (${error.message}): if it does not pass by itself, look at its log`;
  }
  if (!HANGS_UP.has(errnoOf(error))) {
    return `no broker can be reached at ${at} (${error.message}): check RABBITMQ_URL, and that it runs`;
  }
  // Whoever is not spoken to in the way it wants hangs up without a word.
  const other = access.tls === null ? 'speak TLS (amqps://)' : 'speak no TLS (amqp://)';
  return `the broker at ${at} ends the connection (${error.message}): it may just have stopped; if it runs, it may ${other}`;
}

function tlsFailed(error: Error, { access }: About): OnelaneError | null {
  const code = errnoOf(error);
  if (!isTlsFault(code)) return null;
  return new BrokerTlsFailed(
    `TLS with ${addressOf(access)} failed (${code}): give the authority that signed the broker's certificate in RABBITMQ_SSL_CA_FILE, and a port that speaks TLS in RABBITMQ_URL`,
    { cause: error },
  );
}

/**
 * amqplib keeps the code of a handshake that the broker ended to itself; at which of its two steps that was stands in the text alone. So
 * this is the one place that looks into one.
 */
function shutOut(error: Error, { access: { username, vhost, ...access } }: About): OnelaneError | null {
  const at = addressOf({ ...access, username, vhost });
  if (error.message.startsWith('Handshake terminated by server: 403')) {
    return new BrokerLoginRefused(
      `the broker at ${at} refuses the user "${username}": check user and password in RABBITMQ_URL (guest may log in from the broker's own machine only)`,
      { cause: error },
    );
  }
  if (error.message.startsWith('Expected ConnectionOpenOk')) {
    return new VhostRefused(
      `the broker at ${at} does not let user "${username}" into vhost "${vhost}": make the vhost and give the user its rights there, or correct RABBITMQ_URL`,
      { cause: error },
    );
  }
  return null;
}

/** What each method needs, by the numbers of its class and itself. */
const RIGHTS: ReadonlyMap<string, string> = new Map([
  ['50.10', 'configure'],
  ['60.20', 'read'],
  ['60.70', 'read'],
  ['60.40', 'write'],
]);

function rightMissing(error: Error, { access, channel }: About): OnelaneError {
  const { classId, methodId } = { classId: 0, methodId: 0, ...error };
  const right = RIGHTS.get(`${classId}.${methodId}`) ?? 'configure, read or write';
  return new BrokerRightMissing(
    `user "${access.username}" lacks the right to ${right} in vhost "${access.vhost}": allow configure and read on the queues "${channel}.*", and write on them and on amq.default`,
    { cause: error },
  );
}

export function queueMissing({ channel }: Pick<About, 'channel'>, cause?: Error): QueueMissing {
  return new QueueMissing(
    `a queue "${channel}.*" does not exist at the broker: if it was deleted, the commands in it are gone; start any process of the system anew to make it again, and have callers repeat what has no outcome`,
    { cause },
  );
}

/** ECONNREFUSED, ENOTFOUND or the like; empty when it did not come from the system. */
function errnoOf(error: Error): string {
  if ('code' in error && typeof error.code === 'string') return error.code;
  // How amqplib says that its own time for connecting is over.
  return error.message === 'connect ETIMEDOUT' ? 'ETIMEDOUT' : '';
}

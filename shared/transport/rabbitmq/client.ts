// Owns one connection to a broker: opened with patience, told when it is gone, and broken off when no answer comes.
import { setMaxListeners } from 'node:events';
import type { Socket } from 'node:net';
import { connect, IllegalOperationError, type Channel, type ChannelModel, type ConfirmChannel } from 'amqplib';
import { asError } from '../../process/errors.ts';
import { inTime, type Clock } from '../../process/time.ts';
import { BrokerAway } from '../broker-away.ts';

/** Where the broker is, and as whom: what an URL says, decoded. */
export interface RabbitAccess {
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
  readonly vhost: string;
  /** null: plain TCP. `ca`: PEM of the authority that signed the broker's certificate; null: those that Node trusts. */
  readonly tls: { readonly ca: string | null } | null;
}

export interface ConnectionGiven {
  readonly access: RabbitAccess;
  /** After about twice as long without a word, either side takes the other for dead. */
  readonly heartbeatSeconds: number;
  readonly clock: Clock;
}

const CONNECT_MS = 4_000;
/** Longer than a broker that is well takes for any answer. */
const ANSWER_MS = 8_000;
const CLOSE_MS = 1_000;
const KEEP_ALIVE_MS = 30_000;

/** Without a user in the URL, as the protocol's own scheme has it. */
export async function openConnection(given: ConnectionGiven): Promise<BrokerConnection> {
  const { access } = given;
  const model = await connect(
    {
      protocol: access.tls === null ? 'amqp' : 'amqps',
      hostname: access.host,
      port: access.port,
      username: access.username,
      password: access.password,
      // amqplib takes it as it stands in a URL.
      vhost: encodeURIComponent(access.vhost),
      heartbeat: given.heartbeatSeconds,
    },
    {
      timeout: CONNECT_MS,
      noDelay: true,
      keepAlive: true,
      keepAliveDelay: KEEP_ALIVE_MS,
      clientProperties: { connection_name: 'onelane' },
      ...(access.tls?.ca == null ? {} : { ca: access.tls.ca }),
    },
  );
  return new BrokerConnection(model, given.clock);
}

export class BrokerConnection {
  readonly #model: ChannelModel;
  readonly #clock: Clock;
  readonly #gone = new AbortController();
  #cause: Error | null = null;
  #blockedBy: string | null = null;
  #closing: Promise<void> | null = null;

  constructor(model: ChannelModel, clock: Clock) {
    this.#model = model;
    this.#clock = clock;
    // Everybody who asks listens, and there may be many at a time.
    setMaxListeners(0, this.#gone.signal);
    model.on('error', (cause) => (this.#cause ??= cause));
    model.on('close', (cause) => this.#gone.abort(this.#cause ?? cause ?? CLOSED));
    model.on('blocked', (reason) => (this.#blockedBy = reason));
    model.on('unblocked', () => (this.#blockedBy = null));
    onHandlerError(model, (cause) => this.breakOff(cause));
    onHandlerError(model.connection, (cause) => this.breakOff(cause));
  }

  /** Aborts, with the cause as its reason, when nothing can be asked any more. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Why the broker takes nothing from this connection at the moment; null: it does. */
  get blockedBy(): string | null {
    return this.#blockedBy;
  }

  async channel(): Promise<Channel> {
    return this.#guarded(await this.ask(() => this.#opened(() => this.#model.createChannel())));
  }

  async confirmChannel(): Promise<ConfirmChannel> {
    return this.#guarded(await this.ask(() => this.#opened(() => this.#model.createConfirmChannel())));
  }

  /** A broker may end a connection together with its welcome, before anybody listens: only using it tells. */
  async #opened<T>(open: () => Promise<T>): Promise<T> {
    try {
      return await open();
    } catch (thrown) {
      if (thrown instanceof IllegalOperationError) this.breakOff(ENDED_AT_ONCE);
      throw thrown;
    }
  }

  /**
   * What `question` resolves to; when no answer comes the connection is broken off. When the connection ends it rejects: amqplib leaves who
   * closes a channel, or waits for the rest of a message, without any answer then.
   */
  async ask<T>(question: () => Promise<T>): Promise<T> {
    const answered = new AbortController();
    const gone = new Promise<never>((_, reject) => {
      const end = () => reject(asError(this.gone.reason));
      if (this.gone.aborted) end();
      else this.gone.addEventListener('abort', end, { signal: answered.signal });
    });
    void this.#clock.sleep(ANSWER_MS, answered.signal).then(() => {
      if (!answered.signal.aborted) this.breakOff(new BrokerAway(`the broker has not answered for ${ANSWER_MS} ms`));
    });
    try {
      return await Promise.race([question(), gone]);
    } catch (thrown) {
      // What amqplib says of a connection that is gone is only that it is gone.
      throw this.gone.aborted ? this.gone.reason : thrown;
    } finally {
      answered.abort();
    }
  }

  /**
   * Resolves when the broker has let go of the channel, or it had ended already. One that does not end in time keeps every successor waiting:
   * the connection is broken off then. Never rejects.
   */
  async endChannel(channel: Channel, inMs: number): Promise<void> {
    if (this.gone.aborted) return;
    let hasEnded = false;
    const ended = new Promise<void>((resolve) => resolve(channel.close()))
      .catch(() => undefined)
      .then(() => (hasEnded = true));
    await inTime(ended, inMs, this.#clock);
    if (!hasEnded) this.breakOff(new BrokerAway('the broker does not answer'));
  }

  /** At once: whoever waits for an answer gets an error. Idempotent. */
  breakOff(cause: Error): void {
    this.#cause ??= cause;
    socketOf(this.#model)?.destroy(cause);
    this.#gone.abort(this.#cause);
  }

  /** In good order, or broken off when the broker does not go along. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    if (this.gone.aborted) return;
    const closed = this.#model.close().catch(() => undefined);
    await inTime(closed, CLOSE_MS, this.#clock);
    this.breakOff(CLOSED);
  }

  #guarded<T extends Channel>(channel: T): T {
    // Errors come to whoever asked, and with the channel's close.
    channel.on('error', () => undefined);
    onHandlerError(channel, (cause) => this.breakOff(cause));
    return channel;
  }
}

const ENDED_AT_ONCE = new BrokerAway('the broker has ended the connection at once');
const CLOSED = new BrokerAway('the connection was closed by us');

/** A bug in one of our own handlers: everything about the connection is in doubt, and amqplib would throw it into the event loop. */
function onHandlerError(emitter: unknown, breakOff: (cause: Error) => void): void {
  // The declared type of a connection leaves out that it is an emitter.
  const { on } = emitter as Pick<ChannelModel, 'on'>;
  on.call(emitter, 'handler-error', (thrown: unknown) => breakOff(asError(thrown)));
}

/** amqplib has no way to end a connection whose broker does not answer. */
function socketOf(model: ChannelModel): Socket | null {
  const stream: unknown = Reflect.get(model.connection, 'stream');
  // What a connection was opened on is a socket; a stream of another kind has the same `destroy`.
  return stream === undefined ? null : (stream as Socket);
}

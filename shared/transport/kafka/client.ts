// Owns the way to the brokers: a kafkajs client with sockets of its own, so that it can be broken off when no answer comes.
import { isIP, connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import kafkajs, { type Kafka, type KafkaConfig } from 'kafkajs';
import type { Clock, Random } from '../../process/time.ts';
import { BrokerAway } from '../broker-away.ts';

export interface KafkaConnection {
  /** `host:port`, any of them is enough to find the others. */
  readonly brokers: readonly string[];
  /** null: plain TCP. */
  readonly tls: KafkaTls | null;
  /** null: the brokers ask for no login. */
  readonly sasl: KafkaSasl | null;
}

/** PEM texts; null: the authorities that Node trusts, and no certificate of our own. */
export interface KafkaTls {
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
}

type Mechanism = 'plain' | 'scram-sha-256' | 'scram-sha-512';

export type KafkaSasl = {
  readonly [Name in Mechanism]: { readonly mechanism: Name; readonly username: string; readonly password: string };
}[Mechanism];

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Where connections to a broker really go, by its `host:port`; to any other, there. */
export type Detours = ReadonlyMap<string, Address>;

/** Plain enough to go from one thread to another. */
export interface KafkaClientGiven {
  readonly connection: KafkaConnection;
  readonly detours: Detours;
}

export interface KafkaClient {
  readonly kafka: Kafka;
  /** Ends every connection; whoever waits for an answer gets an error. Idempotent. */
  breakOff(): void;
}

/** Of kafkajs, beyond the first attempt, for questions and for memberships. What is published is sent once. */
const RETRIES = 3;
const CONNECT_MS = 3_000;
/** Longer than a broker takes to store with all replicas, or to say that it could not. */
const ANSWER_MS = 8_000;
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 1_000;
const KEEP_ALIVE_MS = 30_000;

/** Each client begins with a broker of its own, so that not every process begins with the same one. */
export function openKafkaClient({ connection, detours }: KafkaClientGiven, random: Random): KafkaClient {
  const sockets = new Set<Socket>();
  let isBrokenOff = false;
  const kafka = new kafkajs.Kafka({
    ...loginOf(connection),
    clientId: 'onelane',
    brokers: shuffled(connection.brokers, random),
    connectionTimeout: CONNECT_MS,
    authenticationTimeout: ANSWER_MS,
    requestTimeout: ANSWER_MS,
    retry: { retries: RETRIES, initialRetryTime: RETRY_FIRST_MS, maxRetryTime: RETRY_MAX_MS },
    // Whatever goes wrong comes as an error or an event, and is told by us.
    logLevel: kafkajs.logLevel.NOTHING,
    logCreator: () => () => undefined,
    socketFactory: ({ host, port, ssl, onConnect }) => {
      const socket = openSocket({ host, port }, detours, { ssl, onConnect });
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      if (isBrokenOff) socket.destroy(brokenOff());
      return socket;
    },
  });
  return {
    kafka,
    breakOff() {
      isBrokenOff = true;
      // Without an error nobody who waits for an answer would hear of it.
      for (const socket of sockets) socket.destroy(brokenOff());
    },
  };
}

function shuffled(brokers: readonly string[], random: Random): string[] {
  return brokers
    .map((broker) => ({ broker, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ broker }) => broker);
}

function brokenOff(): Error {
  return new BrokerAway('the connection to the broker was broken off by us');
}

function loginOf({ tls, sasl }: KafkaConnection): Pick<KafkaConfig, 'ssl' | 'sasl'> {
  return { ...(tls === null ? {} : { ssl: tlsOptions(tls) }), ...(sasl === null ? {} : { sasl: { ...sasl } }) };
}

function tlsOptions({ ca, cert, key }: KafkaTls): ConnectionOptions {
  return { ...(ca === null ? {} : { ca }), ...(cert === null ? {} : { cert }), ...(key === null ? {} : { key }) };
}

function openSocket(
  to: Address,
  detours: Detours,
  how: { readonly ssl: ConnectionOptions; readonly onConnect: () => void },
): Socket {
  const target = detours.get(`${to.host}:${to.port}`) ?? to;
  // The declared type leaves out that plain connections have none.
  const ssl: ConnectionOptions | undefined = how.ssl;
  const named = isIP(to.host) === 0 ? { servername: to.host } : {};
  const socket = ssl ? connectTls({ ...target, ...named, ...ssl }, how.onConnect) : connectTcp(target, how.onConnect);
  return socket.setKeepAlive(true, KEEP_ALIVE_MS).setNoDelay(true);
}

/** Longer than any answer takes; by a clock that is never set back, unlike that of kafkajs. */
const PATIENCE_MS = ANSWER_MS + 2_000;

/** `work` over this client; when it takes too long the connections are broken off, and it rejects. */
export async function withPatience<T>(client: KafkaClient, clock: Clock, work: Promise<T>): Promise<T> {
  const done = new AbortController();
  void clock.sleep(PATIENCE_MS, done.signal).then(() => {
    if (!done.signal.aborted) client.breakOff();
  });
  try {
    return await work;
  } finally {
    done.abort();
  }
}

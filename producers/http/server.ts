// Owns the producers' HTTP server as a service: listens, answers, and stops within its deadline.
import type { AddressInfo, Socket } from 'node:net';
import { fastify, type FastifyInstance } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { asError, OnelaneError } from '../../shared/process/errors.ts';
import type { Observe } from '../../shared/process/events.ts';
import type { Service } from '../../shared/process/service.ts';
import { inTime, type Clock, type Random } from '../../shared/process/time.ts';
import type { Database } from '../../shared/postgres/database.ts';
import type { System } from '../../shared/postgres/system.ts';
import type { ResourceTypes } from '../../shared/resources/resource-type.ts';
import type { Transport } from '../../shared/transport/transport.ts';
import { openFullHolds, type FullHolds, type HeldLimits } from '../full-holds.ts';
import { openOutcomeWatch, type CommitHere, type OutcomeWatch, type WatchLimits } from '../outcome-watch.ts';
import { openSubmitter, type SubmitLimits, type Submitter } from '../submit.ts';
import { answerBrokenRequest, answerOddRequests } from './broken-requests.ts';
import { answerBadUrl, answerErrors } from './errors.ts';
import { healthRoutes, type HealthGiven } from './health.ts';
import { HEADER_BYTES_MAX, HTTP_LIMITS, PARAMETER_LENGTH_MAX, type HttpLimits } from './http-given.ts';
import { describeApi, openApiRoute } from './openapi.ts';
import { commandRoutes } from './routes.ts';

export interface ProducerServerGiven {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly database: Database;
  readonly system: System;
  readonly transport: Pick<Transport, 'openPublisher' | 'ends' | 'traits'>;
  readonly types: ResourceTypes;
  readonly metrics: HealthGiven['metrics'];
  readonly observe: Observe;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits?: {
    readonly http?: Partial<HttpLimits>;
    readonly submit?: Partial<SubmitLimits>;
    readonly watch?: Partial<WatchLimits>;
    readonly held?: Partial<HeldLimits>;
  };
}

export interface ProducerServer extends Service {
  /** `http://127.0.0.1:8080`; null unless started. */
  url(): string | null;
  /** What is submitted and not answered yet; null unless started. */
  held(): { readonly entries: number; readonly bytes: number } | null;
  /** A lane in this process has committed: whoever waits here hears it without a detour through the database. */
  committed(commit: CommitHere): void;
}

export class PortInUse extends OnelaneError {
  readonly code = 'port-in-use' as const;
}

export class CannotListen extends OnelaneError {
  readonly code = 'cannot-listen' as const;
}

/** Bounds of a connection. A waiting caller is silent for 30 s; a big upload takes minutes. */
const HEADERS_MS = 20_000;
const REQUEST_MS = 300_000;
const KEEP_ALIVE_MS = 72_000;
const CONNECTIONS_MAX = 20_000;

export function producerServer(given: ProducerServerGiven): ProducerServer {
  return new Server(given);
}

interface Running {
  readonly app: FastifyInstance;
  readonly submitter: Submitter;
  readonly watch: OutcomeWatch;
  readonly fullHolds: FullHolds;
  readonly sockets: ReadonlySet<Socket>;
}

class Server implements ProducerServer {
  readonly name = 'http';
  private readonly given: ProducerServerGiven;
  private running: Running | null = null;
  private stopping: Promise<void> | null = null;

  constructor(given: ProducerServerGiven) {
    this.given = given;
  }

  url(): string | null {
    const address = this.running?.app.server.address() ?? null;
    return address === null || typeof address === 'string' ? null : urlOf(address);
  }

  held(): { readonly entries: number; readonly bytes: number } | null {
    return this.running?.submitter.held() ?? null;
  }

  committed(commit: CommitHere): void {
    this.running?.watch.committed(commit);
  }

  async start(): Promise<void> {
    const { given } = this;
    const fullHolds = openFullHolds({ ...given, limits: given.limits?.held ?? {} });
    const submitter = openSubmitter({ ...given, fullHolds, limits: given.limits?.submit ?? {} });
    const watch = openOutcomeWatch({ ...given, limits: given.limits?.watch ?? {} });
    const app = buildApp(given, submitter, watch);
    const sockets = new Set<Socket>();
    app.server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    this.running = { app, submitter, watch, fullHolds, sockets };
    this.stopping = null;
    try {
      await submitter.firstAttempt;
      await app.listen({ host: given.host, port: given.port });
    } catch (thrown) {
      await this.stop(STOP_AFTER_FAILED_START_MS);
      throw listenFailure(asError(thrown), given);
    }
    given.observe({ kind: 'service-started', name: this.name });
  }

  stop(deadlineMs: number): Promise<void> {
    this.stopping ??= this.shut(deadlineMs);
    return this.stopping;
  }

  /** Waiters are answered first, then requests end, then what they published; what is not done by then is abandoned. */
  private async shut(deadlineMs: number): Promise<void> {
    const { running } = this;
    if (running === null) return;
    const { clock, observe } = this.given;
    const sinceMs = clock.monotonicMs();
    const leftMs = () => Math.max(0, deadlineMs - (clock.monotonicMs() - sinceMs));
    const watchClosed = running.watch.close();
    const closed = running.app.close();
    await inTime(closed, leftMs() * SHARE_FOR_REQUESTS, clock);
    for (const socket of running.sockets) socket.destroy();
    await running.submitter.close(leftMs());
    await inTime(Promise.all([watchClosed, closed, running.fullHolds.close()]), leftMs(), clock);
    this.running = null;
    observe({ kind: 'service-stopped', name: this.name, ms: clock.monotonicMs() - sinceMs });
  }
}

const STOP_AFTER_FAILED_START_MS = 2_000;
const SHARE_FOR_REQUESTS = 0.6;

function buildApp(given: ProducerServerGiven, submitter: Submitter, watch: OutcomeWatch): FastifyInstance {
  const app = fastify({
    logger: false,
    bodyLimit: Number.MAX_SAFE_INTEGER,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    routerOptions: { maxParamLength: PARAMETER_LENGTH_MAX },
    http: { maxHeaderSize: HEADER_BYTES_MAX, headersTimeout: HEADERS_MS, requireHostHeader: false },
    frameworkErrors: answerBadUrl,
    clientErrorHandler: answerBrokenRequest,
  });
  app.server.maxConnections = CONNECTIONS_MAX;
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  answerErrors(app, given.observe);
  answerOddRequests(app);
  const wanted = { ...HTTP_LIMITS, ...given.limits?.http };
  // One body of the largest size must fit, whatever that size is set to.
  const limits = { ...wanted, bodiesBytes: Math.max(wanted.bodiesBytes, wanted.bodyBytes) };
  describeApi(app, given.types);
  app.after(() => {
    commandRoutes(app, { ...given, submitter, watch, limits, partitions: given.system.partitions });
    healthRoutes(app, {
      submitter,
      reachBroker: () => given.transport.ends(),
      metrics: given.metrics,
      clock: given.clock,
    });
    openApiRoute(app);
  });
  return app;
}

function listenFailure(cause: Error, { host, port }: ProducerServerGiven): OnelaneError {
  const code = 'code' in cause ? cause.code : null;
  if (code === 'EADDRINUSE') {
    return new PortInUse(
      `port ${port} on ${host} is in use: stop what listens there, or choose another ONELANE_HTTP_PORT`,
      { cause },
    );
  }
  return new CannotListen(
    `cannot listen on ${host}:${port}: check ONELANE_HTTP_HOST and ONELANE_HTTP_PORT (${cause.message})`,
    { cause },
  );
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

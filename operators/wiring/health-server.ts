// Owns the health and metrics of a process that has no API: three small pages on a port of their own.
import { createServer, type Server, type ServerResponse } from 'node:http';
import { CannotListen, PortInUse } from '../../producers/http/server.ts';
import type { Metrics } from '../../shared/process/metrics.ts';
import type { Service } from '../../shared/process/service.ts';

export interface HealthServerGiven {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  isReady(): boolean;
  readonly metrics: Pick<Metrics, 'contentType' | 'text'>;
}

export interface HealthServer extends Service {
  /** null unless started. */
  url(): string | null;
}

const REQUEST_MS = 10_000;
const CONNECTIONS_MAX = 100;

export function healthServer(given: HealthServerGiven): HealthServer {
  const server = createServer((request, response) => {
    // answer() handles its own failures.
    void answer(request.url ?? '/', response, given);
  });
  server.requestTimeout = REQUEST_MS;
  server.maxConnections = CONNECTIONS_MAX;
  return {
    name: 'health',
    url: () => urlOf(server),
    start: () => listen(server, given),
    stop: () => close(server),
  };
}

async function answer(url: string, response: ServerResponse, given: HealthServerGiven): Promise<void> {
  const json = { 'content-type': 'application/json' };
  switch (url.split('?')[0]) {
    case '/health/live':
      response.writeHead(200, json).end('{"status":"live"}');
      return;
    case '/health/ready': {
      const isReady = given.isReady();
      response.writeHead(isReady ? 200 : 503, json).end(`{"status":"${isReady ? 'ready' : 'not-ready'}"}`);
      return;
    }
    case '/metrics':
      response.writeHead(200, { 'content-type': given.metrics.contentType }).end(await given.metrics.text());
      return;
    default:
      response.writeHead(404, json).end('{"status":"unknown"}');
  }
}

function listen(server: Server, { host, port }: HealthServerGiven): Promise<void> {
  return new Promise((resolve, reject) => {
    const refused = (cause: Error): void => {
      const isTaken = 'code' in cause && cause.code === 'EADDRINUSE';
      const Refusal = isTaken ? PortInUse : CannotListen;
      const why = isTaken ? 'is in use' : `cannot be listened on (${cause.message})`;
      reject(new Refusal(`port ${port} on ${host} ${why}: choose another ONELANE_HEALTH_PORT`, { cause }));
    };
    server.once('error', refused);
    server.listen(port, host, () => {
      server.off('error', refused);
      resolve();
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve();
    });
    server.closeAllConnections();
  });
}

function urlOf(server: Server): string | null {
  const address = server.address();
  if (address === null || typeof address === 'string') return null;
  return `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
}

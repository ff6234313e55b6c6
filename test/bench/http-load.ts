// Owns the load over HTTP: keep-alive sockets with one request in flight each, written and read raw, so that the client costs little.
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { median } from './measure.ts';

export interface HttpLoad {
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The body of the nth request. */
  readonly body: (n: number) => string;
  readonly connections: number;
  readonly count: number;
  readonly expectStatus: number;
}

export interface HttpLoadResult {
  readonly ms: number;
  readonly medianLatencyMs: number;
}

/** Throws when a response has another status than the expected one. */
export async function loadHttp(load: HttpLoad): Promise<HttpLoadResult> {
  const latencies: number[] = [];
  let next = 0;
  const from = performance.now();
  const worker = async (): Promise<void> => {
    const client = await openRawClient(load.port);
    while (next < load.count) {
      const sentAt = performance.now();
      const status = await client.request(requestText(load, next++));
      latencies.push(performance.now() - sentAt);
      if (status !== load.expectStatus) throw new Error(`${load.path} answered ${status}, not ${load.expectStatus}`);
    }
    client.close();
  };
  await Promise.all(Array.from({ length: load.connections }, worker));
  return { ms: performance.now() - from, medianLatencyMs: median(latencies) };
}

function requestText(load: HttpLoad, n: number): string {
  const body = load.body(n);
  const headers = Object.entries(load.headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
  return `POST ${load.path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

interface RawClient {
  request(text: string): Promise<number>;
  close(): void;
}

async function openRawClient(port: number): Promise<RawClient> {
  const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  let pending = '';
  let answered: { resolve: (status: number) => void; reject: (cause: Error) => void } | null = null;
  socket.setEncoding('latin1');
  socket.on('data', (text: string) => {
    pending += text;
    const status = wholeResponse(pending);
    if (status === null) return;
    pending = '';
    answered?.resolve(status);
  });
  socket.on('error', (cause) => answered?.reject(cause));
  socket.on('close', () => answered?.reject(new Error('the server closed the connection')));
  return {
    request: (text) =>
      new Promise((resolve, reject) => {
        answered = { resolve, reject };
        socket.write(text);
      }),
    close: () => {
      answered = null;
      socket.destroy();
    },
  };
}

/** The status, once head and body are there; both servers send a content-length. */
function wholeResponse(text: string): number | null {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd === -1) return null;
  const length = /content-length: (\d+)/i.exec(text.slice(0, headEnd));
  if (text.length < headEnd + 4 + Number(length?.[1] ?? 0)) return null;
  return Number(text.slice(9, 12));
}

// Owns a way to a server that a test can close: what a dead network, or a server that is away, looks like from one client.
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';

export interface TcpGate {
  /** The same database, through the gate. */
  readonly url: string;
  /** Nothing passes any more in either direction, and nobody is told. New connections are taken and get no answer. */
  freeze(): void;
  thaw(): void;
  /** Ends every connection. */
  cut(): void;
  /** Ends every connection, and every new one at once, until `admit`. */
  refuse(): void;
  /** What the client says gets through; what the server answers gets lost, until `admit`. */
  swallowAnswers(): void;
  /** Everything passes again, for new connections: those whose answers got lost are ended. */
  admit(): void;
  connections(): number;
  close(): Promise<void>;
}

export async function openTcpGate(url: string): Promise<TcpGate> {
  const target = new URL(url);
  const port = Number(target.port === '' ? 5432 : target.port);
  const pairs = new Set<readonly [Socket, Socket]>();
  let isFrozen = false;
  let mood: 'admits' | 'refuses' | 'swallows' = 'admits';
  const server = createServer((client) => {
    if (mood === 'refuses') {
      client.on('error', () => undefined).destroy();
      return;
    }
    const upstream = connect(port, target.hostname);
    const pair = [client, upstream] as const;
    pairs.add(pair);
    join(client, upstream, () => true);
    join(upstream, client, () => mood !== 'swallows');
    upstream.once('close', () => pairs.delete(pair));
    if (isFrozen) for (const socket of pair) socket.pause();
  });
  const cut = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
    pairs.clear();
  };
  const setFlow = (flow: 'pause' | 'resume') => {
    isFrozen = flow === 'pause';
    for (const pair of pairs) for (const socket of pair) socket[flow]();
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // Listening on a port, so the address is no pipe's name.
  target.port = String((server.address() as AddressInfo).port);
  target.hostname = '127.0.0.1';
  return {
    url: target.href,
    freeze: () => setFlow('pause'),
    thaw: () => setFlow('resume'),
    cut,
    refuse() {
      mood = 'refuses';
      cut();
    },
    swallowAnswers() {
      mood = 'swallows';
    },
    admit() {
      if (mood === 'swallows') cut();
      mood = 'admits';
    },
    connections: () => pairs.size,
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function join(from: Socket, to: Socket, passes: () => boolean): void {
  from.on('data', (chunk) => {
    if (passes()) to.write(chunk);
  });
  from.once('end', () => to.end());
  from.on('error', () => to.destroy());
  from.once('close', () => to.destroy());
}

// Owns ports that stay free for a server that is killed and started again.
import { createServer } from 'node:net';

/** Below the range from which systems draw the ports of outgoing connections: those could sit on a server's port while it is down. */
const FIRST = 10_000;
const COUNT = 20_000;
/** Processes that run at the same time begin apart. */
let next = (process.pid * 41) % COUNT;

/** Each is handed out once in this process. */
export async function reservePort(): Promise<number> {
  for (let tried = 0; tried < COUNT; tried++) {
    const port = FIRST + next;
    next = (next + 1) % COUNT;
    if (await isFree(port)) return port;
  }
  throw new Error(`no port of 127.0.0.1 from ${FIRST} to ${FIRST + COUNT} is free`);
}

export async function reservePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await reservePort());
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

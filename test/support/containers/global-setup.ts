// Owns the servers of `npm run test:containers`: one container of each for the whole run, known to its tests as if it had been there before.
import { CONTAINED, whyNoContainers, type Contained } from './servers.ts';

const running: Contained[] = [];

export async function setup(): Promise<void> {
  const why = await whyNoContainers();
  if (why !== null) throw new Error(`the tests in containers cannot run: ${why}`);
  const starts = await Promise.allSettled(CONTAINED.map((server) => start(server)));
  const failed = starts.find((each) => each.status === 'rejected');
  if (failed === undefined) return;
  await teardown();
  throw new Error(`a container does not start: ${String(failed.reason)}`, { cause: failed.reason });
}

export async function teardown(): Promise<void> {
  await Promise.all(running.splice(0).map((server) => server.stop()));
}

async function start({ variable, start }: (typeof CONTAINED)[number]): Promise<void> {
  const server = await start();
  running.push(server);
  // Workers inherit it.
  process.env[variable] = server.address;
}

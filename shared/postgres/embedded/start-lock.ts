// Owns the lock under which one process at a time makes, adopts or starts the server of a data directory.
import { linkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, readText, type DataDirectory } from './data-directory.ts';
import { EmbeddedFailed } from './embedded-errors.ts';

const LOCK_WAIT_MS = 90_000;
const RETRY_MS = 20;

type Release = () => void;

/** `work` runs alone on this machine for this directory. A holder that dies, however, frees the lock. */
export async function underStartLock<T>(directory: DataDirectory, work: () => Promise<T>): Promise<T> {
  const release = await acquire(directory);
  try {
    return await work();
  } finally {
    release();
  }
}

async function acquire(directory: DataDirectory): Promise<Release> {
  const until = performance.now() + LOCK_WAIT_MS;
  while (performance.now() < until) {
    const release = process.platform === 'linux' ? await bindName(directory) : await linkFile(directory);
    if (release !== null) return release;
    await sleep(RETRY_MS);
  }
  throw new EmbeddedFailed(
    `another process has been starting the server in ${directory.root} for ${LOCK_WAIT_MS / 1_000} s: end it and start again`,
  );
}

/** An abstract socket: the kernel takes the name back when its process ends, so there is no stale lock to judge. */
function bindName(directory: DataDirectory): Promise<Release | null> {
  const { dev, ino } = statSync(directory.root);
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(null);
      else reject(error);
    });
    server.listen(`\0onelane-start-${dev}-${ino}`, () => {
      server.unref();
      resolve(() => server.close());
    });
  });
}

/** Where there are no abstract sockets: a file with the holder's process id, linked so that it is never seen empty. */
function linkFile(directory: DataDirectory): Promise<Release | null> {
  const lock = join(directory.root, 'starting.lock');
  const own = `${lock}.${process.pid}`;
  writeFileSync(own, String(process.pid));
  try {
    linkSync(own, lock);
    return Promise.resolve(() => rmSync(lock, { force: true }));
  } catch {
    const holder = Number(readText(lock));
    if (!isAlive(holder)) rmSync(lock, { force: true });
    return Promise.resolve(null);
  } finally {
    rmSync(own, { force: true });
  }
}

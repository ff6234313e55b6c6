// Owns data directories of embedded servers for tests, and processes that own their servers; all of it is gone at the end.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, statfsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { z } from 'zod';
import { dataDirectory, isAlive, runningPostmaster } from '../../shared/postgres/embedded/data-directory.ts';
import { startEmbeddedServer, type EmbeddedServer } from '../../shared/postgres/embedded/server.ts';
import type { OnelaneEvent } from '../../shared/process/events.ts';

export const NOBODY = 65_534;
const ROOM_BYTES = 2 * 1024 ** 3;
/** Many times faster on a thousand small files than Node's own. */
const run = promisify(execFile);
const program = fileURLToPath(new URL('embedded-owner.ts', import.meta.url));
const line = z.union([
  z.object({ kind: z.literal('has'), url: z.string(), port: z.number(), how: z.string() }),
  z.object({ kind: z.literal('failed'), sentence: z.string() }),
]);

export interface Owner {
  readonly child: ChildProcess;
  readonly said: z.infer<typeof line>;
  /** Ends it in good order. */
  end(): Promise<void>;
}

export class EmbeddedTest {
  readonly events: OnelaneEvent[] = [];
  readonly #template: string | null;
  readonly #directories: string[] = [];
  readonly #servers: EmbeddedServer[] = [];
  readonly #children: ChildProcess[] = [];
  #watcher: () => void = () => undefined;

  /** `template`: a data directory to copy, which saves making one. */
  constructor(template: string | null) {
    this.#template = template;
  }

  async directory(from: 'template' | 'nothing' = 'template'): Promise<string> {
    const path = await mkdtemp(join(roomyDirectory(), 'onelane-embedded-'));
    this.#directories.push(path);
    if (from === 'template' && this.#template !== null) await run('cp', ['-a', `${this.#template}/.`, path]);
    return path;
  }

  async start(path: string): Promise<EmbeddedServer> {
    const observe = (event: OnelaneEvent) => {
      this.events.push(event);
      this.#watcher();
    };
    const server = await startEmbeddedServer({ dataDirectory: path, observe });
    this.#servers.push(server);
    return server;
  }

  /** Resolves when that many servers have been started or adopted since the beginning. */
  starts(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#watcher = () => {
        if (this.events.filter((event) => event.kind === 'embedded-server-started').length >= count) resolve();
      };
      this.#watcher();
    });
  }

  async own(path: string, as: { readonly uid: number; readonly gid: number } | null = null): Promise<Owner> {
    const child = spawn(process.execPath, ['--import', 'jiti/register', program, path], {
      stdio: ['pipe', 'pipe', 'inherit'],
      ...(as ?? {}),
      env: { PATH: '/usr/bin:/bin' },
    });
    this.#children.push(child);
    const said = line.parse(JSON.parse(await firstWords(child)));
    const end = async () => {
      child.stdin.end();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    };
    return { child, said, end };
  }

  async close(): Promise<void> {
    for (const server of this.#servers) await server.stop(10_000);
    for (const child of this.#children) child.kill('SIGKILL');
    for (const path of this.#directories) {
      const running = runningPostmaster(dataDirectory(path));
      if (running !== null) await gone(running.pid);
      await run('rm', ['-rf', path]);
    }
  }
}

/** In memory where there is room: these tests kill processes, not machines, and many clusters on one disk are slow. */
function roomyDirectory(): string {
  const memory = '/dev/shm';
  if (!existsSync(memory)) return tmpdir();
  const { bavail, bsize } = statfsSync(memory);
  return bavail * bsize > ROOM_BYTES ? memory : tmpdir();
}

/** What a program says first; rejects when it ends without a word. */
export function firstWords(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.stdout?.setEncoding('utf8').once('data', resolve);
    child.once('close', (code, signal) => {
      reject(new Error(`the program ended without a word (${code ?? signal ?? ''})`));
    });
  });
}

export async function gone(pid: number, waitMs = 15_000): Promise<void> {
  const until = performance.now() + waitMs;
  while (isAlive(pid)) {
    if (performance.now() > until)
      throw new Error(`process ${pid} is an orphan: it lives ${waitMs} ms after its owner`);
    await sleep(10);
  }
}

export function giveTo(path: string, uid: number): void {
  chownSync(path, uid, uid);
}

/** One statement on a connection of its own. */
export async function ask(url: string, sql: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

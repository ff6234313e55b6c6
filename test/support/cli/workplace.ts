// Owns the place where a test runs the program: a directory with the bank's config, a database of its own if wanted, and what was started.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { testServerUrl } from '../database.ts';
import { startProgram, type Ended, type Program, type ProgramGiven } from './program.ts';

export interface Workplace {
  readonly directory: string;
  /** Set for every program started here; null: none, and `up` starts an embedded server. */
  readonly databaseUrl: string | null;
  start(args: readonly string[], env?: Readonly<Record<string, string>>): Program;
  /** Runs the package's own `npm start`; its data is kept here, too. */
  npmStart(args: readonly string[]): Program;
  /** Starts a serving command with --json; resolves when it serves. */
  serve(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Program & { readonly url: string }>;
  /** Runs a command to its end. */
  run(args: readonly string[], input?: string): Promise<Finished>;
  /** The same for the history example. */
  runHistory(args: readonly string[]): Promise<Finished>;
  put(name: string, text: string): Promise<void>;
  /** The process of the embedded server, as its own file names it; null: there is none. */
  serverPid(): Promise<number | null>;
  /** Ends what still runs, then removes directory and database. Idempotent. */
  close(): Promise<void>;
}

export interface Finished extends Ended {
  readonly stdout: string;
  readonly stderr: string;
}

const BANK = new URL('../../../examples/bank/', import.meta.url);

export async function openWorkplace(database: 'embedded' | 'own' | 'none'): Promise<Workplace> {
  const directory = await mkdtemp(join(tmpdir(), 'onelane-cli-'));
  await cp(new URL('onelane.config.ts', BANK), join(directory, 'onelane.config.ts'));
  await cp(new URL('bank.sql', BANK), join(directory, 'bank.sql'));
  const databaseUrl = database === 'own' ? await createDatabase() : null;
  const programs: Program[] = [];
  const given = databaseUrl === null ? {} : { DATABASE_URL: databaseUrl };
  const begin = (wanted: Pick<ProgramGiven, 'script' | 'args' | 'env'>): Program => {
    const program = startProgram({ ...wanted, cwd: directory, env: { ...given, ...wanted.env } });
    programs.push(program);
    return program;
  };
  const start: Workplace['start'] = (args, env = {}) => begin({ args, env });
  let closed: Promise<void> | undefined;
  return {
    directory,
    databaseUrl,
    start,
    npmStart: (args) =>
      begin({ script: 'npm start', args: [...args, '--data-directory', join(directory, '.onelane')] }),
    serve: async (args, env) => {
      const program = start(
        [...args, '--json', '--http-port', '0'].slice(0, args[0] === 'consumer' ? -2 : undefined),
        env,
      );
      const { url } = await program.said(({ status }) => status === 'serving');
      return Object.assign(program, { url: String(url) });
    },
    run: (args, input = '') => {
      const program = start(args);
      program.write(input);
      return finished(program);
    },
    runHistory: (args) => finished(begin({ script: 'history', args })),
    put: (name, text) => writeFile(join(directory, name), text),
    serverPid: () => serverPid(directory),
    close: () => (closed ??= clear(programs, { directory, databaseUrl })),
  };
}

async function finished(program: Program): Promise<Finished> {
  const ended = await program.ended;
  return { ...ended, stdout: program.stdout(), stderr: program.stderr() };
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Every process whose command line names the directory, above all a server of the data in it. */
export async function processesIn(directory: string): Promise<readonly string[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-ww', '-o', 'pid=,args=']);
  return stdout.split('\n').filter((line) => line.includes(directory));
}

async function serverPid(directory: string): Promise<number | null> {
  const text = await readFile(join(directory, '.onelane', 'cluster', 'postmaster.pid'), 'utf8').catch(() => null);
  return text === null ? null : Number(text.split('\n')[0]);
}

async function clear(
  programs: readonly Program[],
  place: { readonly directory: string; readonly databaseUrl: string | null },
): Promise<void> {
  for (const program of programs) program.signal('SIGKILL');
  await Promise.all(programs.map((program) => program.ended));
  if (place.databaseUrl !== null) await dropDatabase(place.databaseUrl);
  await rm(place.directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}

async function createDatabase(): Promise<string> {
  const url = new URL(testServerUrl());
  const name = `cli_${randomBytes(6).toString('hex')}`;
  await withServer((client) => client.query(`create database ${name}`));
  url.pathname = `/${name}`;
  return url.href;
}

async function dropDatabase(databaseUrl: string): Promise<void> {
  const name = new URL(databaseUrl).pathname.slice(1);
  await withServer((client) => client.query(`drop database if exists ${name} with (force)`));
}

async function withServer(act: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: testServerUrl() });
  await client.connect();
  try {
    await act(client);
  } finally {
    await client.end();
  }
}

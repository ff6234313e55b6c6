// Owns the Kafka that tests run: its jars, fetched through Maven once, and what the tool of its own makes of an empty folder.
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { dataDirectory } from '../../../shared/postgres/embedded/data-directory.ts';
import { underStartLock } from '../../../shared/postgres/embedded/start-lock.ts';

export interface Distribution {
  readonly classPath: string;
  /** What a node's empty metadata log begins with: the features, and the users that may sign in by SCRAM. */
  checkpoint(users: readonly ScramUser[]): Promise<string>;
}

export interface ScramUser {
  readonly username: string;
  readonly password: string;
}

const run = promisify(execFile);
/** The sources, also when this is the compiled copy: Maven's file is not compiled. */
const HERE = fileURLToPath(new URL('.', import.meta.url.replace('/dist/test/', '/test/')));
const POM = join(HERE, 'pom.xml');
const CACHE = join(HERE, '..', '..', '..', 'node_modules', '.cache', 'onelane');
const FETCH_MS = 300_000;
const TOOL_MS = 60_000;
const JAVA_MIN = 17;

export const LOGGING = join(HERE, 'log4j2.properties');
/** Compiles little, collects simply: a process that lives for seconds is ready in two thirds of the time. */
export const QUICK_START = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];
export const MECHANISMS = ['SCRAM-SHA-256', 'SCRAM-SHA-512'] as const;

/** What this machine lacks to start a broker; null when nothing. */
export function whyNoDistribution(): string | null {
  const version = spawnSync('java', ['-version'], { encoding: 'utf8' }).stderr ?? '';
  const major = Number(/version "(\d+)/.exec(version)?.[1] ?? 0);
  if (major < JAVA_MIN) return `Java ${JAVA_MIN} or newer`;
  if (existsSync(folderOf(readFileSync(POM, 'utf8'))) || spawnSync('mvn', ['-v'], { stdio: 'ignore' }).status === 0)
    return null;
  return 'Maven';
}

/** Safe in several processes at once: one fetches, the others wait, and one that dies frees its place. */
export async function kafkaDistribution(): Promise<Distribution> {
  const folder = folderOf(readFileSync(POM, 'utf8'));
  if (!existsSync(folder)) await once(folder, fetchJars);
  const classPath = join(folder, '*');
  return { classPath, checkpoint: (users) => checkpoint(folder, users) };
}

/** Another version, or another set of jars, is another folder. */
function folderOf(pom: string): string {
  return join(CACHE, `kafka-${createHash('sha256').update(pom).digest('hex').slice(0, 12)}`);
}

/** What stands at `path` is whole: it was made beside it and renamed. */
async function once(path: string, make: (path: string) => Promise<void>): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  await underStartLock(dataDirectory(CACHE), async () => {
    if (existsSync(path)) return;
    const scratch = await mkdtemp(join(CACHE, 'making-'));
    try {
      const made = join(scratch, 'made');
      await make(made);
      await rename(made, path);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });
}

async function fetchJars(folder: string): Promise<void> {
  const goal = ['-q', '-B', '-f', POM, 'dependency:copy-dependencies', `-DoutputDirectory=${folder}`];
  try {
    await run('mvn', goal, { timeout: FETCH_MS });
  } catch (cause) {
    throw new Error(`Maven cannot fetch Kafka's jars: ${String(cause)}`, { cause });
  }
}

/** Starting the tool takes a second, so what it made for these users is kept. */
async function checkpoint(folder: string, users: readonly ScramUser[]): Promise<string> {
  const digest = createHash('sha256').update(JSON.stringify(users)).digest('hex').slice(0, 12);
  const path = join(folder, `${digest}.checkpoint`);
  if (!existsSync(path)) await once(path, (made) => format({ folder, users, made }));
  return path;
}

async function format(wanted: {
  readonly folder: string;
  readonly users: readonly ScramUser[];
  readonly made: string;
}): Promise<void> {
  const scratch = `${wanted.made}.format`;
  await mkdir(scratch);
  const properties = join(scratch, 'server.properties');
  await writeFile(properties, FORMAT_ONLY.replace('{logs}', scratch));
  const scram = wanted.users.flatMap(({ username, password }) =>
    MECHANISMS.flatMap((mechanism) => ['--add-scram', `${mechanism}=[name=${username},password=${password}]`]),
  );
  const tool = ['-cp', join(wanted.folder, '*'), 'kafka.tools.StorageTool', 'format'];
  const clusterId = 'AAAAAAAAAAAAAAAAAAAAAQ'; // not in the checkpoint: each node's own file names its cluster
  await run('java', [...QUICK_START, ...tool, '-t', clusterId, '-c', properties, ...scram], { timeout: TOOL_MS });
  await rename(join(scratch, 'bootstrap.checkpoint'), wanted.made);
}

/** The tool reads the addresses and leaves them out of what it writes. */
const FORMAT_ONLY = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9093
listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093
controller.listener.names=CONTROLLER
log.dirs={logs}
`;

// Owns the Kafka that tests run: its jars, fetched through Maven once, and what the tool of its own makes of an empty folder.
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { dataDirectory } from '../../../shared/postgres/embedded/data-directory.ts';
import { underStartLock } from '../../../shared/postgres/embedded/start-lock.ts';
import { makeArchive } from './archive.ts';
import { reservePorts } from '../ports.ts';

export interface Distribution {
  /** What `java` is told to find a broker's classes, and to find them fast. */
  readonly java: readonly string[];
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
const UNFINISHED = 'making-';
const FETCH_MS = 300_000;
const TOOL_MS = 60_000;
const JAVA_MIN = 17;

const LOGGING = `-Dlog4j2.configurationFile=${join(HERE, 'log4j2.properties')}`;
/** Of folders that are formatted for what is in them; each cluster of a test has a name of its own. */
const CLUSTER_ID = 'AAAAAAAAAAAAAAAAAAAAAQ';

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
  const classes = await archive(folder);
  const fast = statSync(classes).size > 0 ? [`-XX:SharedArchiveFile=${classes}`] : [];
  return { java: [...fast, LOGGING, '-cp', join(folder, '*')], checkpoint: (users) => checkpoint(folder, users) };
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
    await removeUnfinished();
    const scratch = await mkdtemp(join(CACHE, UNFINISHED));
    try {
      const made = join(scratch, 'made');
      await make(made);
      await rename(made, path);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });
}

/** What makers left that died. */
async function removeUnfinished(): Promise<void> {
  const left = (await readdir(CACHE)).filter((name) => name.startsWith(UNFINISHED));
  for (const name of left) await rm(join(CACHE, name), { recursive: true, force: true });
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
  if (existsSync(path)) return path;
  await once(path, async (made) => {
    const logs = await format({ folder, users, scratch: dirname(made) });
    await rename(join(logs, 'bootstrap.checkpoint'), made);
  });
  return path;
}

async function archive(folder: string): Promise<string> {
  const path = join(folder, 'classes.jsa');
  if (existsSync(path)) return path;
  await once(path, async (made) => {
    const scratch = dirname(made);
    await format({ folder, users: [], scratch });
    const program = ['-cp', join(folder, '*'), 'kafka.Kafka', join(scratch, 'server.properties')];
    await makeArchive(made, [...QUICK_START, LOGGING, ...program]);
  });
  return path;
}

interface Format {
  readonly folder: string;
  readonly users: readonly ScramUser[];
  readonly scratch: string;
}

/** Makes a node's folder of an empty one, with its settings beside it. */
async function format({ folder, users, scratch }: Format): Promise<string> {
  const logs = join(scratch, 'logs');
  const properties = join(scratch, 'server.properties');
  const [client = 0, controller = 0] = await reservePorts(2);
  await writeFile(properties, lone({ client, controller, logs }));
  const scram = users.flatMap(({ username, password }) =>
    MECHANISMS.flatMap((mechanism) => ['--add-scram', `${mechanism}=[name=${username},password=${password}]`]),
  );
  const tool = ['-cp', join(folder, '*'), 'kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', properties];
  await run('java', [...QUICK_START, ...tool, ...scram], { timeout: TOOL_MS });
  return logs;
}

/** Of a node that serves nobody. */
function lone(at: { readonly client: number; readonly controller: number; readonly logs: string }): string {
  return `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${at.controller}
listeners=PLAINTEXT://127.0.0.1:${at.client},CONTROLLER://127.0.0.1:${at.controller}
controller.listener.names=CONTROLLER
log.dirs=${at.logs}
`;
}

// Owns the layout of the embedded server's data directory, and what its files say about a running server.
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

export interface DataDirectory {
  readonly root: string;
  /** PostgreSQL's own directory. */
  readonly cluster: string;
  readonly password: string;
  readonly port: string;
  /** The process id of who stops the server. */
  readonly owner: string;
  readonly log: string;
}

/** What `postmaster.pid` says; its lines are fixed by PostgreSQL. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  readonly status: 'starting' | 'stopping' | 'ready';
}

export const USER = 'onelane';
export const DATABASE = 'onelane';

export function dataDirectory(path: string): DataDirectory {
  const root = existsSync(path) ? realpathSync(path) : resolve(path);
  return {
    root,
    cluster: join(root, 'cluster'),
    password: join(root, 'password'),
    port: join(root, 'port'),
    owner: join(root, 'owner.pid'),
    log: join(root, 'server.log'),
  };
}

export function serverUrl(directory: DataDirectory, port: number, database = DATABASE): string | null {
  const password = readText(directory.password);
  return password === null ? null : `postgres://${USER}:${password}@127.0.0.1:${port}/${database}`;
}

/** Made once; readable by its owner only. */
export function keepPassword(directory: DataDirectory): void {
  mkdirSync(directory.root, { recursive: true, mode: 0o700 });
  if (readText(directory.password) !== null) return;
  writeWhole(directory.password, randomBytes(24).toString('hex'));
}

/** The postmaster that runs on this directory, in whatever state; null when none does, also when a dead one left its file. */
export function runningPostmaster(directory: DataDirectory): Postmaster | null {
  const text = readText(pidFile(directory));
  if (text === null) return null;
  const lines = text.split('\n');
  const pid = Number(lines[0]);
  if (!Number.isSafeInteger(pid) || pid < 1 || !isPostmaster(pid, directory)) return null;
  const said = lines[7]?.trim();
  const status = said === 'ready' || said === 'stopping' ? said : 'starting';
  return { pid, port: Number(lines[3]), status };
}

/** Whether a postmaster was here and could not tidy up: its processes may need a moment to follow it. */
export function hasCrashed(directory: DataDirectory): boolean {
  return runningPostmaster(directory) === null && existsSync(pidFile(directory));
}

/**
 * A dead postmaster's file names a process id; when that is somebody else's by now, PostgreSQL would refuse to start. In every
 * other case PostgreSQL judges the file itself. Only under the start lock, and only when `runningPostmaster` found nobody.
 */
export function dropForeignPidFile(directory: DataDirectory): void {
  const pid = Number(readText(pidFile(directory))?.split('\n')[0]);
  if (Number.isSafeInteger(pid) && pid > 0 && isAlive(pid)) rmSync(pidFile(directory), { force: true });
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return thrown instanceof Error && 'code' in thrown && thrown.code === 'EPERM';
  }
}

/** Null when there is no such file, or it is empty. */
export function readText(path: string): string | null {
  try {
    const text = readFileSync(path, 'utf8').trim();
    return text === '' ? null : text;
  } catch {
    return null;
  }
}

/** Never half written, whatever kills us. */
export function writeWhole(path: string, text: string): void {
  const part = `${path}.${process.pid}.part`;
  writeFileSync(part, text, { mode: 0o600 });
  giveToDirectoryOwner(part);
  renameSync(part, path);
}

/** As root in an ordinary user's directory: that user must be able to go on without us. */
export function giveToDirectoryOwner(path: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(dirname(path));
  chownSync(path, uid, gid);
}

const pidFile = (directory: DataDirectory): string => join(directory.cluster, 'postmaster.pid');

/** Process ids are reused: a postmaster works in its own data directory, which Linux can tell. Elsewhere a living process must do. */
function isPostmaster(pid: number, directory: DataDirectory): boolean {
  if (!isAlive(pid)) return false;
  if (!existsSync('/proc/self/cmdline')) return true;
  const works = workingDirectory(pid);
  if (works !== null) return works === directory.cluster;
  return (readText(`/proc/${pid}/cmdline`) ?? '').split('\0').includes(directory.cluster);
}

/** Null when it is not ours to know, and for a process that has ended but was not waited for. */
function workingDirectory(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return null;
  }
}

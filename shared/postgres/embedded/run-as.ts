// Owns whom PostgreSQL's programs run as: they refuse root, and must not outlive the process that started them.
import { spawnSync, type SpawnOptions } from 'node:child_process';
import { chownSync, lstatSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Binaries } from './binaries.ts';
import { EmbeddedUnavailable } from './embedded-errors.ts';

export interface RunAs {
  /** Puts what is needed before a command. */
  readonly prefix: readonly string[];
  /** `null`: the user we are. */
  readonly user: { readonly uid: number; readonly gid: number } | null;
  /** The kernel interrupts the server when we die; else a watcher has to. */
  readonly diesWithUs: boolean;
}

/** `nobody` on every system; inside a user namespace, and as the last resort outside of one. */
const NOBODY = 65_534;
const UNSHARE = ['unshare', '--user', `--map-user=${NOBODY}`, `--map-group=${NOBODY}`];
const PDEATHSIG = ['setpriv', '--pdeathsig', 'INT'];
/** Nothing of the caller's environment: PGDATA, PGPORT and locale settings would change the server. */
const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', TZ: 'UTC' };

/**
 * Root becomes `nobody` in a user namespace, whose files stay root's own: no path on the way needs to be opened to others. Where
 * namespaces are forbidden, or the directory belongs to an ordinary user, the programs run as a user of their own.
 */
export function chooseRunAs(dataDirectory: string, binaries: Binaries): RunAs {
  const diesWithUs = process.platform === 'linux' && works([...PDEATHSIG, 'true'], null);
  const guard = diesWithUs ? PDEATHSIG : [];
  const owner = statSync(dataDirectory);
  if (process.getuid?.() !== 0) {
    refuseForeignOwner(owner.uid, dataDirectory);
    return { prefix: guard, user: null, diesWithUs };
  }
  if (owner.uid === 0 && process.platform === 'linux' && works([...UNSHARE, 'true'], null)) {
    return { prefix: [...UNSHARE, ...guard], user: null, diesWithUs };
  }
  const user = owner.uid === 0 ? { uid: NOBODY, gid: NOBODY } : { uid: owner.uid, gid: owner.gid };
  if (
    !works([binaries.postgres, '--version'], user, binaries) ||
    !works(['test', '-x', join(dataDirectory, '..')], user)
  ) {
    throw new EmbeddedUnavailable(
      `the embedded PostgreSQL refuses to run as root, and user ${user.uid} can reach neither its programs nor ${dataDirectory}: run Onelane as an ordinary user, or set DATABASE_URL`,
    );
  }
  return { prefix: guard, user, diesWithUs };
}

export function spawnOptions(as: RunAs, binaries: Binaries): SpawnOptions {
  return {
    cwd: '/',
    // A session of its own: Ctrl-C in a terminal is for us, who then stop the server in good order.
    detached: true,
    env: environment(binaries),
    ...(as.user === null ? {} : as.user),
  };
}

/** Gives what stands at `path` to the user that the programs run as. */
export function handOver(path: string, as: RunAs): void {
  if (as.user === null) return;
  chownSync(path, as.user.uid, as.user.gid);
  if (!lstatSync(path).isDirectory()) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (!entry.isSymbolicLink()) handOver(join(path, entry.name), as);
  }
}

function environment(binaries: Pick<Binaries, 'libraryPath'>): Readonly<Record<string, string>> {
  return binaries.libraryPath === null ? ENVIRONMENT : { ...ENVIRONMENT, LD_LIBRARY_PATH: binaries.libraryPath };
}

function refuseForeignOwner(uid: number, dataDirectory: string): void {
  if (uid === process.getuid?.()) return;
  throw new EmbeddedUnavailable(
    `${dataDirectory} belongs to another user (${uid}): run Onelane as that user, remove the directory, or set DATABASE_URL`,
  );
}

function works(command: readonly string[], user: RunAs['user'], binaries?: Binaries): boolean {
  const [program = '', ...rest] = command;
  const env = environment(binaries ?? { libraryPath: null });
  return (
    spawnSync(program, rest, { cwd: '/', env, stdio: 'ignore', timeout: 10_000, ...(user === null ? {} : user) })
      .status === 0
  );
}

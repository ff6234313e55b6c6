// Owns the making of a new data directory: whole or not at all.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Binaries } from './binaries.ts';
import { readText, USER, type DataDirectory } from './data-directory.ts';
import { EmbeddedFailed } from './embedded-errors.ts';
import { spawnOptions, type RunAs } from './run-as.ts';

const PART = /^cluster\.\d+\.part$/;
const OUTPUT_LENGTH_MAX = 4_000;

export function isInitialized(directory: DataDirectory): boolean {
  return existsSync(join(directory.cluster, 'PG_VERSION'));
}

/** A data directory of another major version cannot be served, and must not be touched. */
export function refuseOtherVersion(directory: DataDirectory, binaries: Binaries): void {
  const version = readText(join(directory.cluster, 'PG_VERSION'));
  if (version === String(binaries.major)) return;
  throw new EmbeddedFailed(
    `${directory.cluster} was made by PostgreSQL ${version ?? '(unknown)'}, and this is ${binaries.major}: move the directory away, or dump and load it with the old version`,
  );
}

/** Only under the start lock. A run that dies half way leaves a part that the next one removes. */
export async function initialize(directory: DataDirectory, as: RunAs, binaries: Binaries): Promise<void> {
  for (const entry of readdirSync(directory.root)) {
    if (PART.test(entry)) rmSync(join(directory.root, entry), { recursive: true, force: true });
  }
  const part = join(directory.root, `cluster.${process.pid}.part`);
  const command = [...as.prefix, binaries.initdb, ...initdbArguments(part, directory)];
  const end = await run(command, as, binaries);
  if (end.code !== 0) {
    rmSync(part, { recursive: true, force: true });
    throw new EmbeddedFailed(`initdb could not make ${directory.cluster}: ${end.output.trim()}`);
  }
  renameSync(part, directory.cluster);
}

/** Text sorts by code point everywhere, whatever locales the machine has. */
function initdbArguments(path: string, directory: DataDirectory): readonly string[] {
  return [
    `--pgdata=${path}`,
    `--username=${USER}`,
    `--pwfile=${directory.password}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
  ];
}

function run(
  command: readonly string[],
  as: RunAs,
  binaries: Binaries,
): Promise<{ readonly code: number | null; readonly output: string }> {
  const [program = '', ...rest] = command;
  return new Promise((resolve, reject) => {
    let output = '';
    const child = spawn(program, rest, { ...spawnOptions(as, binaries), stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-OUTPUT_LENGTH_MAX);
    });
    child.once('error', reject);
    child.once('close', (code) => {
      resolve({ code, output });
    });
  });
}

// Owns finding and loading the developer's config file, TypeScript or not, without a build.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve, sep } from 'node:path';
import { createJiti } from 'jiti';
import * as frontDoor from '../../shared/resources/index.ts';
import { ConfigMalformed, isConfig, sqlFiles, type OnelaneConfig } from '../../shared/resources/define-config.ts';
import type { ResourceTypes } from '../../shared/resources/resource-type.ts';
import { asError, OnelaneError } from '../../shared/process/errors.ts';

export interface SqlFile {
  /** As the config names it: what it is remembered by. */
  readonly name: string;
  readonly text: string;
}

export interface LoadedConfig {
  /** Absolute path. */
  readonly file: string;
  readonly types: ResourceTypes;
  readonly sql: readonly SqlFile[];
}

export class ConfigNotFound extends OnelaneError {
  readonly code = 'config-not-found' as const;
}

export class ConfigNotLoaded extends OnelaneError {
  readonly code = 'config-not-loaded' as const;
}

const NAMES = ['onelane.config.ts', 'onelane.config.js', 'onelane.config.mjs'] as const;

/** `named`: as the setting says, or null for the usual names; both relative to `directory`. */
export async function loadConfig(named: string | null, directory: string): Promise<LoadedConfig> {
  const file = findConfig(named, directory);
  const config = defaultOf(await importFile(file), file);
  return { file, types: config.types, sql: readSql(config, file) };
}

function findConfig(named: string | null, directory: string): string {
  const found = (named === null ? NAMES : [named]).map((name) => resolve(directory, name)).find(existsSync);
  if (found !== undefined) return found;
  throw new ConfigNotFound(
    named === null
      ? `there is no ${NAMES.join(', .').replaceAll('.onelane.config', '')} in ${directory}: make one, or name it with --config`
      : `there is no config file ${resolve(directory, named)}: check --config or ONELANE_CONFIG`,
  );
}

async function importFile(file: string): Promise<unknown> {
  // The config meets the very modules that this process runs, wherever its file lies; `onelane` need not be installed beside it.
  const jiti = createJiti(file, {
    fsCache: false,
    moduleCache: false,
    interopDefault: false,
    virtualModules: { onelane: frontDoor },
  });
  try {
    return await jiti.import(file);
  } catch (thrown) {
    const cause = asError(thrown);
    throw new ConfigNotLoaded(`correct ${file}, which cannot be loaded: ${firstLines(cause)}${placeOf(cause, file)}`, {
      cause,
    });
  }
}

function defaultOf(loaded: unknown, file: string): OnelaneConfig {
  // `module.exports = defineConfig(…)` of a CommonJS file is a config without a default export.
  if (isConfig(loaded)) return loaded;
  const exported: unknown = typeof loaded === 'object' && loaded !== null ? Reflect.get(loaded, 'default') : undefined;
  if (isConfig(exported)) return exported;
  throw new ConfigMalformed(
    `${file} ${exported === undefined ? 'has no default export' : 'exports something else as default'}: write export default defineConfig({ resources: [...] })`,
  );
}

function readSql(config: OnelaneConfig, file: string): readonly SqlFile[] {
  return sqlFiles(config, file).map((path, index) => {
    const name = config.sql[index] ?? path;
    try {
      return { name, text: readFileSync(path, 'utf8') };
    } catch (thrown) {
      const cause = asError(thrown);
      throw new ConfigNotLoaded(`${file} names the SQL file ${name}, which cannot be read: ${cause.message}`, {
        cause,
      });
    }
  });
}

const LINES_MAX = 6;

/** A parser's message goes on with a picture of the place; a stack is for nobody here. */
function firstLines(error: Error): string {
  const code = 'code' in error && typeof error.code === 'string' ? `${error.code}: ` : '';
  // A missing module goes on with all files that led to it: `placeOf` names the one that asked for it.
  const lines = isModuleMissing(error) ? 1 : LINES_MAX;
  return code + error.message.split('\n').slice(0, lines).join(' ').replaceAll(/\s+/g, ' ').trim();
}

const FRAME = /(?:\(|at )(?:file:\/\/)?([^()]+):(\d+):(\d+)\)?$/;

/** Where in the developer's own files it was thrown; '' where the message says it, or nothing does. */
function placeOf(error: Error, file: string): string {
  if (isModuleMissing(error)) {
    const stack: unknown = Reflect.get(error, 'requireStack');
    return Array.isArray(stack) && typeof stack[0] === 'string' ? `, imported by ${stack[0]}` : '';
  }
  const home = dirname(file) + sep;
  const frames = (error.stack ?? '').split('\n').map((line) => FRAME.exec(line));
  const ours = frames.find((frame) => isOfDeveloper(frame?.[1] ?? '', home));
  if (ours === undefined || ours === null) return '';
  const [, path = '', line = '', column = ''] = ours;
  return error.message.includes(`${path}:`) ? '' : `, at ${path}:${line}:${column}`;
}

function isOfDeveloper(path: string, home: string): boolean {
  return path.startsWith(home) && !path.includes(`${sep}node_modules${sep}`);
}

function isModuleMissing(error: Error): boolean {
  return 'code' in error && error.code === 'MODULE_NOT_FOUND';
}

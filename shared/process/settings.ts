// Owns the settings: the one place that reads the environment, and the one list that parses, bounds, defaults and documents them.
import { readFileSync } from 'node:fs';
import type { z } from 'zod';
import { asError, OnelaneError } from './errors.ts';
import { KAFKA_SETTINGS } from './kafka-settings.ts';
import { nearest } from './nearest.ts';
import { RABBITMQ_SETTINGS } from './rabbitmq-settings.ts';
import {
  choice,
  onOrOff,
  optionalText,
  optionalWholeNumber,
  setting,
  size,
  span,
  text,
  wholeNumber,
  type Setting,
} from './setting.ts';

/** One or more settings that cannot be used; the message has one sentence a line. */
export class SettingInvalid extends OnelaneError {
  readonly code = 'setting-invalid' as const;
}

const PORT_MAX = 65_535;

/** Every setting. The order is that of the table in the README. */
export const SETTINGS = {
  databaseUrl: setting(
    {
      variable: 'DATABASE_URL',
      about: 'the PostgreSQL database (14 or later); when it is not set, `up` starts an embedded server of its own',
    },
    optionalText(/^postgres(ql)?:\/\/\S+$/, 'a URL such as postgres://user:password@host:5432/database'),
    'secret',
  ),
  config: setting(
    { variable: 'ONELANE_CONFIG', about: 'the file that declares resource types and their SQL files' },
    optionalText(/\S/, 'a path', '`onelane.config.ts`, `.js` or `.mjs` in the working directory'),
  ),
  transport: setting(
    { variable: 'ONELANE_TRANSPORT', about: 'what carries the commands' },
    choice(['postgres', 'kafka', 'rabbitmq'], 'postgres'),
  ),
  channel: setting(
    { variable: 'ONELANE_CHANNEL', about: "the log's name at the transport" },
    text(
      /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/,
      'up to 100 letters, digits, dots, - and _, beginning with a letter or digit',
      'onelane',
    ),
  ),
  partitions: setting(
    {
      variable: 'ONELANE_PARTITIONS',
      about: 'how many partitions; decided once per system and then taken from its database',
    },
    optionalWholeNumber(1, 1024, '16'),
  ),
  httpHost: setting(
    { variable: 'ONELANE_HTTP_HOST', about: 'the address that HTTP listens on' },
    text(/^[A-Za-z0-9.:_-]+$/, 'a host name or an IP address', '127.0.0.1'),
  ),
  httpPort: setting(
    { variable: 'ONELANE_HTTP_PORT', about: 'the port of the HTTP API; 0 picks a free one' },
    wholeNumber(0, PORT_MAX, 8080),
  ),
  healthPort: setting(
    { variable: 'ONELANE_HEALTH_PORT', about: 'the port of health and metrics of a consumer; 0 picks a free one' },
    optionalWholeNumber(0, PORT_MAX, 'off'),
  ),
  schema: setting(
    { variable: 'ONELANE_SCHEMA', about: "the schema of Onelane's own tables; one per system" },
    text(/^[A-Za-z_][A-Za-z0-9_]{0,47}$/, 'up to 48 letters, digits and _, not beginning with a digit', 'onelane'),
  ),
  ledgerRetention: setting(
    {
      variable: 'ONELANE_LEDGER_RETENTION',
      about: 'how long a command is recognised as a repeat and its outcome can be read',
    },
    span('1h', '3650d', '30d'),
  ),
  logRetention: setting(
    {
      variable: 'ONELANE_LOG_RETENTION',
      about: 'how long applied entries stay in the log; a topic that is made for it keeps them 7d at least',
    },
    span('1m', '365d', '1d'),
  ),
  migrate: setting(
    {
      variable: 'ONELANE_MIGRATE',
      about: 'whether a starting process brings the schema up to date; `never`: `onelane migrate` does',
    },
    choice(['auto', 'never'], 'auto'),
  ),
  insecure: setting(
    {
      variable: 'ONELANE_INSECURE',
      about: 'allows HTTP to listen where other machines can reach it, without access tokens',
    },
    onOrOff(),
  ),
  batchSize: setting(
    { variable: 'ONELANE_BATCH_SIZE', about: 'commands per transaction, at most' },
    wholeNumber(1, 10_000, 1_000),
  ),
  batchLinger: setting(
    { variable: 'ONELANE_BATCH_LINGER', about: 'how long a batch may wait for more commands' },
    span('0ms', '1s', '0ms'),
  ),
  inFlight: setting(
    { variable: 'ONELANE_IN_FLIGHT', about: 'commands that the API holds at a time before it answers 429' },
    wholeNumber(1, 1_000_000, 20_000),
  ),
  inbox: setting(
    {
      variable: 'ONELANE_INBOX',
      about: 'bytes that a consumer has read ahead for all its partitions together, at most',
    },
    size('1MiB', '4GiB', '64MiB'),
  ),
  heldResource: setting(
    {
      variable: 'ONELANE_HELD_RESOURCE',
      about: 'commands parked for one held resource before the API answers 429 for it',
    },
    wholeNumber(1, 10_000_000, 100_000),
  ),
  lease: setting(
    { variable: 'ONELANE_LEASE', about: 'how long a silent consumer keeps its partitions; with Kafka at least 6s' },
    span('1s', '10m', '4s'),
  ),
  drain: setting({ variable: 'ONELANE_DRAIN', about: 'how long stopping may take' }, span('1s', '10m', '8s')),
  body: setting(
    { variable: 'ONELANE_BODY', about: 'size of one HTTP request, at most' },
    size('1KiB', '1GiB', '64MiB'),
  ),
  wait: setting(
    { variable: 'ONELANE_WAIT', about: 'how long a request may wait for an outcome, at most' },
    span('0ms', '5m', '30s'),
  ),
  decideLimit: setting(
    {
      variable: 'ONELANE_DECIDE_LIMIT',
      about: 'how long one batch may be in `decide` before the consumer is taken for stuck and ends itself',
    },
    span('100ms', '1h', '10s'),
  ),
  dataDirectory: setting(
    { variable: 'ONELANE_DATA_DIRECTORY', about: 'where the embedded server keeps its data' },
    text(/\S/, 'a path', '.onelane'),
  ),
  logLevel: setting(
    { variable: 'LOG_LEVEL', about: 'the least level that is logged, to standard error' },
    choice(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], 'info'),
  ),
  ...KAFKA_SETTINGS,
  ...RABBITMQ_SETTINGS,
  nodeEnv: setting(
    { variable: 'NODE_ENV', about: '`production` forbids the embedded server' },
    optionalText(/\S/, 'a word such as production'),
  ),
} as const satisfies Record<string, Setting<unknown>>;

export type SettingName = keyof typeof SETTINGS;
/** Spans in milliseconds, sizes in bytes, null where nothing is set and there is no default. */
export type Settings = { readonly [Name in SettingName]: z.output<(typeof SETTINGS)[Name]['schema']> };
export type Flags = { readonly [Name in SettingName]?: string | undefined };

export interface SettingSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly flags: Flags;
  readFile(path: string): string;
}

/** What this process was given: flags first, then the environment, then files named by `…_FILE`, then defaults. */
export function readSettings(flags: Flags): Settings {
  return parseSettings({ env: process.env, flags, readFile: (path) => readFileSync(path, 'utf8') });
}

/** Throws SettingInvalid with a sentence for each thing that is wrong. An empty text counts as not set. */
export function parseSettings(sources: SettingSources): Settings {
  const faults = unknownVariables(sources.env);
  const values = Object.entries(SETTINGS).map(([name, each]) => {
    try {
      return [name, parseOne(each, flagOf(sources, name), sources)];
    } catch (thrown) {
      faults.push(asError(thrown).message);
      return [name, null];
    }
  });
  if (faults.length > 0) throw new SettingInvalid(faults.join('\n'));
  // Each value was parsed by the schema of its own name: the record has the shape that Settings is derived from.
  return Object.fromEntries(values) as Settings;
}

/** The flag of a setting, or null: a secret has none, and NODE_ENV is not ours. */
export function flagName(each: Setting<unknown>): string | null {
  if (each.secrecy === 'secret' || each.variable === 'NODE_ENV') return null;
  return `--${each.variable
    .replace(/^ONELANE_/, '')
    .toLowerCase()
    .replaceAll('_', '-')}`;
}

/** The README's table of settings, in markdown. */
export function settingsTable(): string {
  const rows = Object.values<Setting<unknown>>(SETTINGS).map((each) => {
    const flag = flagName(each);
    const other = each.secrecy === 'secret' ? `or \`${each.variable}_FILE\`` : flag === null ? '' : `\`${flag}\``;
    return `| \`${each.variable}\` | ${other} | ${code(each.fallback)} | ${each.about}; ${each.takes} |`;
  });
  return ['| variable | flag | default | what it decides, and what it takes |', '|---|---|---|---|', ...rows].join(
    '\n',
  );
}

function code(fallback: string): string {
  return fallback === 'none' || fallback.includes('`') ? fallback : `\`${fallback}\``;
}

function flagOf(sources: SettingSources, name: string): string | undefined {
  return Object.entries(sources.flags).find(([each]) => each === name)?.[1];
}

function parseOne(each: Setting<unknown>, flag: string | undefined, sources: SettingSources): unknown {
  const given = flag === undefined ? fromEnvironment(each, sources) : flag;
  const parsed = each.schema.safeParse(given === '' ? undefined : given);
  if (parsed.success) return parsed.data;
  const name = flag === undefined ? each.variable : (flagName(each) ?? each.variable);
  const shown = each.secrecy === 'secret' ? 'cannot be read' : `is ${JSON.stringify(given)}`;
  throw new SettingInvalid(`${name} ${shown}: give ${each.takes}`);
}

function fromEnvironment(each: Setting<unknown>, sources: SettingSources): string | undefined {
  const given = sources.env[each.variable]?.trim();
  const file = each.secrecy === 'secret' ? sources.env[`${each.variable}_FILE`]?.trim() : undefined;
  if (!file) return given;
  if (given) throw new SettingInvalid(`${each.variable} and ${each.variable}_FILE are both set: keep one of them`);
  try {
    return sources.readFile(file).trim();
  } catch (cause) {
    throw new SettingInvalid(`${each.variable}_FILE names ${file}, which cannot be read: ${asError(cause).message}`, {
      cause,
    });
  }
}

/** Sentences about names that begin with ONELANE_ and are not ours: a typo must not silently give a default. */
function unknownVariables(env: SettingSources['env']): string[] {
  const known = Object.values<Setting<unknown>>(SETTINGS).flatMap((each) =>
    each.secrecy === 'secret' ? [each.variable, `${each.variable}_FILE`] : [each.variable],
  );
  return Object.keys(env)
    .filter((name) => name.startsWith('ONELANE_') && !known.includes(name) && !isInjected(name, env))
    .map((name) => {
      const meant = nearest(withoutPrefix(name), known.map(withoutPrefix));
      const found = known.find((each) => withoutPrefix(each) === meant);
      return found === undefined
        ? `${name} is not a setting: unset it; onelane up --help lists those there are`
        : `${name} is not a setting: did you mean ${found}? Rename it or unset it`;
    });
}

/** Some names are ours without it: who writes ONELANE_LOG_LEVEL means LOG_LEVEL. */
function withoutPrefix(variable: string): string {
  return variable.replace(/^ONELANE_/, '');
}

/** Kubernetes injects these for a Service called `onelane`, or `onelane-something`: never read, never unknown. */
function isInjected(name: string, env: SettingSources['env']): boolean {
  if (/^ONELANE_(PORT|SERVICE_)/.test(name)) return true;
  const service = /^(ONELANE_.+?)_(SERVICE_|PORT)/.exec(name)?.[1];
  return service !== undefined && env[`${service}_SERVICE_HOST`] !== undefined;
}

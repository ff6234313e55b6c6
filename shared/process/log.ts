// Owns the log: one line per event, at a level that says how much a person should care.
import { pino, type DestinationStream, type Level, type Logger } from 'pino';
import type { Observe, OnelaneEvent } from './events.ts';

export type LogLevel = Level | 'silent';

/** What is not listed is `info`. */
const LEVELS: Partial<Record<OnelaneEvent['kind'], Level>> = {
  'batch-applied': 'debug',
  'batch-planned-again': 'debug',
  'lane-claimed': 'debug',
  'lane-released': 'debug',
  'log-pruned': 'debug',
  'service-started': 'debug',
  'service-stopped': 'debug',
  'upload-aborted': 'debug',
  'batch-narrowed': 'warn',
  'command-parked': 'warn',
  'stray-kept': 'warn',
  'tenure-lost': 'warn',
  'halt-outdated': 'warn',
  'lease-lost': 'warn',
  'holder-terminated': 'warn',
  'outage-waited': 'warn',
  'settle-failed': 'warn',
  'connection-lost': 'warn',
  'publish-failed': 'warn',
  'request-failed': 'warn',
  'log-warned': 'warn',
  'lane-halted': 'error',
  'housekeeping-failed': 'error',
};

/** JSON lines; written at once, so that a dying process has said what it knew. */
export function openLogger(level: LogLevel, to: DestinationStream): Logger {
  return pino({ level, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime }, to);
}

/** The subscriber: an event's kind is the message, its fields are the line's fields. */
export function logEvents(logger: Logger): Observe {
  return (event) => {
    const level = levelOf(event);
    if (!logger.isLevelEnabled(level)) return;
    logger[level](fieldsOf(event), event.kind);
  };
}

function levelOf(event: OnelaneEvent): Level {
  // A long outage repeats itself in every lane: after the first words only each doubling is worth a line.
  if (event.kind === 'outage-waited' && !isPowerOfTwo(event.attempt)) return 'debug';
  return LEVELS[event.kind] ?? 'info';
}

function fieldsOf(event: OnelaneEvent): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(event)) {
    if (name !== 'kind') fields[name] = printable(value);
  }
  return fields;
}

function printable(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Error) return describeError(value);
  return value;
}

/** An error's own words and those of what caused it, each once, in one line; the code first where there is one. */
export function describeError(error: Error): string {
  const said = error.message || wordsOfMany(error);
  const own =
    'code' in error && typeof error.code === 'string' && !said.includes(error.code) ? `${error.code}: ${said}` : said;
  const cause = error.cause instanceof Error ? describeError(error.cause) : '';
  return own.includes(cause) ? own : `${own} (${cause})`;
}

/** Node reports several refused addresses as one AggregateError without a message. */
function wordsOfMany(error: Error): string {
  if (!(error instanceof AggregateError)) return error.name;
  return error.errors.map((each) => (each instanceof Error ? each.message : String(each))).join('; ');
}

function isPowerOfTwo(count: number): boolean {
  return (count & (count - 1)) === 0;
}

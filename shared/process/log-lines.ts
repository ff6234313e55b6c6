// Owns the log as a person at a terminal reads it: a clock time, a level, the event, its fields.
import type { DestinationStream } from 'pino';

const HIDDEN = new Set(['level', 'time', 'pid', 'msg']);
const WORDS: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

/** Turns each JSON line of the logger into a readable one. */
export function readableLines(write: (line: string) => void): DestinationStream {
  return { write: (line) => write(`${readable(line)}\n`) };
}

function readable(line: string): string {
  // The logger's own output: always one JSON object.
  const record = JSON.parse(line) as Readonly<Record<string, unknown>>;
  const fields = Object.entries(record)
    .filter(([name]) => !HIDDEN.has(name))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? quotedIfNeeded(value) : JSON.stringify(value)}`);
  const level = (WORDS[Number(record['level'])] ?? 'info').padEnd(5);
  return [String(record['time']).slice(11, 23), level, record['msg'], ...fields].join(' ');
}

function quotedIfNeeded(text: string): string {
  return /^[\w.:/-]+$/.test(text) ? text : JSON.stringify(text);
}

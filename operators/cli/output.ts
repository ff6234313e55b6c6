// Owns what a command prints: text for people, one JSON document a line for scripts, and the way errors are told.
import { describeError } from '../../shared/process/log.ts';
import { OnelaneError } from '../../shared/process/errors.ts';

export interface Output {
  /** `--json` was given. */
  readonly form: 'text' | 'json';
  /** To standard output: `text` for people, or `document` as one line of JSON. */
  say(text: string, document: object): void;
  /** To standard output, for people only. */
  tell(text: string): void;
  /** To standard output, for scripts only. */
  report(document: object): void;
  /** To standard error. */
  warn(text: string, document: object): void;
}

export function openOutput(form: Output['form']): Output {
  // Who reads us may have gone (`onelane status | head`): that is no error of ours.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const write = (stream: NodeJS.WriteStream, text: string, document: object): void => {
    stream.write(form === 'json' ? `${JSON.stringify(document, printable)}\n` : `${text}\n`);
  };
  return {
    form,
    say: (text, document) => {
      write(process.stdout, text, document);
    },
    tell: (text) => {
      if (form === 'text') process.stdout.write(`${text}\n`);
    },
    report: (document) => {
      if (form === 'json') write(process.stdout, '', document);
    },
    warn: (text, document) => {
      write(process.stderr, text, document);
    },
  };
}

/** One line and its code; a bug shows where it happened. */
export function tellError(output: Output, error: Error): void {
  if (error instanceof OnelaneError) {
    output.warn(`onelane: ${error.message} [${error.code}]${causeOf(error)}`, {
      code: error.code,
      message: error.message,
    });
    return;
  }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'unexpected';
  output.warn(`onelane: ${error.stack ?? describeError(error)}`, { code, message: describeError(error) });
}

/** `1 command`, `2 commands`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** Columns as wide as their widest cell; numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => String(row[at] ?? '').length)));
  const line = (cells: readonly (string | number)[]): string =>
    cells
      .map((cell, at) =>
        typeof cell === 'number' ? String(cell).padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return [line(head), ...rows.map(line)].join('\n');
}

/** What the sentence does not say itself; what the system said of a call is in the sentence already, in better words. */
function causeOf({ message, cause }: OnelaneError): string {
  if (!(cause instanceof Error) || 'syscall' in cause || cause.message === '' || message.includes(cause.message))
    return '';
  return `\n  cause: ${describeError(cause)}`;
}

function printable(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}

// Owns `onelane submit`: a file of commands into the log, in its order, in bounded memory.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { SingleBar } from 'cli-progress';
import { openFullHolds } from '../../producers/full-holds.ts';
import { openOutcomeWatch, type OutcomeWatch } from '../../producers/outcome-watch.ts';
import { openSubmitter } from '../../producers/submit.ts';
import { asError, OnelaneError } from '../../shared/process/errors.ts';
import { systemClock } from '../../shared/process/time.ts';
import { openExistingSystem, type ExistingSystem } from '../wiring/existing-system.ts';
import { loadConfig, type LoadedConfig } from '../wiring/load-config.ts';
import { runningOrNamed } from '../wiring/server-url.ts';
import { EXIT, type CommandEnd, type CommandGiven, type CommandSpec } from './command.ts';
import { counted, type Output } from './output.ts';
import { OF_KAFKA } from './serve.ts';
import { listenToSignals } from './stop-signals.ts';
import { submitLines, type LineReport, type Stopped, type Submitted, type Tally } from './submit-lines.ts';

export class FileUnreadable extends OnelaneError {
  readonly code = 'file-unreadable' as const;
}

const CLOSE_MS = 1_000;

export const submit: CommandSpec = {
  name: 'submit',
  summary: 'Send a file of commands, one JSON object a line, in its order',
  argument: {
    name: 'file',
    about:
      'newline-delimited JSON: {"type","subject","data"} or CloudEvents; - reads standard input; with an "id" of its own on each line a file can be sent again and takes effect once',
  },
  options: [
    {
      flag: '--wait',
      about: 'wait for every outcome; end with 1 unless all were applied (without it: unless all were accepted)',
    },
  ],
  settings: ['inFlight', 'heldResource', ...OF_KAFKA],
  examples: [
    'onelane submit commands.ndjson',
    'onelane submit commands.ndjson --wait --json',
    `echo '{"type":"account.open","subject":"42","data":{}}' | onelane submit - --wait`,
  ],
  async run(given) {
    const { settings, observe } = given;
    const config = await loadConfig(settings.config, process.cwd());
    const source = await openSource(given.argument);
    const { url } = await runningOrNamed(settings);
    const system = await openExistingSystem({ url, settings, observe, clock: systemClock });
    try {
      return await submitFile(given, { source, system, config });
    } finally {
      await system.close(CLOSE_MS);
    }
  },
};

interface Source {
  readonly name: string;
  readonly stream: Readable;
  /** null: unknown until it ends. */
  readonly bytes: number | null;
  bytesRead(): number;
}

async function submitFile(
  { settings, observe, output, options }: CommandGiven,
  parts: { readonly source: Source; readonly system: ExistingSystem; readonly config: LoadedConfig },
): Promise<CommandEnd> {
  const { system, source } = parts;
  const effects = { observe, clock: systemClock };
  const fullHolds = openFullHolds({
    ...effects,
    database: system.database,
    limits: { parkedMax: settings.heldResource },
  });
  const submitter = openSubmitter({
    ...effects,
    transport: system.transport,
    types: parts.config.types,
    system: system.system,
    random: Math.random,
    fullHolds,
    limits: { inFlightEntries: settings.inFlight },
  });
  const watch = options['wait'] === true ? openOutcomeWatch({ ...effects, database: system.database }) : null;
  const progress = openProgress(source);
  try {
    await submitter.firstAttempt;
    const submitted = await submitLines({
      stream: source.stream,
      submitter,
      watch,
      onProgress: progress.show,
      report: (line) => {
        // A script reads one stream, with every line in it.
        if (output.form === 'json') output.report(line);
        else output.warn(textOfLine(line), line);
      },
      confirm: output.report,
      stop: stopAsked(output),
      answerMsMax: settings.drain,
    });
    progress.end();
    return tellEnd(output, submitted, watch);
  } catch (thrown) {
    throw source.stream.errored === null ? thrown : unreadable(source.name, asError(thrown));
  } finally {
    progress.end();
    await watch?.close();
    await submitter.close(settings.drain);
    await fullHolds.close();
  }
}

/** The first signal asks, the second does not wait. */
function stopAsked(output: Output): AbortSignal {
  const stop = new AbortController();
  const signals = listenToSignals(() => process.exit(EXIT.failed));
  void signals.asked.then(() => {
    output.warn('\nStopping: waiting for answers to what was sent', { status: 'stopping' });
    stop.abort();
  });
  return stop.signal;
}

function tellEnd(output: Output, { tally, stopped }: Submitted, watch: OutcomeWatch | null): CommandEnd {
  if (stopped !== null) {
    output.say(`${textOf(tally, watch)}\n${textOfStop(stopped)}`, { status: 'interrupted', ...tally, ...stopped });
    return 'failed';
  }
  output.say(textOf(tally, watch), { status: 'submitted', ...tally });
  return isGood(tally, watch) ? 'done' : 'failed';
}

/** What whoever runs it again must know. */
function textOfStop({ lastLine, unanswered, firstUnanswered }: Stopped): string {
  const open =
    unanswered === 0
      ? ''
      : ` Of ${counted(unanswered, 'command')}, the first in line ${firstUnanswered}, it is not known whether they were accepted.`;
  return [
    `Interrupted: sent up to line ${lastLine}, nothing after it.${open}`,
    `Lines that have an id can be sent again and take effect once; without ids go on behind line ${lastLine}.`,
  ].join('\n');
}

function isGood({ lines, accepted, applied }: Tally, watch: OutcomeWatch | null): boolean {
  return accepted === lines && (watch === null || applied === lines);
}

function textOf(
  { lines, accepted, invalid, notStored, applied, rejected, parked, pending }: Tally,
  watch: OutcomeWatch | null,
): string {
  const sent = `${counted(lines, 'command')}: ${accepted} accepted, ${invalid} invalid, ${notStored} not stored`;
  const advice = accepted === 0 ? '' : '; what becomes of them --wait would tell';
  return watch === null
    ? sent + advice
    : `${sent}; ${applied} applied, ${rejected} rejected, ${parked} parked, ${pending} without an outcome`;
}

function textOfLine({ line, status, code, detail }: LineReport): string {
  // A detail that was written for a body of many lines names its line, too.
  const said = detail.replace(/^Line \d+:? /, '');
  return `line ${line}: ${status}${code === null ? '' : ` (${code})`}: ${said}`;
}

async function openSource(file: string): Promise<Source> {
  if (file === '-') return { name: 'standard input', stream: process.stdin, bytes: null, bytesRead: () => 0 };
  try {
    const found = await stat(file);
    if (found.isDirectory()) throw new FileUnreadable(`${file} is a directory: name a file in it`);
    const stream = createReadStream(file);
    await new Promise((resolve, reject) => stream.once('open', resolve).once('error', reject));
    return { name: file, stream, bytes: found.size, bytesRead: () => stream.bytesRead };
  } catch (thrown) {
    throw thrown instanceof FileUnreadable ? thrown : unreadable(file, asError(thrown));
  }
}

function unreadable(name: string, cause: Error): FileUnreadable {
  return new FileUnreadable(`${name} cannot be read: ${cause.message}`, { cause });
}

interface Progress {
  show(tally: Tally): void;
  end(): void;
}

/** Only for people: where standard error is a terminal. */
function openProgress({ bytes: total, bytesRead }: Source): Progress {
  if (!process.stderr.isTTY) return { show: () => undefined, end: () => undefined };
  const whole = total === null ? '' : '[{bar}] {percentage}%  ';
  const bar = new SingleBar({
    format: `${whole}{accepted} accepted of {lines} read  {duration_formatted}`,
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: false,
  });
  bar.start(total ?? 0, 0, { accepted: 0, lines: 0 });
  return {
    show: ({ accepted, lines }) => {
      bar.update(total === null ? 0 : Math.min(bytesRead(), total), { accepted, lines });
    },
    end: () => {
      bar.stop();
    },
  };
}

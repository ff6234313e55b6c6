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
import type { CommandGiven, CommandSpec } from './command.ts';
import { submitLines, type LineReport, type Tally } from './submit-lines.ts';

export class FileUnreadable extends OnelaneError {
  readonly code = 'file-unreadable' as const;
}

const CLOSE_MS = 1_000;

export const submit: CommandSpec = {
  name: 'submit',
  summary: 'Send a file of commands, one JSON object a line, in its order',
  argument: {
    name: 'file',
    about: 'newline-delimited JSON: {"type","subject","data"} or CloudEvents; - reads standard input',
  },
  options: [{ flag: '--wait', about: 'wait for every outcome; end with 1 unless all were applied' }],
  settings: ['inFlight', 'heldResource'],
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
  readonly stream: Readable;
  /** null: unknown until it ends. */
  readonly bytes: number | null;
  bytesRead(): number;
}

async function submitFile(
  { settings, observe, output, options }: CommandGiven,
  parts: { readonly source: Source; readonly system: ExistingSystem; readonly config: LoadedConfig },
): Promise<'done' | 'failed'> {
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
    const tally = await submitLines({
      stream: source.stream,
      submitter,
      watch,
      onProgress: progress.show,
      report: (line) => {
        output.warn(textOfLine(line), line);
      },
    });
    progress.end();
    output.say(textOf(tally, watch), { status: 'submitted', ...tally });
    return isGood(tally, watch) ? 'done' : 'failed';
  } finally {
    progress.end();
    await watch?.close();
    await submitter.close(settings.drain);
    await fullHolds.close();
  }
}

function isGood({ lines, accepted, applied }: Tally, watch: OutcomeWatch | null): boolean {
  return accepted === lines && (watch === null || applied === lines);
}

function textOf(
  { lines, accepted, invalid, notStored, applied, rejected, parked, pending }: Tally,
  watch: OutcomeWatch | null,
): string {
  const sent = `${lines} commands: ${accepted} accepted, ${invalid} invalid, ${notStored} not stored`;
  return watch === null
    ? sent
    : `${sent}; ${applied} applied, ${rejected} rejected, ${parked} parked, ${pending} without an outcome`;
}

function textOfLine({ line, status, code, detail }: LineReport): string {
  return `line ${line}: ${status}${code === null ? '' : ` (${code})`}: ${detail}`;
}

async function openSource(file: string): Promise<Source> {
  if (file === '-') return { stream: process.stdin, bytes: null, bytesRead: () => 0 };
  try {
    const { size } = await stat(file);
    const stream = createReadStream(file);
    await new Promise((resolve, reject) => stream.once('open', resolve).once('error', reject));
    return { stream, bytes: size, bytesRead: () => stream.bytesRead };
  } catch (thrown) {
    const cause = asError(thrown);
    throw new FileUnreadable(`${file} cannot be read: ${cause.message}`, { cause });
  }
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

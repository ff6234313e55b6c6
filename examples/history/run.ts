// Owns `npm run example:history`: a system of its own, a real history through it, and the proof that nothing was lost, doubled or swapped.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { SingleBar } from 'cli-progress';
import { logEvents, openLogger } from '../../shared/process/log.ts';
import { readableLines } from '../../shared/process/log-lines.ts';
import { readSettings } from '../../shared/process/settings.ts';
import { loadConfig } from '../../operators/wiring/load-config.ts';
import { runSystem, type RunningSystem } from '../../operators/wiring/run-system.ts';
import { compare, prefixesFor } from './compare.ts';
import { readChanges, readTree, type Change } from './input.ts';
import { countOutcomes, databaseNow, type Counts } from './outcomes.ts';
import { sendAll, waitForOutcomes } from './send.ts';

const DATA_DIRECTORY = '.onelane-history';
const USAGE = `usage: npm run example:history [-- [FILE --expect TREE] [--repeat N]]

  FILE           newline-delimited JSON, packed or not: {"n","path","from","to","commit","time"}
  --expect TREE  JSON, packed or not: {"path":"blob"}, the tree at the end of FILE
  --repeat N     send it under N path prefixes (1 to 1000; default 1: no prefix)
  --help         print this

Data is kept under ${DATA_DIRECTORY}/ of the working directory, one folder for each FILE, so that a second run finds what the first
one did. Remove it when you have seen enough.
`;
const REPEAT_MAX = 1_000;
const DIFFERENCES_SHOWN = 20;
const HERE = join(dirname(createRequire(import.meta.url).resolve('onelane/package.json')), 'examples', 'history');
const SCHEMA = 'onelane_history';

interface Wanted {
  readonly changes: readonly Change[];
  readonly tree: ReadonlyMap<string, string>;
  readonly prefixes: readonly string[];
  readonly dataDirectory: string;
}

const wanted = readWanted();
if (wanted === 'help') {
  process.stdout.write(USAGE);
} else if ('wrong' in wanted) {
  process.stderr.write(`${wanted.wrong}\n\n${USAGE}`);
  process.exitCode = 2;
} else {
  process.exitCode = (await run(wanted)) ? 0 : 1;
}

function readWanted(): Wanted | 'help' | { readonly wrong: string } {
  try {
    const { positionals, values } = parseArgs({
      allowPositionals: true,
      options: {
        expect: { type: 'string' },
        repeat: { type: 'string', default: '1' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    return values.help ? 'help' : wantedOf(positionals, values);
  } catch (thrown) {
    return { wrong: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}

/** Throws with the sentence that whoever typed it needs. */
function wantedOf(files: readonly string[], given: { readonly expect?: string; readonly repeat: string }): Wanted {
  const [file, ...more] = files;
  const repeat = Number(given.repeat);
  if (more.length > 0) throw new Error(`one FILE at a time: ${more.join(' ')} is too much`);
  if (file !== undefined && given.expect === undefined) {
    throw new Error(`${file} needs --expect TREE, the tree that it must end in`);
  }
  if (file === undefined && given.expect !== undefined) {
    throw new Error(`--expect ${given.expect} needs FILE, the history that ends in this tree`);
  }
  if (!Number.isInteger(repeat) || repeat < 1 || repeat > REPEAT_MAX) {
    throw new Error(`--repeat is "${given.repeat}": give a whole number from 1 to ${REPEAT_MAX}`);
  }
  const changesFile = file === undefined ? join(HERE, 'fastify-changes.ndjson.gz') : resolve(file);
  const treeFile = given.expect === undefined ? join(HERE, 'fastify-final.json.gz') : resolve(given.expect);
  return {
    changes: readChanges(changesFile),
    tree: readTree(treeFile),
    prefixes: prefixesFor(repeat),
    dataDirectory: resolve(DATA_DIRECTORY, file === undefined ? 'fastify' : fingerprint(changesFile)),
  };
}

/** Each history has a table of its own. */
function fingerprint(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 8);
}

async function run({ changes, tree, prefixes, dataDirectory }: Wanted): Promise<boolean> {
  const total = changes.length * prefixes.length;
  const system = await startSystem(dataDirectory);
  try {
    say(`A system of its own is up, data in ${system.dataDirectory ?? 'the database that DATABASE_URL names'}`);
    const url = system.url ?? '';
    const databaseUrl = system.foundation.database.url;
    const since = await databaseNow(databaseUrl);
    const startedMs = performance.now();
    const bar = openBar(total);
    const sent = await sendAll({ url, changes, prefixes, onAccepted: (commands) => bar.increment(commands) });
    bar.stop();
    say('Waiting for the last outcome');
    await waitForOutcomes(url, sent.lasts);
    const seconds = (performance.now() - startedMs) / 1_000;
    const counts = await countOutcomes({ databaseUrl, schema: SCHEMA, ids: sent.ids, since });
    const wrong = await compare({ databaseUrl, changes, tree, prefixes });
    for (const sentence of wrong.slice(0, DIFFERENCES_SHOWN)) say(`  ${sentence}`);
    say(summary({ total, seconds, counts, differences: wrong.length }));
    return wrong.length === 0 && counts.rejected === 0 && counts.parked === 0;
  } finally {
    await system.stop();
  }
}

async function startSystem(dataDirectory: string): Promise<RunningSystem> {
  const config = await loadConfig('onelane.config.ts', HERE);
  const settings = readSettings({ httpPort: '0', schema: SCHEMA, dataDirectory, logLevel: 'warn' });
  const write = (line: string) => process.stderr.write(line);
  const observe = logEvents(openLogger(settings.logLevel, readableLines(write)));
  return runSystem({ parts: 'both', embedded: 'start', settings, config, observe });
}

function summary(of: {
  readonly total: number;
  readonly seconds: number;
  readonly counts: Counts;
  readonly differences: number;
}): string {
  const number = (count: number) => count.toLocaleString('en').padStart(12);
  const { total, seconds, counts, differences } = of;
  return [
    '',
    `commands    ${number(total)}`,
    `seconds     ${seconds.toFixed(1).padStart(12)}   (${Math.round(total / seconds).toLocaleString('en')} commands/s)`,
    `applied     ${number(counts.applied)}`,
    `repeats     ${number(counts.repeats)}   (sent before: the first outcome stands, nothing was changed)`,
    `rejections  ${number(counts.rejected)}`,
    `parked      ${number(counts.parked)}`,
    `differences ${number(differences)}   (the table against the tree)`,
    '',
  ].join('\n');
}

function openBar(total: number): SingleBar {
  const bar = new SingleBar({
    format: 'Sending [{bar}] {percentage}%  {value} of {total} accepted  {duration_formatted}',
    stream: process.stderr,
    noTTYOutput: true,
    notTTYSchedule: 1_000,
    hideCursor: true,
  });
  bar.start(total, 0);
  return bar;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

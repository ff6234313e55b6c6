// Owns the shape of a command: its help, its flags, its settings, its exit code.
import type { Command } from 'commander';
import { asError } from '../../shared/process/errors.ts';
import type { Observe } from '../../shared/process/events.ts';
import { logEvents, openLogger } from '../../shared/process/log.ts';
import { readableLines } from '../../shared/process/log-lines.ts';
import {
  flagName,
  readSettings,
  SettingInvalid,
  SETTINGS,
  type Flags,
  type SettingName,
  type Settings,
} from '../../shared/process/settings.ts';
import { openOutput, tellError, type Output } from './output.ts';

export interface CommandSpec {
  readonly name: string;
  readonly summary: string;
  /** A required argument, as help shows it. */
  readonly argument?: { readonly name: string; readonly about: string };
  /** Options that are no settings. */
  readonly options?: readonly { readonly flag: string; readonly about: string }[];
  /** Beside those that every command has. */
  readonly settings: readonly SettingName[];
  readonly examples: readonly string[];
  run(given: CommandGiven): Promise<CommandEnd>;
  /** Instead of telling the error and ending with 2. */
  onSettingInvalid?(output: Output, error: SettingInvalid): CommandEnd;
}

export interface CommandGiven {
  readonly settings: Settings;
  readonly argument: string;
  /** By the names of `options`, in camel case. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly output: Output;
  readonly observe: Observe;
}

export type CommandEnd = 'done' | 'failed';

export const EXIT = { done: 0, failed: 1, usage: 2 } as const;

const COMMON: readonly SettingName[] = ['config', 'schema', 'dataDirectory', 'logLevel'];
const SETTINGS_GROUP = 'Settings (each also an environment variable):';

/** `onEnd` is told the exit code, once, after everything that the command opened was closed. */
export function addCommand(program: Command, spec: CommandSpec, onEnd: (exitCode: number) => void): void {
  const command = program.command(spec.name).summary(spec.summary).description(`${spec.summary}.`);
  if (spec.argument !== undefined) command.argument(`<${spec.argument.name}>`, spec.argument.about);
  for (const { flag, about } of spec.options ?? []) command.option(flag, about);
  command.option('--json', 'print JSON for scripts, one document a line');
  command.optionsGroup(SETTINGS_GROUP);
  for (const name of [...COMMON, ...spec.settings]) addFlag(command, name);
  command.addHelpText('after', `\nExamples:\n${spec.examples.map((line) => `  $ ${line}`).join('\n')}`);
  command.action(async (...received: readonly unknown[]) => {
    const argument = spec.argument === undefined ? '' : String(received[0]);
    onEnd(await runCommand(spec, argument, command.opts()));
  });
}

function addFlag(command: Command, name: SettingName): void {
  const each = SETTINGS[name];
  const flag = flagName(each);
  if (flag === null) return;
  const takes = each.takes.replace(/, such as .*/, '');
  const about = `${each.about} (${takes}; default ${each.fallback}) [${each.variable}]`.replaceAll('`', '');
  command.option(name === 'insecure' ? flag : `${flag} <value>`, about);
}

async function runCommand(
  spec: CommandSpec,
  argument: string,
  options: Readonly<Record<string, unknown>>,
): Promise<number> {
  const output = openOutput(options['json'] === true ? 'json' : 'text');
  try {
    const settings = readSettings(flagsOf(spec, options));
    const observe = openLog(settings, output.form);
    return EXIT[await spec.run({ settings, argument, options, output, observe })];
  } catch (thrown) {
    const error = asError(thrown);
    if (error instanceof SettingInvalid && spec.onSettingInvalid !== undefined) {
      return EXIT[spec.onSettingInvalid(output, error)];
    }
    tellError(output, error);
    return error instanceof SettingInvalid ? EXIT.usage : EXIT.failed;
  }
}

/** Only what this command offers: another option may have the name of a setting. */
function flagsOf(spec: CommandSpec, options: Readonly<Record<string, unknown>>): Flags {
  const given = [...COMMON, ...spec.settings]
    .filter((name) => options[name] !== undefined)
    .map((name) => [name, options[name] === true ? '1' : String(options[name])]);
  return Object.fromEntries(given);
}

/** Standard output belongs to the command's answer; the log goes to standard error. */
function openLog(settings: Settings, form: Output['form']): Observe {
  const write = (line: string): void => {
    process.stderr.write(line);
  };
  const isForPeople = form === 'text' && process.stderr.isTTY;
  return logEvents(openLogger(settings.logLevel, isForPeople ? readableLines(write) : { write }));
}

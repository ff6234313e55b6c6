#!/usr/bin/env node
// Owns the program `onelane`: its commands, and the end of the process.
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { addCommand, EXIT, type CommandSpec } from './command.ts';

/** In the order of help. Only what was asked for is loaded: a quick look must not wait for a server's modules. */
const COMMANDS: Readonly<Record<string, () => Promise<CommandSpec>>> = {
  up: async () => (await import('./up.ts')).up,
  api: async () => (await import('./api.ts')).api,
  consumer: async () => (await import('./consumer.ts')).consumer,
  submit: async () => (await import('./submit.ts')).submit,
  status: async () => (await import('./status.ts')).status,
  migrate: async () => (await import('./migrate.ts')).migrate,
  doctor: async () => (await import('./doctor.ts')).doctor,
};

process.exitCode = EXIT.failed;
try {
  await run(await commandsFor(process.argv[2]));
} catch (thrown) {
  if (!(thrown instanceof CommanderError)) throw thrown;
  // Commander has printed help, version or complaint already.
  end(thrown.exitCode === 0 ? EXIT.done : EXIT.usage);
}

function commandsFor(first: string | undefined): Promise<readonly CommandSpec[]> {
  const asked = first !== undefined && Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined;
  return Promise.all((asked === undefined ? Object.values(COMMANDS) : [asked]).map((load) => load()));
}

async function run(specs: readonly CommandSpec[]): Promise<void> {
  const program = new Command('onelane')
    .description('Serializes writes: updates become commands, applied to PostgreSQL in order, each exactly once.')
    .version(version(), '-V, --version')
    .showHelpAfterError('(add --help for what it takes)')
    .exitOverride();
  for (const spec of specs) addCommand(program, spec, end);
  await program.parseAsync();
}

function version(): string {
  // The package's own manifest, found by its own name from sources and from the compiled tree alike.
  const manifest = createRequire(import.meta.url)('onelane/package.json') as { readonly version: string };
  return manifest.version;
}

/** What was abandoned past its deadline must not keep the process: everything said is written, then it ends. */
function end(exitCode: number): void {
  process.exitCode = exitCode;
  process.stdout.write('', () => process.stderr.write('', () => process.exit(exitCode)));
}

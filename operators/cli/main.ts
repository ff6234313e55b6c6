#!/usr/bin/env node
// Owns the program `onelane`: its commands, and the end of the process.
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { api } from './api.ts';
import { addCommand, EXIT } from './command.ts';
import { consumer } from './consumer.ts';
import { doctor } from './doctor.ts';
import { migrate } from './migrate.ts';
import { status } from './status.ts';
import { submit } from './submit.ts';
import { up } from './up.ts';

process.exitCode = EXIT.failed;
try {
  await program((exitCode) => {
    end(exitCode);
  }).parseAsync();
} catch (thrown) {
  if (!(thrown instanceof CommanderError)) throw thrown;
  // Commander has printed help, version or complaint already.
  end(thrown.exitCode === 0 ? EXIT.done : EXIT.usage);
}

function program(onEnd: (exitCode: number) => void): Command {
  const made = new Command('onelane')
    .description('Serializes writes: updates become commands, applied to PostgreSQL in order, each exactly once.')
    .version(version(), '-V, --version')
    .showHelpAfterError('(add --help for what it takes)')
    .exitOverride();
  for (const spec of [up, api, consumer, submit, status, migrate, doctor]) addCommand(made, spec, onEnd);
  return made;
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

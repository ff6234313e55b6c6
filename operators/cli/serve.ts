// Owns the life of a command that serves until it is told to stop.
import type { Settings, SettingName } from '../../shared/process/settings.ts';
import { printSpan } from '../../shared/process/quantity.ts';
import { describeError } from '../../shared/process/log.ts';
import { loadConfig } from '../wiring/load-config.ts';
import { runSystem, type RunningSystem, type RunWanted } from '../wiring/run-system.ts';
import { EXIT, type CommandEnd, type CommandGiven } from './command.ts';
import { listenToSignals } from './stop-signals.ts';

/** What leads to the brokers; secrets are no flags. */
export const OF_KAFKA: readonly SettingName[] = [
  'kafkaBrokers',
  'kafkaReplication',
  'kafkaSsl',
  'kafkaSaslMechanism',
  'kafkaSaslUsername',
];
/** What every serving command takes; `PARTS` say what each part adds. */
export const SERVING: readonly SettingName[] = [
  'transport',
  'channel',
  'partitions',
  'migrate',
  'ledgerRetention',
  'logRetention',
  'inbox',
  'drain',
  ...OF_KAFKA,
];
export const OF_API: readonly SettingName[] = [
  'httpHost',
  'httpPort',
  'insecure',
  'inFlight',
  'heldResource',
  'body',
  'wait',
];
export const OF_CONSUMER: readonly SettingName[] = ['healthPort', 'batchSize', 'batchLinger', 'lease', 'decideLimit'];

export interface ServeWanted extends Pick<RunWanted, 'parts' | 'embedded'> {
  /** Called once, when everything serves. */
  readonly announce: (running: RunningSystem) => void;
}

/** Resolves when it was told to stop and has stopped. */
export async function serve(given: CommandGiven, wanted: ServeWanted): Promise<CommandEnd> {
  const { settings, output, observe } = given;
  const signals = listenToSignals(() => {
    output.warn('ended at once; what was in flight goes on at the next start', { status: 'ended-at-once' });
    // The embedded server, if any, is bound to this process and ends with it.
    process.exit(EXIT.failed);
  });
  const config = await loadConfig(settings.config, process.cwd());
  const running = await runSystem({ ...wanted, settings, config, observe });
  if (!signals.isAsked()) wanted.announce(running);
  const signal = await signals.asked;
  output.warn(stoppingText(signal, settings), { status: 'stopping', signal });
  const failures = await running.stop();
  for (const failure of failures) {
    output.warn(`onelane: ${describeError(failure)}`, { status: 'not-stopped', message: describeError(failure) });
  }
  output.say('Stopped.', { status: 'stopped' });
  return failures.length === 0 ? 'done' : 'failed';
}

function stoppingText(signal: NodeJS.Signals, settings: Settings): string {
  const again = signal === 'SIGINT' ? ' (Ctrl-C again ends at once)' : '';
  return `\nStopping: finishing what runs, for at most ${printSpan(settings.drain)}${again}`;
}

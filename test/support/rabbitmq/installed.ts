// Owns where this machine has RabbitMQ: its programs, by the paths of packages and by PATH.
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface Installed {
  /** The node itself. Not the wrapper of that name that packages put on PATH, which changes the user. */
  readonly server: string;
  readonly ctl: string;
  /** Erlang's register of nodes. */
  readonly epmd: string;
}

/** Folders that hold the programs themselves; then those of PATH, where a wrapper may stand first. */
const FOLDERS = ['/usr/lib/rabbitmq/bin', '/opt/homebrew/opt/rabbitmq/sbin', '/usr/local/opt/rabbitmq/sbin'];

/** The programs; or what is lacking, as the object of a sentence. */
export function installedRabbit(): Installed | string {
  const onPath = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const folder = [...FOLDERS, ...onPath].find((each) => existsSync(join(each, 'rabbitmq-server')));
  if (folder === undefined) return 'rabbitmq-server';
  const epmd = [...onPath, '/usr/bin'].map((each) => join(each, 'epmd')).find((file) => existsSync(file));
  if (epmd === undefined) return 'epmd, a part of Erlang';
  return { server: join(folder, 'rabbitmq-server'), ctl: join(folder, 'rabbitmqctl'), epmd };
}

// A process of its own that guards a sleeping one as if it were a server. Prints the sleeper's process id.
import { spawn } from 'node:child_process';
import { guardAgainstOrphan } from '../../shared/postgres/embedded/orphan-guard.ts';

const sleeper = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' });
guardAgainstOrphan(sleeper.pid ?? 0, 'by-watcher');
process.stdout.write(String(sleeper.pid));

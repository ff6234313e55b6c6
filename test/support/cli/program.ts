// Owns a run of the program `onelane` as a process of its own: what it says, how it is told to stop, and its certain end.
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Program {
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  readonly ended: Promise<Ended>;
  /** The first line of JSON, on either output, for which `is` holds; rejects when the program ends first. */
  said(is: (document: Said) => boolean): Promise<Said>;
  /** The same for text. */
  printed(pattern: RegExp): Promise<string>;
  signal(name: NodeJS.Signals): void;
  /** As Ctrl-C at a terminal: to every process of its group. Only npm has one of its own. */
  interrupt(): void;
  /** To its standard input, which ends with it unless there is more to come. */
  write(text: string, then?: 'end' | 'more'): void;
}

export type Said = Readonly<Record<string, unknown>>;

export interface ProgramGiven {
  /** Default: the program itself. `npm start` is the package's script, run where the package is. */
  readonly script?: 'onelane' | 'history' | 'npm start';
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
}

const ROOT = new URL('../../../', import.meta.url);
const DIST = new URL('dist/', ROOT);
const SCRIPTS = { onelane: 'operators/cli/main.js', history: 'examples/history/run.js' } as const;

/** Runs what `npm run build` made, as a user would. */
export function startProgram({ script = 'onelane', args, cwd, env = {} }: ProgramGiven): Program {
  const isNpm = script === 'npm start';
  const file = fileURLToPath(new URL(SCRIPTS[isNpm ? 'onelane' : script], DIST));
  if (!existsSync(file)) throw new Error(`${file} is missing: run npm run build first`);
  const [command, first] = isNpm ? ['npm', ['start', '--']] : [process.execPath, [file]];
  const child = spawn(command, [...first, ...args], {
    cwd: isNpm ? fileURLToPath(ROOT) : cwd,
    // Nothing of ours: a setting of the test run must not reach the program.
    env: { PATH: process.env['PATH'] ?? '', HOME: cwd, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: isNpm,
  });
  return new Running(child);
}

class Running implements Program {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #texts = { stdout: '', stderr: '' };
  readonly #onText = new Set<() => void>();

  constructor(child: ChildProcessByStdio<Writable, Readable, Readable>) {
    this.#child = child;
    // Who ends early closes its input: writing to it then is no failure of the test.
    child.stdin.on('error', () => undefined);
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        this.#texts[name] += text;
        for (const look of this.#onText) look();
      });
    }
    this.ended = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        resolve({ code, signal });
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  stdout(): string {
    return this.#texts.stdout;
  }

  stderr(): string {
    return this.#texts.stderr;
  }

  said(is: (document: Said) => boolean): Promise<Said> {
    return this.#until(() => this.#documents().find(is));
  }

  printed(pattern: RegExp): Promise<string> {
    return this.#until(() => pattern.exec(`${this.#texts.stdout}\n${this.#texts.stderr}`)?.[0]);
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  interrupt(): void {
    process.kill(-this.pid, 'SIGINT');
  }

  write(text: string, then: 'end' | 'more' = 'end'): void {
    if (then === 'end') this.#child.stdin.end(text);
    else this.#child.stdin.write(text);
  }

  #until<T>(find: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = find();
        if (found === undefined) return;
        this.#onText.delete(look);
        resolve(found);
      };
      this.#onText.add(look);
      look();
      void this.ended.then(({ code, signal }) => {
        look();
        reject(
          new Error(`it ended (${code ?? signal}) without saying so:\n${this.#texts.stdout}\n${this.#texts.stderr}`),
        );
      });
    });
  }

  #documents(): readonly Said[] {
    return [this.#texts.stdout, this.#texts.stderr].flatMap((text) =>
      text
        .split('\n')
        .slice(0, -1)
        .filter((line) => line.startsWith('{'))
        // One document a line is what `--json` promises, and the log is JSON where nobody looks on.
        .map((line) => JSON.parse(line) as Said),
    );
  }
}

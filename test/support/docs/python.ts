// Owns the Python of the documents: its blocks as they stand there, and a Python that runs them.
import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';

/** The first on PATH may be one without the system's libraries. */
const PYTHONS = ['python3', '/usr/bin/python3'];
const RUN_MS = 60_000;
const SINCE = '3.9';

/** The blocks of a page, in order. */
export function pythonIn(page: string): readonly string[] {
  return [...page.matchAll(/^```python\n([^]*?)^```$/gm)].map(([, block]) => block ?? '');
}

/** A Python of this machine that has these modules; null: there is none. */
export function pythonWith(...modules: readonly string[]): string | null {
  const isRecent = `import ${['sys', ...modules].join(', ')}; sys.exit(sys.version_info < (${SINCE.replace('.', ', ')}))`;
  return PYTHONS.find((python) => spawnSync(python, ['-c', isRecent]).status === 0) ?? null;
}

export const NO_PYTHON = `this machine lacks Python ${SINCE} or later`;

/** What the program prints; it finds modules in this folder, too. Throws with what it complains of. */
export async function runPython(python: string, program: string, folder = ''): Promise<string> {
  const env = { ...process.env, PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1' };
  const { stdout } = await promisify(execFile)(python, ['-c', program], { env, timeout: RUN_MS });
  return stdout;
}

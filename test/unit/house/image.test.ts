// The image: its Dockerfile copies what is there, runs as nobody in particular, and its check of health asks what answers.
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { healthServer } from '../../../operators/wiring/health-server.ts';
import { parseSettings } from '../../../shared/process/settings.ts';
import { named, stagesOf, type Instruction, type Stage } from './dockerfile.ts';
import { filesOf, PRODUCT_FOLDERS, textOf } from './tree.ts';

const run = promisify(execFile);
const words = z.array(z.string());
const manifest = z
  .object({ bin: z.record(z.string(), z.string()), scripts: z.record(z.string(), z.string()) })
  .parse(JSON.parse(textOf('package.json')));
const stages = stagesOf(textOf('Dockerfile'));
const image = stageNamed('onelane');

function stageNamed(name: string): Stage {
  const stage = stages.find((each) => each.name === name);
  if (stage === undefined) throw new Error(`the Dockerfile has no stage ${name}`);
  return stage;
}

function argumentsOf(instruction: Instruction | undefined): readonly string[] {
  return words.parse(JSON.parse(instruction?.text.replace(/^CMD\s+/, '') ?? 'null'));
}

/** What is copied from the repository, not from another stage. */
function copiedFrom(given: readonly Stage[]): readonly string[] {
  return given
    .flatMap((stage) => named(stage, 'COPY'))
    .filter(({ flags }) => flags.length === 0)
    .flatMap(({ text }) => text.split(/\s+/).slice(0, -1));
}

function environmentOf(stage: Stage): Readonly<Record<string, string>> {
  const pairs = named(stage, 'ENV').flatMap(({ text }) => text.split(/\s+/));
  return Object.fromEntries(pairs.map((pair) => [pair.replace(/=.*/, ''), pair.replace(/^[^=]*=/, '')]));
}

function copiesOf(stage: Stage, from: string): readonly string[] {
  return named(stage, 'COPY')
    .filter(({ flags }) => flags.includes(`--from=${from}`))
    .map(({ text }) => text);
}

describe('the Dockerfile', () => {
  it('stands on one exact version of Node, on a Debian', () => {
    const [base, ...others] = stages;
    expect(base?.from).toMatch(/^node:24\.\d+\.\d+-(bookworm|trixie)-slim$/);
    expect(others.map(({ from }) => from)).toEqual(['base', 'base', 'base']);
    expect(stages.map(({ name }) => name)).toEqual(['base', 'build', 'production', 'onelane']);
  });

  it('copies what exists, and what is sent to the engine', () => {
    const all = filesOf();
    const copied = copiedFrom(stages);
    const sent = textOf('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    expect(copied.filter((path) => !all.some((file) => file === path || file.startsWith(`${path}/`)))).toEqual([]);
    expect([...new Set(copied)].sort()).toEqual(sent.sort());
    expect(textOf('.dockerignore')).toMatch(/^\*$/m);
    expect(copied).toEqual(expect.arrayContaining([...PRODUCT_FOLDERS]));
  });

  it('takes no development package along: they stay in the stage that compiles', () => {
    expect(named(stageNamed('production'), 'RUN').map(({ text }) => text)).toEqual([
      expect.stringMatching(/^npm ci --omit=dev /),
    ]);
    expect(copiesOf(image, 'production')).toEqual(['/app/node_modules node_modules']);
    expect(copiesOf(image, 'build')).toEqual(['/app/dist dist']);
  });

  it('can install without a compiler, as prepare then leaves it at that', () => {
    const folder = mkdtempSync(join(tmpdir(), 'onelane-prepare-'));
    const { status, stderr } = spawnSync(manifest.scripts['prepare'] ?? 'false', { cwd: folder, shell: true });
    rmSync(folder, { recursive: true });
    expect({ status, stderr: stderr.toString() }).toEqual({ status: 0, stderr: '' });
  });

  it('runs the program itself, so that it hears signals, and not as root', () => {
    expect(argumentsOf(named(image, 'ENTRYPOINT')[0])).toEqual(['node', manifest.bin['onelane']]);
    expect(named(image, 'USER').map(({ text }) => text)).toEqual(['node']);
    expect(named(image, 'RUN')).toEqual([]);
  });

  it('sets what are settings', () => {
    const settings = parseSettings({ env: environmentOf(image), flags: {}, readFile: () => '' });
    expect(settings).toMatchObject({ nodeEnv: 'production', healthPort: 9464 });
    expect(named(image, 'EXPOSE')[0]?.text).toBe(`${settings.httpPort} ${settings.healthPort}`);
  });

  it('asks for health what answers, on either port, and notices when nobody does', async () => {
    const [node, ...script] = argumentsOf(named(image, 'HEALTHCHECK')[0]);
    expect(node).toBe('node');
    const metrics = { contentType: 'text/plain', text: () => Promise.resolve('') };
    const server = healthServer({ host: '127.0.0.1', port: 0, isReady: () => false, metrics });
    const ask = (env: Record<string, string>) => run(process.execPath, script, { env });
    await server.start();
    const { port } = new URL(server.url() ?? '');
    await ask({ ONELANE_HEALTH_PORT: port, ONELANE_HTTP_PORT: '1' });
    await ask({ ONELANE_HEALTH_PORT: '1', ONELANE_HTTP_PORT: port });
    await server.stop(1_000);
    await expect(ask({ ONELANE_HEALTH_PORT: port, ONELANE_HTTP_PORT: '1' })).rejects.toMatchObject({ code: 1 });
  });

  it('is read with its stages, flags and continued lines', () => {
    const [one, two] = stagesOf('# a\nFROM x:1 AS one\nRUN a \\\n  b\n\nFROM one\nCOPY --from=one /a b\n');
    expect(one).toEqual({ name: 'one', from: 'x:1', instructions: [{ name: 'RUN', flags: [], text: 'a b' }] });
    expect(two?.instructions).toEqual([{ name: 'COPY', flags: ['--from=one'], text: '/a b' }]);
    expect(copiedFrom([one, two].filter((stage) => stage !== undefined))).toEqual([]);
  });
});

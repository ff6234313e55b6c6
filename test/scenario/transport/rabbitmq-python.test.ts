// The README's example in Python: it runs as it stands there, and what it publishes is read as the commands that it means.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { partition } from '../../../shared/command/identity.ts';
import { decodeDelivery } from '../../../shared/command/wire.ts';
import { pythonIn, pythonWith, runPython } from '../../support/docs/python.ts';
import { describeWithRabbit } from '../../support/rabbitmq/describe.ts';
import { openTestLog, take } from '../../support/rabbitmq/log.ts';
import { textOf } from '../../unit/house/tree.ts';

const PARTITIONS = 16;
const HOME = partition(4);

const python = pythonWith('pika') ?? '';
// A library that nobody needs but this example: its lack is no failure.
if (python === '') process.stderr.write("SKIPPED: there is no Python with pika for the README's example\n");

await describeWithRabbit("the README's example in Python", (rabbit) => {
  test.skipIf(python === '')('stores two commands of one account, in order, confirmed', async () => {
    const [example = ''] = pythonIn(textOf('README.md')).filter((block) => block.includes('pika'));
    const log = await openTestLog({ url: rabbit().url, partitions: PARTITIONS });
    const modules = await mkdtemp(join(tmpdir(), 'onelane-python-'));
    try {
      await log.open().provision(PARTITIONS);
      await writeFile(join(modules, 'routing.py'), pythonIn(textOf('docs/routing.md'))[0] ?? '');
      const here = example
        .replace('amqp://guest:guest@127.0.0.1:5672', rabbit().url.replace(/\/$/, ''))
        .replace('onelane.', `${log.channel}.`);
      await runPython(python, here, modules);
      const lane = await log.lane(log.open(), HOME);
      expect((await take(lane, 2)).map((each) => decodeDelivery(each))).toMatchObject([
        { kind: 'command', key: 'account/42', name: 'open', data: {} },
        { kind: 'command', key: 'account/42', name: 'deposit', data: { amount: 500 } },
      ]);
      const nowhere = here.replace(`${log.channel}.`, 'nowhere.');
      await expect(runPython(python, nowhere, modules)).rejects.toThrow(/UnroutableError/);
    } finally {
      await log.close();
      await rm(modules, { recursive: true, force: true });
    }
  });
});

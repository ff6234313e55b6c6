// Proves that a series of commands of one resource can be the probe that finds the broker back.
import { expect, it, onTestFinished } from 'vitest';
import { openSeries, type Series, type Submission } from '../../../producers/partition-queue.ts';
import { GOES_WELL, REFUSED } from '../../support/producers/faulty-transport.ts';
import { submitBundle } from '../../support/producers/submit-bundle.ts';

it('the first of a series is published though the second was refused before it, and the next series goes through', async () => {
  const { submitter, seal, transport, allIds } = await submitBundle();
  onTestFinished(() => submitter.close(50));
  transport.fate = () => REFUSED;
  expect((await submitter.submit(seal('1'))).kind).toBe('not-accepted');
  transport.fate = () => GOES_WELL;
  const sealed = [seal('1', 2), seal('1', 3)];
  const send = async (series: Series): Promise<readonly Submission['kind'][]> => {
    const answers = sealed.map(
      (each) => new Promise<Submission>((resolve) => void submitter.submitNext(each, series, resolve)),
    );
    return (await Promise.all(answers)).map(({ kind }) => kind);
  };
  // As a client does: the same lines in the same order, until all of them were accepted.
  await expect.poll(() => send(openSeries()), { timeout: 5_000 }).toEqual(['accepted', 'accepted']);
  expect(new Set(allIds())).toEqual(new Set(sealed.map(({ id }) => id)));
});

// Owns `onelane doctor`: looks at everything that a process needs, one thing after the other, and says what to do.
import type { CommandSpec } from './command.ts';
import { CHECKS } from './doctor-checks.ts';
import { fail, runChecks, type Finding } from './findings.ts';
import type { Output } from './output.ts';
import { OF_KAFKA } from './serve.ts';

const MARKS: Readonly<Record<Finding['verdict'], string>> = { ok: 'ok  ', warn: 'warn', fail: 'FAIL', skip: '-   ' };

export const doctor: CommandSpec = {
  name: 'doctor',
  summary: 'Check settings, config, database, tables, log and lanes, and say what to do',
  settings: ['transport', 'channel', 'partitions', 'migrate', 'httpHost', 'insecure', ...OF_KAFKA],
  examples: ['onelane doctor', 'onelane doctor --json'],
  async run(given) {
    const findings = await runChecks(CHECKS, given, (finding) => {
      tell(given.output, finding);
    });
    const failed = findings.filter((each) => each.verdict === 'fail').length;
    const warned = findings.filter((each) => each.verdict === 'warn').length;
    given.output.tell(failed + warned === 0 ? '\nAll is well.' : `\n${failed} failed, ${warned} to look at.`);
    return failed === 0 ? 'done' : 'failed';
  },
  onSettingInvalid(output, error) {
    tell(output, { check: 'settings', ...fail(`${error.message} [${error.code}]`, null) });
    output.tell('\nNothing else can be checked before that.');
    return 'failed';
  },
};

function tell(output: Output, finding: Finding): void {
  const advice = finding.advice === null ? '' : `\n      ${finding.advice}`;
  output.say(`${MARKS[finding.verdict]}  ${finding.check}: ${finding.says}${advice}`, finding);
}

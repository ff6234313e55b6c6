// Proves that settings are read, bounded, defaulted and refused as their table says.
import { describe, expect, test } from 'vitest';
import {
  parseSettings,
  SettingInvalid,
  SETTINGS,
  settingsTable,
  type Flags,
} from '../../../shared/process/settings.ts';

function bundle(files: Readonly<Record<string, string>> = {}) {
  const read = (env: Readonly<Record<string, string>> = {}, flags: Flags = {}) =>
    parseSettings({
      env,
      flags,
      readFile: (path) => {
        const text = files[path];
        if (text === undefined) throw new Error(`no such file: ${path}`);
        return text;
      },
    });
  const faults = (env: Readonly<Record<string, string>>, flags: Flags = {}): readonly string[] => {
    try {
      read(env, flags);
      return [];
    } catch (thrown) {
      if (!(thrown instanceof SettingInvalid)) throw thrown;
      return thrown.message.split('\n');
    }
  };
  return { read, faults };
}

describe('settings', () => {
  test('nothing set gives the defaults', () => {
    const { read } = bundle();
    expect(read()).toMatchObject({
      databaseUrl: null,
      partitions: null,
      httpHost: '127.0.0.1',
      httpPort: 8080,
      healthPort: null,
      schema: 'onelane',
      ledgerRetention: 30 * 86_400_000,
      insecure: false,
      lease: 4_000,
      body: 64 * 1024 * 1024,
      migrate: 'auto',
    });
  });

  test('a flag goes before the environment', () => {
    const { read } = bundle();
    expect(read({ ONELANE_HTTP_PORT: '1' }, { httpPort: '2' }).httpPort).toBe(2);
  });

  test('an empty text counts as not set', () => {
    const { read } = bundle();
    expect(read({ ONELANE_HTTP_PORT: '', DATABASE_URL: ' ' })).toMatchObject({ httpPort: 8080, databaseUrl: null });
  });

  test.each([
    ['ONELANE_PARTITIONS', '0', 'a whole number from 1 to 1024'],
    ['ONELANE_PARTITIONS', '1025', 'a whole number from 1 to 1024'],
    ['ONELANE_PARTITIONS', '1e2', 'a whole number from 1 to 1024'],
    ['ONELANE_HTTP_PORT', '65536', 'a whole number from 0 to 65535'],
    ['ONELANE_LEDGER_RETENTION', '30', 'a duration from 1h to 3650d'],
    ['ONELANE_LEDGER_RETENTION', '59m', 'a duration from 1h to 3650d'],
    ['ONELANE_MIGRATE', 'yes', 'auto or never'],
    ['ONELANE_SCHEMA', 'a-b', 'letters, digits and _'],
    ['ONELANE_BODY', '2GiB', 'a size from 1KiB to 1GiB'],
    ['LOG_LEVEL', 'loud', 'fatal, error, warn, info, debug, trace or silent'],
  ])('%s=%s is refused in one sentence that says what to give', (variable, value, takes) => {
    const { faults } = bundle();
    const found = faults({ [variable]: value });
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(`${variable} is "${value}": give `);
    expect(found[0]).toContain(takes);
  });

  test('everything that is wrong is told at once, and a flag by its own name', () => {
    const { faults } = bundle();
    expect(faults({ ONELANE_LEASE: 'x' }, { httpPort: 'y' })).toEqual([
      expect.stringContaining('--http-port is "y"'),
      expect.stringContaining('ONELANE_LEASE is "x"'),
    ]);
  });

  test('a secret is never repeated', () => {
    const { faults } = bundle();
    expect(faults({ DATABASE_URL: 'mysql://me:hunter2@db' }).join()).not.toContain('hunter2');
  });

  test('a secret may stand in a file', () => {
    const { read } = bundle({ '/run/url': 'postgres://a@b/c\n' });
    expect(read({ DATABASE_URL_FILE: '/run/url' }).databaseUrl).toBe('postgres://a@b/c');
  });

  test('a secret given twice, or in a file that is not there, is refused', () => {
    const { faults } = bundle({ '/run/url': 'postgres://a@b/c' });
    expect(faults({ DATABASE_URL_FILE: '/run/url', DATABASE_URL: 'postgres://x@y/z' })[0]).toContain('both set');
    expect(faults({ DATABASE_URL_FILE: '/nowhere' })[0]).toContain('/nowhere, which cannot be read');
  });
});

describe('unknown variables', () => {
  test('a mistyped name is refused with the nearest known one', () => {
    const { faults } = bundle();
    expect(faults({ ONELANE_PARTITION: '4' })).toEqual([expect.stringContaining('did you mean ONELANE_PARTITIONS?')]);
  });

  test('a name is taken for another one only if it is near it', () => {
    const { faults } = bundle();
    expect(faults({ ONELANE_FOO: '1' })).toEqual([
      'ONELANE_FOO is not a setting: unset it; onelane up --help lists those there are',
    ]);
    expect(faults({ ONELANE_LOG_LEVEL: 'debug' })).toEqual([expect.stringContaining('did you mean LOG_LEVEL?')]);
    expect(faults({ ONELANE_HTPP_PORT: '1' })).toEqual([expect.stringContaining('did you mean ONELANE_HTTP_PORT?')]);
  });

  test('what Kubernetes injects for a Service is neither read nor unknown', () => {
    const { faults, read } = bundle();
    const injected = {
      ONELANE_PORT: 'tcp://10.0.0.1:80',
      ONELANE_PORT_80_TCP_ADDR: '10.0.0.1',
      ONELANE_SERVICE_HOST: '10.0.0.1',
      ONELANE_API_SERVICE_HOST: '10.0.0.2',
      ONELANE_API_PORT: 'tcp://10.0.0.2:80',
      ONELANE_API_PORT_80_TCP: 'tcp://10.0.0.2:80',
    };
    expect(faults(injected)).toEqual([]);
    expect(read(injected).httpPort).toBe(8080);
    expect(faults({ ONELANE_API_PORT: '1' })).toHaveLength(1);
  });
});

test('the table has a row for each setting', () => {
  const rows = settingsTable().split('\n').slice(2);
  expect(rows).toHaveLength(Object.keys(SETTINGS).length);
  for (const each of Object.values(SETTINGS)) expect(rows.join('\n')).toContain(`\`${each.variable}\``);
});

// Owns what makes a test's brokers demanding: an authority and its server certificate, users with and without rights, listeners that ask.
import { execFile } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MECHANISMS, type ScramUser } from './distribution.ts';

export interface SecureAccess {
  /** Whoever trusts this authority trusts the brokers. No machine does by itself. */
  readonly caPem: string;
  /** TLS, and a user by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512. */
  readonly saslBrokers: readonly string[];
  /** TLS and no user: all rights. */
  readonly tlsBrokers: readonly string[];
  /** May do everything. */
  readonly owner: ScramUser;
  /** May sign in, and nothing more, until a test grants it something through `brokers`, where everybody may do everything. */
  readonly stranger: ScramUser;
}

export interface Certificates {
  readonly keyStore: string;
  readonly caPem: string;
}

const run = promisify(execFile);
export const OWNER: ScramUser = { username: 'owner', password: 'owner-of-all-topics' };
export const STRANGER: ScramUser = { username: 'stranger', password: 'stranger-to-all-topics' };
const STORE_PASSWORD = 'on-loopback-only';
const DAYS = '2';
const KEYTOOL_MS = 30_000;

/** With Java's own tool, which every machine that can start a broker has. */
export async function makeCertificates(folder: string): Promise<Certificates> {
  await mkdir(folder, { recursive: true });
  const keyStore = join(folder, 'server.p12');
  const caFile = join(folder, 'ca.pem');
  const store = ['-keystore', keyStore, '-storetype', 'PKCS12', '-storepass', STORE_PASSWORD];
  const keytool = (...options: readonly string[]) =>
    run('keytool', ['-J-XX:TieredStopAtLevel=1', ...options, ...store], { timeout: KEYTOOL_MS });
  const pair = ['-keyalg', 'EC', '-groupname', 'secp256r1', '-validity', DAYS];
  await keytool('-genkeypair', '-alias', 'ca', '-dname', 'CN=Onelane test authority', '-ext', 'bc:c', ...pair);
  const names = ['-ext', 'san=ip:127.0.0.1,dns:localhost'];
  await keytool('-genkeypair', '-alias', 'server', '-dname', 'CN=localhost', '-signer', 'ca', ...names, ...pair);
  await keytool('-exportcert', '-alias', 'ca', '-rfc', '-file', caFile);
  // A server with two keys would have to choose.
  await keytool('-delete', '-alias', 'ca');
  return { keyStore, caPem: await readFile(caFile, 'utf8') };
}

/** For every node: listeners SASL and TLS, and an authorizer that gives the stranger nothing. */
export function secureProperties(certificates: Certificates): Readonly<Record<string, string>> {
  const plain = 'org.apache.kafka.common.security.plain.PlainLoginModule';
  const users = [OWNER, STRANGER].map((user) => `user_${user.username}="${user.password}"`).join(' ');
  const scram = MECHANISMS.map((mechanism) => [
    `listener.name.sasl.${mechanism.toLowerCase()}.sasl.jaas.config`,
    'org.apache.kafka.common.security.scram.ScramLoginModule required;',
  ]);
  return {
    'ssl.keystore.type': 'PKCS12',
    'ssl.keystore.location': certificates.keyStore,
    'ssl.keystore.password': STORE_PASSWORD,
    'ssl.key.password': STORE_PASSWORD,
    'sasl.enabled.mechanisms': ['PLAIN', ...MECHANISMS].join(','),
    'listener.name.sasl.plain.sasl.jaas.config': `${plain} required ${users};`,
    ...Object.fromEntries<string>(scram.map(([name = '', value = '']) => [name, value])),
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users': `User:ANONYMOUS;User:${OWNER.username}`,
  };
}

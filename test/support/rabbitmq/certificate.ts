// Owns the certificate of a test's node: signed by an authority of its own, which ends with the test.
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface Certificate {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly caPem: string;
}

const DAYS = '2';
const OPENSSL_MS = 30_000;

/** With openssl, as a machine that runs RabbitMQ need not have Java. */
export async function makeCertificate(folder: string): Promise<Certificate> {
  const at = (name: string) => join(folder, name);
  const openssl = (...args: readonly string[]) => promisify(execFile)('openssl', args, { timeout: OPENSSL_MS });
  const pair = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const ca = ['-subj', '/CN=Onelane test authority', '-keyout', at('ca.key'), '-out', at('ca.pem'), '-days', DAYS];
  await openssl('req', '-x509', ...pair, ...ca);
  await openssl('req', ...pair, '-subj', '/CN=localhost', '-keyout', at('server.key'), '-out', at('server.csr'));
  await writeFile(at('names.ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
  const signed = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-extfile', at('names.ext')];
  await openssl('x509', '-req', '-in', at('server.csr'), ...signed, '-out', at('server.pem'), '-days', DAYS);
  const caPem = await readFile(at('ca.pem'), 'utf8');
  return { caFile: at('ca.pem'), certFile: at('server.pem'), keyFile: at('server.key'), caPem };
}

// Owns the two servers that ours is measured against, as a process: one that validates and answers 202, one that takes a row lock.
// Arguments: mode (`accept` or `row-lock`), database url, table.
import Fastify from 'fastify';
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import pg from 'pg';
import { v7 as uuidv7 } from 'uuid';
import { z } from 'zod';
import { deposit } from './row-lock.ts';

const [mode = 'accept', url = '', table = ''] = process.argv.slice(2);
const app = Fastify({ logger: false }).withTypeProvider<ZodTypeProvider>();
app.setValidatorCompiler(validatorCompiler);
app.setSerializerCompiler(serializerCompiler);

const body = z.object({
  type: z.string().min(1).max(128),
  subject: z.string().min(1).max(512),
  data: z.strictObject({ amount: z.int().positive() }),
});
const accepted = z.object({ id: z.string(), type: z.string(), subject: z.string(), status: z.literal('accepted') });

const pool = new pg.Pool({ connectionString: url, max: 10 });
app.post('/v1/commands', { schema: { body, response: { '2xx': accepted } } }, async (request, reply) => {
  const { type, subject } = request.body;
  if (mode === 'row-lock') await underRowLock(Number(subject));
  return reply.code(mode === 'row-lock' ? 200 : 202).send({ id: uuidv7(), type, subject, status: 'accepted' });
});

await app.listen({ host: '127.0.0.1', port: 0 });
const address = app.server.address();
process.send?.({ port: typeof address === 'object' ? address?.port : null });
process.on('disconnect', () => process.exit(0));

async function underRowLock(account: number): Promise<void> {
  const client = await pool.connect();
  try {
    await deposit(client, table, account);
  } finally {
    client.release();
  }
}

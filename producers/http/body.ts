// Owns reading a body whole: bounded each and all together, UTF-8 proven, JSON parsed once.
import { isUtf8 } from 'node:buffer';
import type { Readable } from 'node:stream';
import { asError } from '../../shared/process/errors.ts';
import { problem, type Problem } from './problem.ts';

export interface BodyLimits {
  readonly bytes: number;
  /** Bytes of all bodies that are being read whole at a time. */
  readonly bytesTogether: number;
}

export type ParsedBody = { readonly kind: 'json'; readonly value: unknown } | Problem;

/** Up to this size a body does not count: it is not larger than what any connection may buffer. */
const SMALL_BYTES = 64 * 1024;

export interface BodyReader {
  /** Never rejects; a connection that breaks leaves a problem that nobody will read. What is past a bound stays unread. */
  read(stream: Readable, limit: number): Promise<ParsedBody>;
}

export function openBodyReader(limits: BodyLimits): BodyReader {
  let held = 0;
  return {
    read: (stream, limit) => {
      let counted = 0;
      const admit = (size: number): Problem | null => {
        if (size > limit) return problem('body-too-large', `The body has more than ${limit} bytes.`);
        if (size <= SMALL_BYTES) return null;
        held += size - counted;
        counted = size;
        return held > limits.bytesTogether ? problem('refused-busy', 'Too many large bodies are being read.') : null;
      };
      return collect(stream, admit).finally(() => {
        held -= counted;
      });
    },
  };
}

/** Events and not an iterator: this is the path of every single command, and leaving an iterator would destroy the socket. */
function collect(stream: Readable, admit: (size: number) => Problem | null): Promise<ParsedBody> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    // What comes after the promise is settled changes nothing; taking the listeners off again would cost more.
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length;
      const refusal = admit(size);
      if (refusal === null) {
        chunks.push(chunk);
        return;
      }
      chunks.length = 0;
      stream.pause();
      resolve(refusal);
    });
    stream.on('end', () => {
      resolve(parseBody(chunks.length === 1 ? (chunks[0] ?? EMPTY) : Buffer.concat(chunks, size)));
    });
    const onBroken = () => {
      resolve(problem('request-malformed', 'The body ended before it was whole.'));
    };
    stream.on('error', onBroken).on('close', onBroken);
  });
}

const EMPTY = Buffer.alloc(0);

/** A byte order mark is skipped; text that is not UTF-8 is refused, never repaired. */
export function parseBody(bytes: Buffer): ParsedBody {
  if (!isUtf8(bytes)) return problem('json-invalid', 'The body is not UTF-8.');
  const text = bytes.toString('utf8');
  const json = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  if (json.trim() === '') return problem('body-missing', 'The body is empty.');
  try {
    return { kind: 'json', value: JSON.parse(json) };
  } catch (thrown) {
    return problem('json-invalid', `${asError(thrown).message}.`);
  }
}

// Owns the writing of Snappy as Kafka's own clients do, in literals only: records that our consumers must not be able to read.
import kafkajs from 'kafkajs';

const MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
const LITERAL_MAX = 65_536;

/** While `work` runs, this process writes Snappy; what stood in kafkajs' table before stands there afterwards. */
export async function writingSnappy<T>(work: () => Promise<T>): Promise<T> {
  const codecs = kafkajs.CompressionCodecs;
  const before = codecs[kafkajs.CompressionTypes.Snappy];
  codecs[kafkajs.CompressionTypes.Snappy] = () => ({
    compress: ({ buffer }: { readonly buffer: Buffer }) => Promise.resolve(snappyOf(buffer)),
    decompress: () => Promise.reject(new Error('only written here')),
  });
  try {
    return await work();
  } finally {
    codecs[kafkajs.CompressionTypes.Snappy] = before;
  }
}

function snappyOf(bytes: Buffer): Buffer {
  if (bytes.length > LITERAL_MAX) throw new RangeError(`${bytes.length} bytes are more than one literal`);
  const block = Buffer.concat([varint(bytes.length), literalTag(bytes.length), bytes]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(block.length);
  return Buffer.concat([MAGIC, length, block]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}

/** A literal whose length less one stands in the two bytes that follow. */
function literalTag(length: number): Buffer {
  return Buffer.from([61 << 2, (length - 1) & 0xff, (length - 1) >> 8]);
}

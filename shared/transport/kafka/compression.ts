// Owns the answer to records that are compressed in a way that kafkajs cannot read: a sentence in place of its own.
import kafkajs from 'kafkajs';
import { CompressionUnknown } from './broker-errors.ts';

const UNREADABLE = [
  ['snappy', kafkajs.CompressionTypes.Snappy],
  ['lz4', kafkajs.CompressionTypes.LZ4],
  ['zstd', kafkajs.CompressionTypes.ZSTD],
] as const;

/** For the whole process, as kafkajs keeps one table of codecs. Idempotent. */
export function refuseUnreadable(topic: string): void {
  for (const [name, type] of UNREADABLE) {
    kafkajs.CompressionCodecs[type] = () => ({
      compress: () => Promise.reject(unreadable(name, topic)),
      decompress: () => Promise.reject(unreadable(name, topic)),
    });
  }
}

function unreadable(name: string, topic: string): CompressionUnknown {
  return new CompressionUnknown(
    `topic "${topic}" holds records compressed with ${name}, which are not read: set its compression.type to uncompressed, and let whoever published them use gzip or none`,
  );
}

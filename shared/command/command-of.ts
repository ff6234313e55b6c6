// Owns the putting together of a command: its key and its content's hash follow from what it says, whoever reads or seals it.
import { contentHash, type CommandContent } from './content.ts';
import type { Command } from './entry.ts';
import { resourceKey } from './identity.ts';
import type { TypeNames } from './type-names.ts';

/** `names`: of the content's type. Throws on what JSON cannot say, as contentHash does. */
export function commandOf(
  content: CommandContent,
  { type, name }: TypeNames,
  { id, source, timeMs }: Pick<Command, 'id' | 'source' | 'timeMs'>,
): Command {
  const { subject, data, expectedRevision } = content;
  return {
    kind: 'command',
    id,
    source,
    type,
    subject,
    key: resourceKey(type, subject),
    name,
    data,
    expectedRevision,
    timeMs,
    content: contentHash(content),
  };
}

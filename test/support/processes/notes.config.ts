// Owns the config of a consumer whose rows are long: what it recalls for a batch is more than a connection holds unread.
import { contract, defineConfig, resourceType, tableRows, text, z } from 'onelane';

const note = resourceType({
  contract: contract('note', { write: z.strictObject({ text: z.string() }) }),
  rows: tableRows({
    table: 'note',
    key: { column: 'name', type: 'text' },
    revision: 'revision',
    columns: { text: text() },
  }),
  decide: (_state, command) => ({ kind: 'change', state: { text: command.data.text } }),
});

export default defineConfig({ resources: [note], sql: ['notes.sql'] });

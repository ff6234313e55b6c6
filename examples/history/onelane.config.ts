// Owns the history: files of a repository, whose every change names the content that it found.
import { contract, defineConfig, resourceType, tableRows, text, z } from 'onelane';

const blob = z.string().regex(/^[0-9a-f]{40}$/);

const file = resourceType({
  contract: contract('file', {
    change: z.strictObject({
      /** null: the file does not exist. */
      from: blob.nullable(),
      /** null: the file is deleted. */
      to: blob.nullable(),
      commit: z.string(),
      time: z.int(),
    }),
  }),

  rows: tableRows({
    table: 'files',
    key: { column: 'path', type: 'text' },
    revision: 'revision',
    columns: { blob: text() },
  }),

  decide(state, { data }) {
    const found = state?.blob ?? null;
    if (found !== data.from) {
      return {
        kind: 'reject',
        code: 'blob-mismatch',
        detail: `found ${found ?? 'no file'}, expected ${data.from ?? 'none'}`,
      };
    }
    return { kind: 'change', state: data.to === null ? null : { blob: data.to } };
  },
});

export default defineConfig({ resources: [file], sql: ['files.sql'] });

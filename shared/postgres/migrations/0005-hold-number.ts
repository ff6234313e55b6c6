// Why: every API process asks again and again which holds have the longest queues, and must not read all holds for it.

export const migration = {
  number: 5,
  name: 'hold-number',
  breaking: false,
  /** `{schema}` stands for the quoted name of Onelane's schema. */
  sql: `
create index hold_number on {schema}.hold (next_number);
`,
};

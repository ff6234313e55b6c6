// Why: the SQL files of a config run once, and one that was changed afterwards is noticed.

export const migration = {
  number: 4,
  name: 'config-sql',
  breaking: false,
  /** `{schema}` stands for the quoted name of Onelane's schema. */
  sql: `
create table {schema}.config_sql (
  file text primary key,
  hash text not null check (length(hash) = 64),
  applied_at timestamptz not null default now()
);
`,
};

// Why: a count of deaths could not be taken back. Two consumers that lost their database in turn had a command parked that killed nobody.

export const migration = {
  number: 6,
  name: 'marker-dead',
  breaking: true,
  /** `{schema}` stands for the quoted name of Onelane's schema. */
  sql: `
-- Whose owner it is, so that the next holder can say who died at the marker; and those who are said to have, each until it shows up again.
alter table {schema}.tenure
  drop column marker_deaths,
  add column consumer uuid,
  add column marker_dead uuid[] not null default '{}';
`,
};

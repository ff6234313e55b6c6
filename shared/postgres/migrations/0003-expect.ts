// Why: a batch's statement counts its own rows and fails by itself, so that the COMMIT which is already under way rolls back; and many
// single steps can be tried in one round trip.

export const migration = {
  number: 3,
  name: 'expect',
  breaking: false,
  /** `{schema}` stands for the quoted name of Onelane's schema. */
  sql: `
-- OL001: a row had changed since it was read. OL002: it was locked, so the database itself does not let it count.
create function {schema}.expect_rows(
  deleted bigint, updated bigint, inserted bigint,
  to_delete bigint, to_update bigint, to_insert bigint, locking text
) returns void language plpgsql as $$
begin
  if deleted = to_delete and updated = to_update and inserted = to_insert then
    return;
  end if;
  if locking = 'tables' or (locking = 'rows' and (deleted <> to_delete or updated <> to_update)) then
    raise exception using errcode = 'OL002',
      message = 'the table did not take a row although it was locked: a trigger, a rule or a policy keeps it back';
  end if;
  raise exception using errcode = 'OL001', message = 'a row had changed since it was read';
end
$$;

-- Runs one statement that writes rows, under a savepoint of its own: null, or why it was refused. Statement timeouts are not caught.
create function {schema}.attempt_rows(statement text, parameters text[]) returns text[] language plpgsql as $$
declare
  message text;
  in_schema text;
  in_table text;
  by_constraint text;
begin
  execute statement using parameters;
  set constraints all immediate;
  return null;
exception when others then
  get stacked diagnostics
    message = message_text,
    in_schema = schema_name,
    in_table = table_name,
    by_constraint = constraint_name;
  return array[sqlstate, message, in_schema, in_table, by_constraint];
end
$$;
`,
};

// Why: a batch's statement counts its own rows and fails by itself, so that the COMMIT which is already under way rolls back.

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
`,
};

-- Why: the accounts of the bank. Only lanes write this table; `revision` counts the commands that changed a row.
create table account (
  id text primary key,
  revision bigint not null,
  balance bigint not null check (balance >= 0)
);

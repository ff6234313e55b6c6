-- Why: rows that are long together.
create table note (name text primary key, revision bigint not null, text text not null);

-- Why: the rows of a consumer whose commands kill it.
create table account (id bigint primary key, revision bigint not null, balance bigint not null);

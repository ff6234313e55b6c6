-- Why: the tree of a repository, a row for each file that exists.
create table files (
  path text primary key,
  revision bigint not null,
  blob text not null
);

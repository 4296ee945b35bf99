-- All that a start needs to know about a database of ours, in one round trip: the install row, passwords, settings, ledger.
-- Fails with undefined_table where there is no install row, which is nothing for the server's log.

set log_min_messages to fatal;

select id, class, format, binary_version, fingerprint, adopted, current_setting('server_version_num')
from _monobase.install;

select rolname, rolpassword, rolsuper, rolname = session_user
from pg_catalog.pg_authid
where rolpassword is not null or rolcanlogin;

select split_part(entry, '=', 1), substr(entry, strpos(entry, '=') + 1)
from pg_catalog.pg_db_role_setting
cross join lateral unnest(setconfig) as entry
where setrole = 0
  and setdatabase = (select oid from pg_catalog.pg_database where datname = current_database());

select version from _monobase.migrations order by version;

-- Up to 15, whoever has CREATEROLE can grant these to himself, and they are as good as being a superuser.
select member::regrole, roleid::regrole
from pg_catalog.pg_auth_members
where roleid::regrole::text in ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')
  and not (select rolsuper from pg_catalog.pg_roles where oid = member)
order by 1, 2;

reset log_min_messages;

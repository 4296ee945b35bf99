-- A superuser's session must not find anything in a schema where others may create functions, and must not be cut short.
set search_path to pg_catalog;
set statement_timeout to 0;
set idle_in_transaction_session_timeout to 0;
set lock_timeout to '60s';
set client_min_messages to warning;

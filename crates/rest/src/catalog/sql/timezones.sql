-- The names of time zones. The server reads a file for each, so this is only asked once of each server.
select name from pg_timezone_names

-- Server settings that the users' admin may change. Dumps start with `set session_replication_role = replica`; the names
-- with a dot are refused in `alter database ... set` and `alter role ... set` without a grant.

do $$
declare
  parameter text;
begin
  foreach parameter in array array[
    'session_replication_role',
    'log_min_messages',
    'log_lock_waits',
    'track_io_timing',
    'auto_explain.log_min_duration',
    'auto_explain.log_nested_statements',
    'pgaudit.log',
    'pgaudit.log_catalog',
    'pgaudit.log_client',
    'pgaudit.log_level',
    'pgaudit.log_relation',
    'pgaudit.log_rows',
    'pgaudit.log_statement',
    'pgaudit.log_statement_once',
    'pgaudit.role',
    'plan_filter.limit_select_only',
    'plan_filter.statement_cost_limit',
    'safeupdate.enabled',
    'pg_net.batch_size',
    'pg_net.ttl',
    'app.settings.jwt_exp',
    'app.settings.jwt_secret',
    'pgrst.db_aggregates_enabled',
    'pgrst.db_extra_search_path',
    'pgrst.db_max_rows',
    'pgrst.db_plan_enabled',
    'pgrst.db_pre_request',
    'pgrst.db_schemas',
    'pgrst.jwt_secret',
    'pgrst.openapi_mode'
  ]
  loop
    execute format('grant set on parameter %s to postgres', parameter);
  end loop;
end
$$;

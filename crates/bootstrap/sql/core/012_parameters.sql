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
    -- all that PostgREST reads from role settings
    'pgrst.db_aggregates_enabled',
    'pgrst.db_anon_role',
    'pgrst.db_extra_search_path',
    'pgrst.db_hoisted_tx_settings',
    'pgrst.db_max_rows',
    'pgrst.db_plan_enabled',
    'pgrst.db_pre_config',
    'pgrst.db_pre_request',
    'pgrst.db_prepared_statements',
    'pgrst.db_root_spec',
    'pgrst.db_schemas',
    'pgrst.db_tx_end',
    'pgrst.jwt_aud',
    'pgrst.jwt_cache_max_lifetime',
    'pgrst.jwt_role_claim_key',
    'pgrst.jwt_secret',
    'pgrst.jwt_secret_is_base64',
    'pgrst.openapi_mode',
    'pgrst.openapi_security_active',
    'pgrst.openapi_server_proxy_uri',
    'pgrst.server_cors_allowed_origins',
    'pgrst.server_timing_enabled',
    'pgrst.server_trace_header'
  ]
  loop
    execute format('grant set on parameter %s to postgres', parameter);
  end loop;
end
$$;

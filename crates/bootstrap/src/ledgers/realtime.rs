//! Realtime's ledgers: `realtime.schema_migrations` of a tenant's database, and `_realtime.schema_migrations` of the control
//! plane, which in a self-hosted installation is in the same database.

use super::{Ledger, Migration};

/// Realtime's tenant migrations, up to 2.51.11.
///
/// One file stands for a group of versions and hangs on the last of them: a database that stopped anywhere inside the
/// group runs the file, whose statements skip or replace what exists.
pub const LEDGER: Ledger = Ledger {
    service: "realtime",
    role: "supabase_admin",
    search_path: "realtime",
    create: "create table if not exists realtime.schema_migrations (
        version bigint not null primary key,
        inserted_at timestamp(0) without time zone
    )",
    applied: "select version::text from realtime.schema_migrations",
    record: |migration| {
        format!(
            "insert into realtime.schema_migrations (version, inserted_at) values ({}, now() at time zone 'utc')",
            migration.version
        )
    },
    migrations: MIGRATIONS,
    left_out: &[],
};

/// Realtime's control plane, up to 2.51.11.
pub const CONTROL_PLANE: Ledger = Ledger {
    service: "_realtime",
    role: "supabase_admin",
    search_path: "_realtime",
    create: "create table if not exists _realtime.schema_migrations (
        version bigint not null primary key,
        inserted_at timestamp(0) without time zone
    )",
    applied: "select version::text from _realtime.schema_migrations",
    record: |migration| {
        format!(
            "insert into _realtime.schema_migrations (version, inserted_at) values ({}, now() at time zone 'utc')",
            migration.version
        )
    },
    migrations: CONTROL_PLANE_MIGRATIONS,
    left_out: &[],
};

/// A version whose effect is part of the next file.
const fn part(version: &'static str, name: &'static str) -> Migration {
    Migration { version, name, hash: "", sql: "" }
}

/// The last version of a group.
const fn file(version: &'static str, name: &'static str, sql: &'static str) -> Migration {
    Migration { version, name, hash: "", sql }
}

#[rustfmt::skip]
const MIGRATIONS: &[Migration] = &[
    part("20211116024918", "create_realtime_subscription_table"),
    part("20211116045059", "create_realtime_check_filters_trigger"),
    part("20211116050929", "create_realtime_quote_wal2json_function"),
    part("20211116051442", "create_realtime_check_equality_op_function"),
    part("20211116212300", "create_realtime_build_prepared_statement_sql_function"),
    part("20211116213355", "create_realtime_cast_function"),
    part("20211116213934", "create_realtime_is_visible_through_filters_function"),
    part("20211116214523", "create_realtime_apply_rls_function"),
    part("20211122062447", "grant_realtime_usage_to_authenticated_role"),
    part("20211124070109", "enable_realtime_apply_rls_function_postgrest_9_compatibility"),
    part("20211202204204", "update_realtime_subscription_check_filters_function_security"),
    part("20211202204605", "update_realtime_build_prepared_statement_sql_function_for_compatibility_with_all_types"),
    part("20211210212804", "enable_generic_subscription_claims"),
    part("20211228014915", "add_wal_payload_on_errors_in_apply_rls_function"),
    part("20220107221237", "update_change_timestamp_to_iso_8601_zulu_format"),
    part("20220228202821", "update_subscription_check_filters_function_dynamic_table_name"),
    part("20220312004840", "update_apply_rls_function_to_apply_iso_8601"),
    part("20220603231003", "add_quoted_regtypes_support"),
    part("20220603232444", "add_output_for_data_less_than_equal_64_bytes_when_payload_too_large"),
    part("20220615214548", "add_quoted_regtypes_backward_compatibility_support"),
    part("20220712093339", "recreate_realtime_build_prepared_statement_sql_function"),
    part("20220908172859", "null_passes_filters_recreate_is_visible_through_filters"),
    part("20220916233421", "update_apply_rls_function_to_pass_through_delete_events_on_filter"),
    part("20230119133233", "millisecond_precision_for_walrus"),
    part("20230128025114", "add_in_op_to_filters"),
    part("20230128025212", "enable_filtering_on_delete_record"),
    part("20230227211149", "update_subscription_check_filters_for_in_filter_non_text_types"),
    part("20230228184745", "convert_commit_timestamp_to_utc"),
    part("20230308225145", "output_full_record_when_unchanged_toast"),
    file("20230328144023", "create_list_changes_function", include_str!("../../sql/realtime/01_subscriptions.sql")),
    part("20231018144023", "create_channels"),
    part("20231204144023", "set_required_grants"),
    part("20231204144024", "create_rls_helper_functions"),
    part("20231204144025", "enable_channels_rls"),
    part("20240108234812", "add_channels_column_for_write_check"),
    part("20240109165339", "add_update_grant_to_channels"),
    part("20240227174441", "add_broadcast_permissions_table"),
    part("20240311171622", "add_insert_and_delete_grant_to_channels"),
    part("20240321100241", "add_presences_permissions_table"),
    part("20240401105812", "create_realtime_admin_and_move_ownership"),
    part("20240418121054", "remove_check_columns"),
    part("20240523004032", "redefine_authorization_tables"),
    part("20240618124746", "fix_walrus_role_handling"),
    part("20240801235015", "unlogged_messages_table"),
    part("20240805133720", "logged_messages_table"),
    file("20240827160934", "filter_delete_postgres_changes", include_str!("../../sql/realtime/02_changes.sql")),
    part("20240919163303", "add_payload_to_messages"),
    part("20240919163305", "change_messages_id_type"),
    part("20241019105805", "uuid_auto_generation"),
    part("20241030150047", "messages_partitioning"),
    part("20241108114728", "messages_using_uuid"),
    part("20241121104152", "fix_send_function"),
    part("20241130184212", "recreate_entity_index_using_btree"),
    part("20241220035512", "fix_send_function_partition_creation"),
    part("20241220123912", "realtime_send_handle_exceptions_remove_partition_creation"),
    part("20241224161212", "realtime_send_sets_config"),
    part("20250107150512", "realtime_subscription_unlogged"),
    part("20250110162412", "realtime_subscription_logged"),
    part("20250123174212", "remove_unused_publications"),
    part("20250128220012", "realtime_send_sets_topic_config"),
    part("20250506224012", "subscription_index_bridging_disabled"),
    part("20250523164012", "run_subscription_index_bridging_disabled"),
    part("20250714121412", "broadcast_send_error_logging"),
    file("20250905041441", "create_messages_replay_index", include_str!("../../sql/realtime/03_messages.sql")),
];

#[rustfmt::skip]
const CONTROL_PLANE_MIGRATIONS: &[Migration] = &[
    part("20210706140551", "create_tenant"),
    part("20220329161857", "add_extensions_table"),
    part("20220410212326", "add_tenant_max_eps"),
    part("20220506102948", "rename_poll_interval_to_poll_interval_ms"),
    part("20220527210857", "add_external_id_uniq_index"),
    part("20220815211129", "new_max_events_per_second_default"),
    part("20220815215024", "set_current_max_events_per_second"),
    part("20220818141501", "change_limits_defaults"),
    part("20221018173709", "add_cdc_default"),
    part("20221102172703", "rename_pg_type"),
    part("20221223010058", "drop_tenants_uniq_external_id_index"),
    part("20230110180046", "add_limits_fields_to_tenants"),
    part("20230810220907", "alter_tenants_table_columns_to_text"),
    part("20230810220924", "alter_extensions_table_columns_to_text"),
    part("20231024094642", "add_tenant_suspend_flag"),
    part("20240306114423", "add_tenant_jwt_jwks"),
    part("20240418082835", "add_authorization_flag"),
    part("20240625211759", "remove_enable_authorization_flag"),
    part("20240704172020", "add_notify_private_alpha"),
    part("20240902173232", "add_extension_external_id_index"),
    part("20241106103258", "add_private_only_flag_column_to_tenant"),
    part("20250424203323", "add_migrations_ran_to_tenant"),
    part("20250613072131", "add_tenant_broadcast_adapter"),
    part("20250711044927", "change_default_broadcast_adapter_to_gen_rpc"),
    file("20250811121559", "add_max_presence_events_per_second", include_str!("../../sql/realtime/control_plane.sql")),
];

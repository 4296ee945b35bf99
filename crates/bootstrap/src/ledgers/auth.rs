//! GoTrue's ledger: `auth.schema_migrations`.

use super::{Ledger, Migration};

/// GoTrue's migrations, up to 2.180.0, and a second group that later releases brought: what today's clients need.
/// Without 20251007112900 and 20251111201300: with their columns in `auth.sessions`, 2.180.0 cannot refresh.
///
/// One file stands for a group of versions and hangs on the last of them: a database that stopped anywhere inside the
/// group runs the file, whose statements skip what exists.
pub const LEDGER: Ledger = Ledger {
    service: "auth",
    role: "supabase_auth_admin",
    search_path: "auth",
    create: "create table if not exists auth.schema_migrations (
        version varchar(255) not null,
        constraint schema_migrations_pkey primary key (version)
    )",
    applied: "select version::text from auth.schema_migrations",
    record: |migration| {
        format!("insert into auth.schema_migrations (version) values ('{}')", migration.version)
    },
    migrations: MIGRATIONS,
    left_out: &["20251007112900", "20251111201300"],
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
    // Versions of GoTrue's ancestor. Supabase's PostgreSQL image writes these rows when it makes the first tables.
    part("20171026211738", "image_init_script"),
    part("20171026211808", "image_init_script"),
    part("20171026211834", "image_init_script"),
    part("20180103212743", "image_init_script"),
    part("20180108183307", "image_init_script"),
    part("20180119214651", "image_init_script"),
    part("20180125194653", "image_init_script"),
    part("00", "init_auth_schema"),
    part("20210710035447", "alter_users"),
    part("20210722035447", "adds_confirmed_at"),
    part("20210730183235", "add_email_change_confirmed"),
    part("20210909172000", "create_identities_table"),
    part("20210927181326", "add_refresh_token_parent"),
    part("20211122151130", "create_user_id_idx"),
    part("20211124214934", "update_auth_functions"),
    part("20211202183645", "update_auth_uid"),
    part("20220114185221", "update_user_idx"),
    part("20220114185340", "add_banned_until"),
    part("20220224000811", "update_auth_functions"),
    part("20220323170000", "add_user_reauthentication"),
    part("20220429102000", "add_unique_idx"),
    part("20220531120530", "add_auth_jwt_function"),
    file("20220614074223", "add_ip_address_to_audit_log", include_str!("../../sql/auth/01_users_and_tokens.sql")),
    part("20220811173540", "add_sessions_table"),
    part("20221003041349", "add_mfa_schema"),
    part("20221003041400", "add_aal_and_factor_id_to_sessions"),
    part("20221011041400", "add_mfa_indexes"),
    part("20221020193600", "add_sessions_user_id_index"),
    file("20221021073300", "add_refresh_tokens_session_id_revoked_index", include_str!("../../sql/auth/02_sessions_and_factors.sql")),
    part("20221021082433", "add_saml"),
    part("20221027105023", "add_identities_user_id_idx"),
    part("20221114143122", "add_session_not_after_column"),
    part("20221114143410", "remove_parent_foreign_key_refresh_tokens"),
    part("20221125140132", "backfill_email_identity"),
    part("20221208132122", "backfill_email_last_sign_in_at"),
    part("20221215195500", "modify_users_email_unique_index"),
    part("20221215195800", "add_identities_email_column"),
    part("20221215195900", "remove_sso_sessions"),
    part("20230116124310", "alter_phone_type"),
    part("20230116124412", "add_deleted_at"),
    file("20230131181311", "backfill_invite_identities", include_str!("../../sql/auth/03_single_sign_on.sql")),
    part("20230322519590", "add_flow_state_table"),
    part("20230402418590", "add_authentication_method_to_flow_state_table"),
    part("20230411005111", "remove_duplicate_idx"),
    part("20230508135423", "add_cleanup_indexes"),
    part("20230523124323", "add_mfa_challenge_cleanup_index"),
    part("20230818113222", "add_flow_state_to_relay_state"),
    part("20230914180801", "add_mfa_factors_user_id_idx"),
    part("20231027141322", "add_session_refresh_columns"),
    file("20231114161723", "add_sessions_tag", include_str!("../../sql/auth/04_flow_state.sql")),
    part("20231117164230", "add_id_pkey_identities"),
    part("20240115144230", "remove_ip_address_from_saml_relay_state"),
    part("20240214120130", "add_is_anonymous_column"),
    part("20240306115329", "add_issued_at_to_flow_state"),
    file("20240314092811", "add_saml_name_id_format", include_str!("../../sql/auth/05_identity_keys.sql")),
    part("20240427152123", "add_one_time_tokens_table"),
    part("20240612123726", "enable_rls_update_grants"),
    part("20240729123726", "add_mfa_phone_config"),
    part("20240802193726", "add_mfa_factors_column_last_challenged_at"),
    part("20240806073726", "drop_uniqueness_constraint_on_phone"),
    file("20241009103726", "add_web_authn", include_str!("../../sql/auth/06_one_time_tokens.sql")),
    part("20250717082212", "add_disabled_to_sso_providers"),
    part("20250731150234", "add_oauth_clients_table"),
    part("20250804100000", "add_oauth_authorizations_consents"),
    part("20250901200500", "add_oauth_client_type"),
    part("20250903112500", "remove_oauth_client_id_column"),
    file("20250904133000", "add_oauth_client_id_to_session", include_str!("../../sql/auth/07_oauth_server.sql")),
    part("20250925093508", "add_last_webauthn_challenge_data"),
    part("20251104100000", "add_nonce_to_oauth_authorizations"),
    part("20251201000000", "add_oauth_client_states_table"),
    part("20260115000000", "add_flow_state_oauth_context"),
    part("20260121000000", "add_token_endpoint_auth_method"),
    part("20260219120000", "add_custom_oauth_providers"),
    part("20260302000000", "add_passkeys"),
    file("20260625000000", "add_custom_claims_allowlist", include_str!("../../sql/auth/08_newer_clients.sql")),
];

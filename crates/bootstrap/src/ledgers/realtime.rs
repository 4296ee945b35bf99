//! Realtime's tenant ledger: `realtime.schema_migrations`.

use super::{Ledger, Migration};

/// Realtime's tenant migrations.
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
};

const MIGRATIONS: &[Migration] = &[];

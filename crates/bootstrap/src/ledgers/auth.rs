//! GoTrue's ledger: `auth.schema_migrations`.

use super::{Ledger, Migration};

/// GoTrue's migrations.
pub const LEDGER: Ledger = Ledger {
    service: "auth",
    role: "supabase_auth_admin",
    search_path: "auth",
    create: "create table if not exists auth.schema_migrations (version varchar(255) not null primary key)",
    applied: "select version::text from auth.schema_migrations",
    record: |migration| format!("insert into auth.schema_migrations (version) values ('{}')", migration.version),
    migrations: MIGRATIONS,
};

const MIGRATIONS: &[Migration] = &[];

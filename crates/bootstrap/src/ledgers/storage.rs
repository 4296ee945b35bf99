//! Storage's ledger: `storage.migrations`.

use super::{Ledger, Migration};

/// Storage's tenant migrations.
pub const LEDGER: Ledger = Ledger {
    service: "storage",
    role: "supabase_storage_admin",
    search_path: "storage",
    create: "create table if not exists storage.migrations (
        id integer primary key,
        name varchar(100) unique not null,
        hash varchar(40) not null,
        executed_at timestamp default current_timestamp
    )",
    applied: "select id::text from storage.migrations",
    record: |migration| {
        format!(
            "insert into storage.migrations (id, name, hash) values ({}, '{}', '{}')",
            migration.version, migration.name, migration.hash
        )
    },
    migrations: MIGRATIONS,
};

const MIGRATIONS: &[Migration] = &[];

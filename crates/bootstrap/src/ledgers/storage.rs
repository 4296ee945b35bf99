//! Storage's ledger: `storage.migrations`.

use super::{Ledger, Migration};

/// Storage's tenant migrations, up to 1.28.0.
///
/// One file stands for a group of migrations and hangs on the last of them: a database that stopped anywhere inside the
/// group runs the file, whose statements skip what exists. The hashes are SHA-1 of the original's file name and contents;
/// an original Storage that finds another one rewrites it or refuses to start.
pub const LEDGER: Ledger = Ledger {
    service: "storage",
    role: "supabase_storage_admin",
    search_path: "storage",
    // Asked first, because `if not exists` wants the right to make schemas even where it makes none.
    create: "do $$ begin
        if to_regnamespace('storage') is null then create schema storage; end if;
    end $$;
    create table if not exists storage.migrations (
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
    left_out: &[],
};

/// What the service keeps in a schema of its own, whatever the original's version.
pub const BLOBS: Ledger = Ledger {
    service: "_storage",
    role: "supabase_storage_admin",
    search_path: "_storage",
    create: "create schema if not exists _storage; create table if not exists _storage.migrations (
        version text primary key,
        name text not null,
        applied_at timestamptz not null default now()
    )",
    applied: "select version from _storage.migrations",
    record: |migration| {
        format!(
            "insert into _storage.migrations (version, name) values ('{}', '{}')",
            migration.version, migration.name
        )
    },
    migrations: &[
        Migration {
            version: "001",
            name: "blobs",
            hash: "",
            sql: include_str!("../../sql/storage/blobs.sql"),
        },
        Migration {
            version: "002",
            name: "close-storage",
            hash: "",
            sql: include_str!("../../sql/storage/close_storage.sql"),
        },
        Migration {
            version: "003",
            name: "doors",
            hash: "",
            sql: include_str!("../../sql/storage/doors.sql"),
        },
        Migration {
            version: "004",
            name: "part-checksums",
            hash: "",
            sql: include_str!("../../sql/storage/part_checksums.sql"),
        },
        Migration {
            version: "005",
            name: "folders",
            hash: "",
            sql: include_str!("../../sql/storage/folders.sql"),
        },
    ],
    left_out: &[],
};

/// A migration whose effect is part of the next file.
const fn part(version: &'static str, name: &'static str, hash: &'static str) -> Migration {
    Migration { version, name, hash, sql: "" }
}

/// The last migration of a group.
const fn file(version: &'static str, name: &'static str, hash: &'static str, sql: &'static str) -> Migration {
    Migration { version, name, hash, sql }
}

#[rustfmt::skip]
const MIGRATIONS: &[Migration] = &[
    part("0", "create-migrations-table", "e18db593bcde2aca2a408c4d1100f6abba2195df"),
    part("1", "initialmigration", "6ab16121fbaa08bbd11b712d05f358f9b555d777"),
    part("2", "storage-schema", "5c7968fd083fcea04050c1b7f6253c9771b99011"),
    part("3", "pathtoken-column", "2cb1b0004b817b29d5b0a971af16bafeede4b70d"),
    part("4", "add-migrations-rls", "427c5b63fe1c5937495d9c635c263ee7a5905058"),
    part("5", "add-size-functions", "79e081a1455b63666c1294a440f8ad4b1e6a7f84"),
    part("6", "change-column-name-in-get-size", "f93f62afdf6613ee5e7e815b30d02dc990201044"),
    part("7", "add-rls-to-buckets", "e7e7f86adbc51049f341dfe8d30256c1abca17aa"),
    part("8", "add-public-to-buckets", "fd670db39ed65f9d08b01db09d6202503ca2bab3"),
    part("9", "fix-search-function", "3a0af29f42e35a4d101c259ed955b67e1bee6825"),
    part("10", "search-files-search-function", "68dc14822daad0ffac3746a502234f486182ef6e"),
    part("11", "add-trigger-to-auto-update-updated_at-column", "7425bdb14366d1739fa8a18c83100636d74dcaa2"),
    part("12", "add-automatic-avif-detection-flag", "8e92e1266eb29518b6a4c5313ab8f29dd0d08df9"),
    part("13", "add-bucket-custom-limits", "cce962054138135cd9a8c4bcd531598684b25e7d"),
    part("14", "use-bytes-for-max-size", "941c41b346f9802b411f06f30e972ad4744dad27"),
    part("15", "add-can-insert-object-function", "934146bc38ead475f4ef4b555c524ee5d66799e5"),
    part("16", "add-version", "76debf38d3fd07dcfc747ca49096457d95b1221b"),
    part("17", "drop-owner-foreign-key", "f1cbb288f1b7a4c1eb8c38504b80ae2a0153d101"),
    part("18", "add_owner_id_column_deprecate_owner", "e7a511b379110b08e2f214be852c35414749fe66"),
    file("19", "alter-default-value-objects-id", "02e5e22a78626187e00d173dc45f58fa66a4f043", include_str!("../../sql/storage/01_buckets_and_objects.sql")),
    part("20", "list-objects-with-delimiter", "cd694ae708e51ba82bf012bba00caf4f3b6393b7"),
    part("21", "s3-multipart-uploads", "8c804d4a566c40cd1e4cc5b3725a664a9303657f"),
    part("22", "s3-multipart-uploads-big-ints", "9737dc258d2397953c9953d9b86920b8be0cdb73"),
    part("23", "optimize-search-function", "9d7e604cddc4b56a5422dc68c9313f4a1b6f132c"),
    part("24", "operation-function", "8312e37c2bf9e76bbe841aa5fda889206d2bf8aa"),
    file("25", "custom-metadata", "d974c6057c3db1c1f847afa0e291e6165693b990", include_str!("../../sql/storage/02_s3.sql")),
    part("26", "objects-prefixes", "ef3f7871121cdc47a65308e6702519e853422ae2"),
    part("27", "search-v2", "33b8f2a7ae53105f028e13e9fcda9dc4f356b4a2"),
    part("28", "object-bucket-name-sorting", "ba85ec41b62c6a30a3f136788227ee47f311c436"),
    part("29", "create-prefixes", "a7b1a22c0dc3ab630e3055bfec7ce7d2045c5b7b"),
    part("30", "update-object-levels", "6c6f6cc9430d570f26284a24cf7b210599032db7"),
    part("31", "objects-level-index", "33f1fef7ec7fea08bb892222f4f0f5d79bab5eb8"),
    part("32", "backward-compatible-index-on-objects", "2d51eeb437a96868b36fcdfb1ddefdf13bef1647"),
    part("33", "backward-compatible-index-on-prefixes", "fe473390e1b8c407434c0e470655945b110507bf"),
    part("34", "optimize-search-function-v1", "82b0e469a00e8ebce495e29bfa70a0797f7ebd2c"),
    part("35", "add-insert-trigger-prefixes", "63bb9fd05deb3dc5e9fa66c83e82b152f0caf589"),
    file("36", "optimise-existing-functions", "81cf92eb0c36612865a18016a38496c530443899", include_str!("../../sql/storage/03_prefixes.sql")),
    part("37", "add-bucket-name-length-trigger", "3944135b4e3e8b22d6d4cbb568fe3b0b51df15c1"),
    part("38", "iceberg-catalog-flag-on-buckets", "19a8bd89d5dfa69af7f222a46c726b7c41e462c5"),
    file("39", "add-search-v2-sort-support", "39cf7d1e6bf515f4b02e41237aba845a7b492853", include_str!("../../sql/storage/04_search.sql")),
    part("40", "fix-prefix-race-conditions-optimized", "fd02297e1c67df25a9fc110bf8c8a9af7fb06d1f"),
    part("41", "add-object-level-update-trigger", "44c22478bf01744b2129efc480cd2edc9a7d60e9"),
    part("42", "rollback-prefix-triggers", "f2ab4f526ab7f979541082992593938c05ee4b47"),
    file("43", "fix-object-level", "ab837ad8f1c7d00cc0b7310e989a23388ff29fc6", include_str!("../../sql/storage/05_prefix_triggers.sql")),
];

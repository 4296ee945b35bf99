//! The services' schemas are those that the originals' own migrations leave: an original service can be pointed at our
//! database, and ours at theirs.
//!
//! `catalogue/<schema>.txt` is what `catalogue/catalogue.sql` returned on a database of Supabase's image after the migrations
//! of GoTrue 2.180.0, Storage 1.28.0 and Realtime 2.51.11.

use std::collections::BTreeSet;

use bootstrap::ledgers;
use database::{Connection, Param, Statement};

const CATALOGUE: &str = include_str!("catalogue/catalogue.sql");

/// Where we differ on purpose: the schema, and what a line of the difference starts with.
const DIFFERENCES: &[(&str, &str)] = &[
    // The image made these functions as `postgres` and gave them away, which took the owner's own grant along.
    ("auth", "only ours: grant function auth.email() to postgres: EXECUTE"),
    ("auth", "only ours: grant function auth.role() to postgres: EXECUTE"),
    ("auth", "only ours: grant function auth.uid() to postgres: EXECUTE"),
    // The ledgers belong to the services; images since 2025 have revoked the first of these.
    ("storage", "missing: grant table migrations to "),
    ("auth", "missing: grant table schema_migrations to "),
    ("realtime", "missing: grant table schema_migrations to "),
    // Broadcasts of bytes, from later versions of Realtime.
    ("realtime", "only ours: column messages.09 binary_payload bytea"),
    ("realtime", "only ours: function send_binary("),
    ("realtime", "only ours: grant function realtime.send_binary("),
    // 2.180.0 inserts clients without naming this column.
    ("auth", "missing: column oauth_clients.13 token_endpoint_auth_method "),
    ("auth", "only ours: column oauth_clients.13 token_endpoint_auth_method "),
    // Its rows hold the claims of everyone who is connected.
    ("realtime", "missing: grant table subscription to "),
    // With grant option, as images since 2025 have it.
    ("storage", "missing: grant table buckets to postgres: "),
    ("storage", "only ours: grant table buckets to postgres: DELETE* INSERT* "),
    ("storage", "missing: grant table objects to postgres: "),
    ("storage", "only ours: grant table objects to postgres: DELETE* INSERT* "),
    // The functions behind the table of folders are the triggers' alone, which run as their owner.
    ("storage", "missing: function add_prefixes("),
    ("storage", "only ours: function add_prefixes("),
    ("storage", "missing: function delete_leaf_prefixes("),
    ("storage", "only ours: function delete_leaf_prefixes("),
    ("storage", "missing: function delete_prefix("),
    ("storage", "only ours: function delete_prefix("),
    ("storage", "missing: function delete_prefix_hierarchy_trigger("),
    ("storage", "only ours: function delete_prefix_hierarchy_trigger("),
    ("storage", "missing: function lock_top_prefixes("),
    ("storage", "only ours: function lock_top_prefixes("),
    ("storage", "missing: function objects_insert_prefix_trigger("),
    ("storage", "only ours: function objects_insert_prefix_trigger("),
    ("storage", "missing: function objects_update_prefix_trigger("),
    ("storage", "only ours: function objects_update_prefix_trigger("),
    ("storage", "missing: function prefixes_insert_trigger("),
    ("storage", "only ours: function prefixes_insert_trigger("),
    ("storage", "missing: grant function storage.add_prefixes("),
    ("storage", "missing: grant function storage.delete_leaf_prefixes("),
    ("storage", "missing: grant function storage.delete_prefix("),
    ("storage", "missing: grant function storage.lock_top_prefixes("),
    // No policy is asked when a table is truncated.
    ("storage", "missing: grant table buckets to anon: "),
    ("storage", "only ours: grant table buckets to anon: DELETE INSERT REFERENCES SELECT TRIGGER UPDATE"),
    ("storage", "missing: grant table buckets to authenticated: "),
    (
        "storage",
        "only ours: grant table buckets to authenticated: DELETE INSERT REFERENCES SELECT TRIGGER UPDATE",
    ),
    ("storage", "missing: grant table buckets_analytics to anon: "),
    (
        "storage",
        "only ours: grant table buckets_analytics to anon: DELETE INSERT REFERENCES SELECT TRIGGER UPDATE",
    ),
    ("storage", "missing: grant table buckets_analytics to authenticated: "),
    (
        "storage",
        "only ours: grant table buckets_analytics to authenticated: DELETE INSERT REFERENCES SELECT TRIGGER UPDATE",
    ),
    ("storage", "missing: grant table objects to anon: "),
    ("storage", "only ours: grant table objects to anon: DELETE INSERT REFERENCES SELECT TRIGGER UPDATE"),
    ("storage", "missing: grant table objects to authenticated: "),
    (
        "storage",
        "only ours: grant table objects to authenticated: DELETE INSERT REFERENCES SELECT TRIGGER UPDATE",
    ),
    ("storage", "missing: grant table prefixes to anon: "),
    ("storage", "only ours: grant table prefixes to anon: DELETE INSERT REFERENCES SELECT TRIGGER UPDATE"),
    ("storage", "missing: grant table prefixes to authenticated: "),
    (
        "storage",
        "only ours: grant table prefixes to authenticated: DELETE INSERT REFERENCES SELECT TRIGGER UPDATE",
    ),
];

async fn lines(connection: &mut Connection, sql: &str, params: &[Param<'_>]) -> BTreeSet<String> {
    let results = connection.run(&[Statement::new(sql, params)]).await.unwrap();
    results[0].rows.iter().map(|row| row.text(0).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn schemas_equal_those_of_the_original_migrations() {
    for server in testkit::servers() {
        let database = testkit::database_on(server).await;
        assert_eq!(differences(&mut database.admin().await).await, [""; 0], "on {}", server.name());
    }
}

/// What GoTrue's releases after 2.180.0 added (`+`) and took away (`-`), up to 2.196.0: part of our
/// schema, too, but for columns of sessions on which 2.180.0 fails.
fn later_releases(lines: &mut BTreeSet<String>) {
    for change in include_str!("catalogue/auth_later.txt").lines() {
        match change.split_at(2) {
            ("+ ", line) => assert!(lines.insert(line.to_owned()), "{line} is not new"),
            ("- ", line) => assert!(lines.remove(line), "{line} was never there"),
            _ => panic!("neither + nor -: {change}"),
        }
    }
}

/// What is not as in the originals and not meant to be.
pub(crate) async fn differences(connection: &mut Connection) -> Vec<String> {
    connection.simple_query("set search_path to ''").await.unwrap();
    let mut differences = Vec::new();
    for (schema, original) in [
        ("auth", include_str!("catalogue/auth.txt")),
        ("storage", include_str!("catalogue/storage.txt")),
        ("realtime", include_str!("catalogue/realtime.txt")),
        ("_realtime", include_str!("catalogue/_realtime.txt")),
    ] {
        let mut original: BTreeSet<String> = original.lines().map(str::to_owned).collect();
        if schema == "auth" {
            later_releases(&mut original);
        }
        let ours = lines(connection, CATALOGUE, &[Param::Text(schema)]).await;
        for line in ours.symmetric_difference(&original) {
            let side = if ours.contains(line) { "only ours" } else { "missing" };
            let difference = format!("{side}: {line}");
            if !DIFFERENCES.iter().any(|(of, start)| *of == schema && difference.starts_with(start)) {
                differences.push(format!("{schema}: {difference}"));
            }
        }
    }
    differences
}

#[tokio::test]
async fn ledgers_hold_every_version_of_the_originals() {
    for server in testkit::servers() {
        let database = testkit::database_on(server).await;
        let mut connection = database.admin().await;
        for ledger in ledgers::ALL {
            let known: BTreeSet<String> =
                ledger.migrations.iter().map(|migration| migration.version.to_owned()).collect();
            let recorded = lines(&mut connection, ledger.applied, &[]).await;
            assert_eq!(recorded, known, "{} on {}", ledger.service, server.name());
        }

        let storage = lines(
            &mut connection,
            "select format('%s %s %s', id, name, hash) from storage.migrations where id in (0, 1, 43)",
            &[],
        )
        .await;
        let expected: BTreeSet<String> = ledgers::storage::LEDGER
            .migrations
            .iter()
            .filter(|migration| ["0", "1", "43"].contains(&migration.version))
            .map(|migration| format!("{} {} {}", migration.version, migration.name, migration.hash))
            .collect();
        assert_eq!(storage, expected, "on {}", server.name());
    }
}

#[test]
fn ledgers_are_in_order_and_end_with_a_file() {
    let counted: Vec<(&str, usize)> =
        ledgers::ALL.iter().map(|ledger| (ledger.service, ledger.migrations.len())).collect();
    // Seven of GoTrue's are the rows that Supabase's image writes, eight are of releases after 2.180.
    assert_eq!(
        counted,
        [("auth", 75), ("storage", 44), ("_storage", 5), ("realtime", 64), ("_realtime", 25)]
    );

    for ledger in ledgers::ALL {
        let last = ledger.migrations.last().unwrap();
        assert!(!last.sql.is_empty(), "{}: the last group has no file", ledger.service);
        if ledger.service == "storage" {
            let ids: Vec<usize> = ledger.migrations.iter().map(|m| m.version.parse().unwrap()).collect();
            assert_eq!(ids, (0..44).collect::<Vec<_>>());
            for migration in ledger.migrations {
                assert!(migration.hash.len() == 40 && migration.hash.bytes().all(|b| b.is_ascii_hexdigit()));
            }
        } else {
            // GoTrue's first version, `00`, comes after those of the image, in the order of time.
            let versions: Vec<&str> =
                ledger.migrations.iter().map(|m| m.version).filter(|v| *v != "00").collect();
            assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{}", ledger.service);
        }
    }
}

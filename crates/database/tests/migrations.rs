//! The migration runner.
#![allow(clippy::unwrap_used)]

mod support;

use database::migrate::{self, Ledger, Migration, Report};
use database::{ConnectConfig, Connection, Error};

const LEDGER: Ledger<'_> = Ledger {
    lock: "test.migrations",
    create: "create table if not exists ledger (version text primary key, name text)",
    applied: "select version from ledger",
    record: "insert into ledger (version, name) values ($1, $2)",
};

const FIRST: Migration<'_> = Migration {
    version: "1",
    name: "first",
    sql: "create table t (id int); set search_path = pg_catalog",
    transaction: true,
};
const SECOND: Migration<'_> = Migration {
    version: "2",
    name: "second",
    sql: "create index concurrently if not exists i on t (id)",
    transaction: false,
};
const BROKEN: Migration<'_> = Migration {
    version: "3",
    name: "broken",
    sql: "create table u (id int); select 1 / 0",
    transaction: true,
};

async fn fresh(config: ConnectConfig, name: &str) -> ConnectConfig {
    let mut admin = Connection::connect(&config).await.unwrap();
    admin.simple_query(&format!("create database {name}")).await.unwrap();
    config.with_database(name)
}

each_server! {

async fn migrations_are_applied_once_and_in_order(cluster) {
    let config = fresh(cluster.config(), "once").await;
    let mut connection = Connection::connect(&config).await.unwrap();
    let report = migrate::run(&mut connection, &LEDGER, &[FIRST, SECOND]).await.unwrap();
    assert_eq!(report, Report { applied: vec!["1".into(), "2".into()], already: 0 });
    let report = migrate::run(&mut connection, &LEDGER, &[FIRST, SECOND]).await.unwrap();
    assert_eq!(report, Report { applied: vec![], already: 2 });
}

async fn a_failing_migration_leaves_nothing_and_those_before_it_stay(cluster) {
    let config = fresh(cluster.config(), "failing").await;
    let mut connection = Connection::connect(&config).await.unwrap();
    let error = migrate::run(&mut connection, &LEDGER, &[FIRST, BROKEN]).await.unwrap_err();
    assert!(matches!(&error, Error::Migration { version, .. } if version == "3"), "{error}");
    assert_eq!(error.sqlstate().unwrap().as_str(), "22012");
    let left = "select (select string_agg(version, ',') from ledger) || coalesce(to_regclass('u')::text, '')";
    assert_eq!(connection.simple_query(left).await.unwrap()[0].scalar(), Some("1"));
    // The lock is free again.
    let mut other = Connection::connect(&config).await.unwrap();
    assert_eq!(migrate::run(&mut other, &LEDGER, &[FIRST]).await.unwrap().already, 1);
}

async fn a_ledger_of_a_newer_version_is_refused(cluster) {
    let config = fresh(cluster.config(), "newer").await;
    let mut connection = Connection::connect(&config).await.unwrap();
    migrate::run(&mut connection, &LEDGER, &[FIRST]).await.unwrap();
    let error = migrate::run(&mut connection, &LEDGER, &[SECOND]).await.unwrap_err();
    assert!(matches!(&error, Error::UnknownMigrations { versions } if *versions == ["1"]), "{error}");
}

async fn several_runners_at_once_apply_each_migration_once(cluster) {
    let config = fresh(cluster.config(), "at_once").await;
    let run = || async {
        let mut connection = Connection::connect(&config).await.unwrap();
        migrate::run(&mut connection, &LEDGER, &[FIRST]).await.unwrap().applied.len()
    };
    let counts = tokio::join!(run(), run(), run(), run());
    assert_eq!(counts.0 + counts.1 + counts.2 + counts.3, 1);
}

}

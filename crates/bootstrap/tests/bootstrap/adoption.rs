//! Databases that are not empty, not ours, or not for us.

use bootstrap::{Error, Outcome, adopt, apply, check};
use testkit::{Cluster, servers};

use crate::{options, rows, value};

#[tokio::test]
async fn a_table_of_the_user_in_the_way_is_named_and_left_alone() {
    for server in servers() {
        let cluster = Cluster::plain(server, "supabase_admin").await;
        let config = cluster.config("supabase_admin", "postgres");
        let mut admin = cluster.connect("supabase_admin", "postgres").await;
        admin
            .simple_query(
                "create role bob login; create schema auth authorization bob; create table auth.users (name text);
                 create role pgbouncer login; create extension pgcrypto",
            )
            .await
            .unwrap();
        let message = apply(&config, &options()).await.unwrap_err().to_string();
        assert_eq!(
            message,
            "this database is not empty where a Supabase database needs room: \
             extension pgcrypto is installed in schema public: run `alter extension pgcrypto set schema extensions` \
             (after `create schema extensions`); \
             role pgbouncer exists already: rename or drop it; \
             schema auth exists already (owner bob, 1 tables): rename or drop it"
        );
        assert_eq!(
            rows(&mut admin, "select rolname from pg_roles where rolname in ('anon', 'authenticator')").await,
            [""; 0],
            "nothing was made"
        );
        assert_eq!(value(&mut admin, "select to_regnamespace('_monobase') is null").await, "t");
    }
}

#[tokio::test]
async fn a_role_that_is_no_superuser_is_told_what_it_lacks() {
    for server in servers() {
        let cluster = Cluster::plain(server, "supabase_admin").await;
        cluster
            .connect("supabase_admin", "postgres")
            .await
            .simple_query("create role app login createrole createdb; create role rds_superuser")
            .await
            .unwrap();
        let config = cluster.config("app", "postgres");
        let error = apply(&config, &options()).await.unwrap_err();
        let Error::NotSuperuser { user, missing } = &error else { panic!("{error}") };
        assert_eq!(user, "app");
        assert_eq!(missing.len(), 4, "{missing:?}");
        assert!(missing[3].contains("managed server (role rds_superuser exists)"), "{missing:?}");

        let report = check(&config, &options()).await.unwrap();
        assert_eq!((report.outcome, report.class), (Outcome::Plain, bootstrap::Class::Managed));
        assert!(report.warnings.iter().any(|warning| warning.contains("it is no SUPERUSER")), "{report:?}");
    }
}

/// A Supabase database whose `_monobase` schema never existed.
async fn somebody_elses(cluster: &Cluster) {
    cluster
        .connect("supabase_admin", "postgres")
        .await
        .simple_query("drop schema _monobase cascade")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_supabase_database_of_somebody_else_is_only_checked_until_it_is_adopted() {
    for server in servers() {
        let cluster = Cluster::bootstrapped(server).await;
        let config = cluster.config("supabase_admin", "postgres");
        somebody_elses(&cluster).await;
        let mut admin = cluster.connect("supabase_admin", "postgres").await;
        admin
            .simple_query(
                "alter function extensions.grant_pg_net_access() owner to postgres;
                 alter role anon login; alter role authenticated set statement_timeout = '1min';
                 revoke pg_monitor from postgres; drop publication supabase_realtime;
                 delete from auth.schema_migrations where version like '2025%';
                 alter default privileges for role postgres in schema public revoke all on tables from anon;
                 insert into auth.users (id, email) values (gen_random_uuid(), 'kept@example.org')",
            )
            .await
            .unwrap();

        let report = apply(&config, &options()).await.unwrap();
        assert_eq!(report.outcome, Outcome::Foreign);
        assert!(report.changed_nothing());
        assert!(report.warnings[0].contains("`monobase db adopt` takes it over"), "{report:?}");
        let found: Vec<String> = report
            .differences
            .iter()
            .map(ToString::to_string)
            .filter(|difference| !difference.starts_with("migration"))
            .collect();
        assert_eq!(
            found,
            [
                "event trigger owner issue_pg_net_access: expected supabase_admin, found postgres",
                "membership postgres in pg_monitor is missing (expected granted)",
                "publication supabase_realtime is missing (expected present)",
                "role anon: expected inherit, found login inherit",
                "role setting statement_timeout of authenticated: expected 8s, found 1min",
            ]
        );
        assert!(report.differences.iter().any(|difference| difference.object.starts_with("auth/2025")));
        assert_eq!(value(&mut admin, "select rolcanlogin from pg_roles where rolname = 'anon'").await, "t");

        let adopted = adopt(&config, &options()).await.unwrap();
        assert_eq!(adopted.outcome, Outcome::Adopted);
        assert!(adopted.installation.is_some());
        assert_eq!(check(&config, &options()).await.unwrap().differences, []);
        assert_eq!(value(&mut admin, "select email from auth.users").await, "kept@example.org");
        assert_eq!(
            value(
                &mut cluster.connect("postgres", "postgres").await,
                "create table public.t (id int); select has_table_privilege('anon', 'public.t', 'select')"
            )
            .await,
            "f",
            "default privileges that were revoked stay so"
        );
        assert_eq!(apply(&config, &options()).await.unwrap().outcome, Outcome::UpToDate);
        assert!(matches!(adopt(&config, &options()).await, Err(Error::NothingToAdopt(_))));
    }
}

#[tokio::test]
async fn a_second_database_of_a_server_is_adopted_like_a_fresh_one() {
    for server in servers() {
        let cluster = Cluster::bootstrapped(server).await;
        let mut admin = cluster.connect("supabase_admin", "postgres").await;
        admin.simple_query("create database second").await.unwrap();
        let config = cluster.config("supabase_admin", "second");
        assert_eq!(apply(&config, &options()).await.unwrap().outcome, Outcome::Foreign);
        assert_eq!(adopt(&config, &options()).await.unwrap().outcome, Outcome::Adopted);
        assert_eq!(check(&config, &options()).await.unwrap().differences, []);
        assert_eq!(
            value(
                &mut cluster.connect("postgres", "second").await,
                "create table public.t (id int); select has_table_privilege('anon', 'public.t', 'select')"
            )
            .await,
            "t"
        );
    }
}

#[tokio::test]
async fn a_plain_database_cannot_be_adopted() {
    let cluster = Cluster::plain(testkit::Server::Embedded, "supabase_admin").await;
    let config = cluster.config("supabase_admin", "postgres");
    assert!(matches!(adopt(&config, &options()).await, Err(Error::NothingToAdopt(_))));
    assert_eq!(check(&config, &options()).await.unwrap().outcome, Outcome::Plain);
}

#[tokio::test]
async fn what_a_newer_program_migrated_is_left_alone() {
    for server in servers() {
        let cluster = Cluster::bootstrapped(server).await;
        let config = cluster.config("supabase_admin", "postgres");
        let mut admin = cluster.connect("supabase_admin", "postgres").await;
        for (change, message) in [
            (
                "insert into _monobase.migrations (version, name) values ('999', 'from the future')",
                "the core migrations of this database are newer than this program: unknown 999; use a newer program",
            ),
            (
                "delete from _monobase.migrations where version = '999';
                 update _monobase.install set fingerprint = '';
                 insert into auth.schema_migrations values ('29990101000000')",
                "the auth migrations of this database are newer than this program: unknown 29990101000000; \
                 use a newer program",
            ),
            (
                "update _monobase.install set format = 99, binary_version = '9.9.9'",
                "this database belongs to monobase 9.9.9, which is newer than this program",
            ),
        ] {
            admin.simple_query(change).await.unwrap();
            assert_eq!(apply(&config, &options()).await.unwrap_err().to_string(), message);
        }
    }
}

#[tokio::test]
async fn adopting_leaves_no_trace_where_a_ledger_is_from_the_future() {
    let cluster = Cluster::bootstrapped(testkit::Server::Embedded).await;
    somebody_elses(&cluster).await;
    let mut admin = cluster.connect("supabase_admin", "postgres").await;
    admin.simple_query("insert into auth.schema_migrations values ('29990101000000')").await.unwrap();
    let config = cluster.config("supabase_admin", "postgres");
    assert!(matches!(adopt(&config, &options()).await, Err(Error::UnknownVersions { .. })));
    assert_eq!(value(&mut admin, "select to_regnamespace('_monobase') is null").await, "t");
}

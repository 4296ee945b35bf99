//! Twice is once; several at a time are one; half is finished.

use std::process::Command;

use bootstrap::{Outcome, apply, check};
use testkit::{Cluster, servers};

use crate::{options, rows, value};

/// Everything in the cluster that a dump can tell: roles with passwords, memberships, settings, schema and rows.
fn dump(cluster: &Cluster) -> String {
    let mut text = String::new();
    for (program, arguments) in [
        ("pg_dumpall", &["--globals-only"] as &[&str]),
        ("pg_dump", &["--create", "postgres"]),
        ("pg_dump", &["--create", "_supabase"]),
    ] {
        let output = Command::new(cluster.server().program(program))
            .args(["--username=supabase_admin", "--port=5432"])
            .arg("--host")
            .arg(cluster.socket_folder())
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        text.push_str(&String::from_utf8(output.stdout).unwrap());
    }
    // A random key that newer clients put around a dump.
    text.lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    for server in servers() {
        let cluster = Cluster::plain(server, "supabase_admin").await;
        let config = cluster.config("supabase_admin", "postgres");
        let first = apply(&config, &options()).await.unwrap();
        assert_eq!(first.outcome, Outcome::Created);
        assert_eq!(
            first.passwords.len(),
            bootstrap::LOGIN_ROLES.len() - 1,
            "all but the one that is signed in"
        );
        assert_eq!(first.warnings, [""; 0]);
        let before = dump(&cluster);

        let second = apply(&config, &options()).await.unwrap();
        assert_eq!(second.outcome, Outcome::UpToDate);
        assert!(second.changed_nothing(), "{second:?}");
        assert_eq!(second.installation, first.installation);
        assert_eq!(dump(&cluster), before);
    }
}

#[tokio::test]
async fn a_start_on_an_up_to_date_database_is_one_round_trip() {
    for server in servers() {
        let settings = [("log_statement", "all"), ("log_line_prefix", "%a: ")];
        let cluster = Cluster::with_settings(server, &settings).await;
        let config = cluster.config("supabase_admin", "postgres");
        apply(&config, &options()).await.unwrap();
        let batches = || cluster.log().matches("monobase bootstrap: LOG:  statement:").count();
        let before = batches();
        let began = std::time::Instant::now();
        apply(&config, &options()).await.unwrap();
        let took = began.elapsed();
        assert_eq!(batches() - before, 1);
        // Connecting and one password check included; it is 3 to 10 ms on an idle machine.
        assert!(took < std::time::Duration::from_millis(500), "{took:?}");
    }
}

#[tokio::test]
async fn running_every_step_again_changes_nothing() {
    // Stronger than the fingerprint: what adopting and a lost ledger rely on.
    for server in servers() {
        let cluster = Cluster::plain(server, "supabase_admin").await;
        let config = cluster.config("supabase_admin", "postgres");
        apply(&config, &options()).await.unwrap();
        let mut admin = cluster.connect("supabase_admin", "postgres").await;
        let forget = "delete from _monobase.migrations where version not in ('001', '035');
             update _monobase.install set fingerprint = ''";
        let comparable = |dump: String| {
            dump.lines()
                .filter(|line| !line.starts_with("t\t") && !line.contains("+00"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let before = comparable(dump(&cluster));
        admin.simple_query(forget).await.unwrap();
        let report = apply(&config, &options()).await.unwrap();
        assert_eq!(report.outcome, Outcome::Migrated);
        assert!(report.applied.len() > 10, "{report:?}");
        let after = comparable(dump(&cluster));
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before, after);
        }
        assert_eq!(before.len(), after.len());
    }
}

#[tokio::test]
async fn a_fresh_database_has_no_differences() {
    for server in servers() {
        let cluster = Cluster::bootstrapped(server).await;
        let report = check(&cluster.config("supabase_admin", "postgres"), &options()).await.unwrap();
        assert_eq!(report.outcome, Outcome::UpToDate);
        assert_eq!(report.differences, []);
    }
}

#[tokio::test]
async fn several_nodes_may_start_at_once() {
    for server in servers() {
        let cluster = Cluster::plain(server, "supabase_admin").await;
        let config = cluster.config("supabase_admin", "postgres");
        let options = options();
        let (one, two, three) =
            tokio::join!(apply(&config, &options), apply(&config, &options), apply(&config, &options));
        let reports = [one.unwrap(), two.unwrap(), three.unwrap()];
        let created = reports.iter().filter(|report| report.outcome == Outcome::Created).count();
        assert_eq!(created, 1, "{reports:?}");
        assert!(reports.iter().all(|report| report.installation == reports[0].installation), "{reports:?}");
        let mut admin = cluster.connect("supabase_admin", "postgres").await;
        assert_eq!(value(&mut admin, "select count(*) from _monobase.install").await, "1");
    }
}

#[tokio::test]
async fn a_run_that_was_cut_short_is_finished_by_the_next() {
    for server in servers() {
        let mut cluster = Cluster::plain(server, "supabase_admin").await;
        let config = cluster.config("supabase_admin", "postgres");
        // Dropped in the middle, at several places, as by kill -9.
        for milliseconds in [5, 30, 80, 160] {
            let limit = std::time::Duration::from_millis(milliseconds);
            let _ = tokio::time::timeout(limit, apply(&config, &options())).await;
        }
        cluster.crash().await;
        apply(&config, &options()).await.unwrap();
        let report = check(&config, &options()).await.unwrap();
        assert_eq!(report.differences, []);
        let mut admin = cluster.connect("supabase_admin", "postgres").await;
        assert_eq!(
            rows(&mut admin, "select version from _monobase.migrations group by 1 having count(*) > 1").await,
            [""; 0]
        );
    }
}

#[tokio::test]
async fn a_copied_template_gets_an_identity_and_passwords_and_nothing_else() {
    for server in servers() {
        let cluster = Cluster::plain(server, "supabase_admin").await;
        let config = cluster.config("supabase_admin", "postgres");
        let template = bootstrap::Options {
            template: true,
            passwords: bootstrap::Passwords::default(),
            settings: std::collections::BTreeMap::new(),
            ..options()
        };
        let made = apply(&config, &template).await.unwrap();
        assert_eq!((made.outcome, made.installation), (Outcome::Created, None));
        assert!(apply(&config, &template).await.unwrap().changed_nothing());

        let first = apply(&config, &options()).await.unwrap();
        assert_eq!((first.outcome, first.applied.len()), (Outcome::Created, 0));
        assert_eq!(
            first.passwords.len(),
            bootstrap::LOGIN_ROLES.len() - 1,
            "all but the one that is signed in"
        );
        assert_eq!(first.settings, ["app.settings.jwt_exp", "app.settings.jwt_secret"]);
        assert!(first.installation.is_some());
        let second = apply(&config, &options()).await.unwrap();
        assert_eq!((second.outcome, second.installation), (Outcome::UpToDate, first.installation));
    }
}

#[tokio::test]
async fn revoked_default_privileges_stay_revoked() {
    for server in servers() {
        let cluster = Cluster::bootstrapped(server).await;
        let config = cluster.config("supabase_admin", "postgres");
        let mut postgres = cluster.connect("postgres", "postgres").await;
        postgres
            .simple_query("alter default privileges in schema public revoke all on tables from anon")
            .await
            .unwrap();
        // A new program with other steps.
        cluster
            .connect("supabase_admin", "postgres")
            .await
            .simple_query("update _monobase.install set fingerprint = 'older'")
            .await
            .unwrap();
        assert_eq!(apply(&config, &options()).await.unwrap().outcome, Outcome::Migrated);
        assert_eq!(
            value(
                &mut postgres,
                "create table public.t (id int); select has_table_privilege('anon', 'public.t', 'select')"
            )
            .await,
            "f"
        );
    }
}

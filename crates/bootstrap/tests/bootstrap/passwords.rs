//! Passwords and settings follow the configuration.

use bootstrap::{Class, Outcome, Passwords, apply};
use testkit::{Cluster, servers};

use crate::{options, rows, value};

#[tokio::test]
async fn a_changed_password_is_applied_at_the_next_start_and_never_logged() {
    for server in servers() {
        let cluster =
            Cluster::with_settings(server, &[("log_statement", "all"), ("log_min_duration_statement", "0")])
                .await;
        let config = cluster.config("supabase_admin", "postgres");
        let mut options = options();
        options.passwords = Passwords::shared("first-secret");
        options.passwords.by_role.insert("authenticator".into(), "second-secret".into());
        options = options.with_jwt(Some("third-secret-third-secret-third-secret"), 60);

        let report = apply(&config, &options).await.unwrap();
        let mut roles = bootstrap::LOGIN_ROLES.to_vec();
        roles.retain(|role| *role != "supabase_admin");
        assert_eq!(report.passwords, roles);
        assert_eq!(report.settings, ["app.settings.jwt_exp", "app.settings.jwt_secret"]);
        assert!(apply(&config, &options).await.unwrap().changed_nothing());

        options.passwords.by_role.insert("authenticator".into(), "fourth-secret".into());
        assert_eq!(apply(&config, &options).await.unwrap().passwords, ["authenticator"]);

        let mut admin = cluster.connect("supabase_admin", "postgres").await;
        let log = cluster.log();
        assert!(log.contains("advisory_lock"), "statements are logged at all");
        for secret in ["first-secret", "second-secret", "third-secret", "fourth-secret", "SCRAM-SHA-256"] {
            assert!(!log.contains(secret), "{secret} is in the log");
        }
        assert_eq!(
            value(
                &mut admin,
                "select count(*) from pg_authid where rolpassword like 'SCRAM-SHA-2__$4096:%' and rolname = 'authenticator'"
            )
            .await,
            "1"
        );
        let statements = rows(&mut admin, "select query from extensions.pg_stat_statements").await.join("\n");
        for secret in ["third-secret", "SCRAM-SHA-256"] {
            assert!(!statements.contains(secret), "{secret} is in pg_stat_statements");
        }
    }
}

#[tokio::test]
async fn the_owner_of_a_server_keeps_their_own_password() {
    for server in servers() {
        // As Debian and every provider do it: the first role is called postgres and is how the owner gets in.
        let cluster = Cluster::plain(server, "postgres").await;
        let config = cluster.config("postgres", "postgres");
        let mut own = options();
        own.class = Class::Server;
        let report = apply(&config, &own).await.unwrap();
        assert_eq!(report.outcome, Outcome::Created);
        assert!(!report.passwords.contains(&"postgres".to_owned()), "{report:?}");
        let mut warnings = report.warnings.into_iter();
        assert_eq!(
            warnings.next().unwrap(),
            "role postgres is a superuser of this server and stays one: migrations and SQL of users run with all rights"
        );
        assert!(
            warnings.next().unwrap().starts_with("the password of role postgres is not the configured one")
        );
        assert_eq!(warnings.next(), None);

        let mut postgres = cluster.connect("postgres", "postgres").await;
        assert_eq!(
            value(&mut postgres, "select rolsuper from pg_roles where rolname = 'postgres'").await,
            "t"
        );
        assert_eq!(bootstrap::check(&config, &own).await.unwrap().differences, []);
    }
}

#[tokio::test]
async fn settings_can_be_taken_back() {
    for server in servers() {
        let cluster = Cluster::bootstrapped(server).await;
        let config = cluster.config("supabase_admin", "postgres");
        let read = "select current_setting('app.settings.jwt_secret', true) is null, current_setting('app.settings.jwt_exp')";
        apply(&config, &options().with_jwt(Some("it's a \\ 'secret' secret"), 60)).await.unwrap();
        let mut reader = cluster.connect("postgres", "postgres").await;
        assert_eq!(
            value(&mut reader, "select current_setting('app.settings.jwt_secret')").await,
            "it's a \\ 'secret' secret"
        );
        let report = apply(&config, &options().with_jwt(None, 7200)).await.unwrap();
        assert_eq!(report.settings, ["app.settings.jwt_exp", "app.settings.jwt_secret"]);
        assert_eq!(rows(&mut cluster.connect("postgres", "postgres").await, read).await, ["t|7200"]);
    }
}

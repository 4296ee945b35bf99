//! The claims of a request, as policies read them.

use crate::{error, rows};

const READ: &str = "select auth.uid(), auth.role(), auth.email(), auth.jwt()";

#[tokio::test]
async fn claims_are_null_without_a_request() {
    for server in testkit::servers() {
        let database = testkit::database_on(server).await;
        let mut connection = database.connect("postgres").await;
        assert_eq!(rows(&mut connection, READ).await, ["∅|∅|∅|∅"]);
        // A setting that was local to a finished transaction stays behind as an empty one.
        connection
            .simple_query("begin; select set_config('request.jwt.claims', '{}', true); commit")
            .await
            .unwrap();
        assert_eq!(rows(&mut connection, READ).await, ["∅|∅|∅|∅"]);
    }
}

#[tokio::test]
async fn claims_come_from_json_or_from_a_setting_each() {
    for server in testkit::servers() {
        let database = testkit::database_on(server).await;
        let mut connection = database.connect("authenticator").await;
        connection
            .simple_query(
                "set role authenticated;
                 set request.jwt.claims = '{\"sub\": \"00000000-0000-4000-8000-000000000001\", \"role\": \"authenticated\", \
                 \"email\": \"a@example.org\", \"aal\": \"aal2\"}'",
            )
            .await
            .unwrap();
        assert_eq!(
            rows(&mut connection, "select auth.uid(), auth.role(), auth.email(), auth.jwt() ->> 'aal'").await,
            ["00000000-0000-4000-8000-000000000001|authenticated|a@example.org|aal2"]
        );
        connection.simple_query("set request.jwt.claim.email = 'b@example.org'").await.unwrap();
        assert_eq!(rows(&mut connection, "select auth.email()").await, ["b@example.org"]);
    }
}

#[tokio::test]
async fn a_subject_that_is_no_uuid_is_an_error() {
    for server in testkit::servers() {
        let database = testkit::database_on(server).await;
        let mut connection = database.connect("postgres").await;
        connection.simple_query("set request.jwt.claims = '{\"sub\": \"me\"}'").await.unwrap();
        assert_eq!(
            error(&mut connection, "select auth.uid()").await,
            "22P02 invalid input syntax for type uuid: \"me\""
        );
    }
}

#[tokio::test]
async fn only_the_service_reads_users() {
    for server in testkit::servers() {
        let database = testkit::database_on(server).await;
        for role in ["anon", "authenticated", "service_role"] {
            let mut connection = database.admin().await;
            connection.simple_query(&format!("set role {role}")).await.unwrap();
            for table in ["users", "refresh_tokens", "oauth_clients", "schema_migrations"] {
                assert_eq!(
                    error(&mut connection, &format!("select from auth.{table}")).await,
                    format!("42501 permission denied for table {table}")
                );
            }
        }
    }
}

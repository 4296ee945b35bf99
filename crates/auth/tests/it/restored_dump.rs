//! Schema `auth` of another installation, as `pg_dump` writes it, in the place of ours.

use std::io::Write as _;
use std::process::{Command, Stdio};

use bootstrap::ledgers::auth::LEDGER;
use serde_json::json;
use testkit::TestDatabase;

use crate::service::{Service, config};
use crate::totp;

/// Takes away what releases after 2.180.0 brought.
const AS_OF_2_180: &str = "
    drop table auth.custom_oauth_providers, auth.oauth_client_states, auth.webauthn_challenges, auth.webauthn_credentials;
    alter table auth.mfa_factors drop column last_webauthn_challenge_data;
    alter table auth.oauth_authorizations drop column nonce;
    alter table auth.oauth_clients drop column token_endpoint_auth_method;
    alter table auth.flow_state
        drop column invite_token, drop column referrer, drop column oauth_client_state_id,
        drop column linking_target_id, drop column email_optional,
        alter column auth_code set not null, alter column code_challenge set not null,
        alter column code_challenge_method set not null;
    delete from auth.schema_migrations where version > '20250904133000'";

/// Adds what a newer release has and we leave to it.
const AS_OF_2_196: &str = "
    alter table auth.sessions
        add column refresh_token_hmac_key text, add column refresh_token_counter bigint, add column scopes text;
    insert into auth.schema_migrations values ('20251007112900'), ('20251111201300')";

fn program(database: &TestDatabase, name: &str) -> Command {
    let cluster = database.cluster();
    let mut command = Command::new(cluster.server().program(name));
    command.args(["--username=supabase_admin", "--port=5432", "--dbname", database.name(), "--host"]);
    command.arg(cluster.socket_folder());
    command
}

fn dump(database: &TestDatabase) -> String {
    let output = program(database, "pg_dump").arg("--schema=auth").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn restore(database: &TestDatabase, sql: &str) {
    let mut psql = program(database, "psql")
        .args(["--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    psql.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
    let output = psql.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn people_of_a_restored_dump_sign_in() {
    for release in [AS_OF_2_180, AS_OF_2_196] {
        let elsewhere = Service::start().await;
        let session = elsewhere.sign_up("ann@x.test").await;
        let token = session["access_token"].as_str().unwrap();
        let factor = json!({"factor_type": "totp", "friendly_name": "app"});
        let factor = elsewhere.post("/factors", factor).bearer(token).send().await.json();
        let path = format!("/factors/{}", factor["id"].as_str().unwrap());
        let secret = factor["totp"]["secret"].as_str().unwrap();
        let verify = async |service: &Service, token: &str, at: i64| {
            let asked =
                service.post(&format!("{path}/challenge"), json!({})).bearer(token).send().await.json();
            let body = json!({"challenge_id": asked["id"], "code": totp::code(secret, at)});
            service.post(&format!("{path}/verify"), body).bearer(token).send().await
        };
        let now = chrono::Utc::now().timestamp();
        let stepped_up = verify(&elsewhere, token, now).await;
        assert_eq!(stepped_up.status, 200, "{}", stepped_up.body);
        elsewhere.sql(release).await;

        let here = testkit::database().await;
        restore(&here, &format!("drop schema auth cascade;\n{}", dump(&elsewhere.database)));
        bootstrap::migrate(&here.config("supabase_admin"), &LEDGER).await.unwrap();
        let service = Service::start_on(here, config()).await;
        // The session goes on, the password and the factor are the same, and newcomers are welcome.
        let refreshed = service.refresh(&stepped_up.json()["refresh_token"]).await;
        assert_eq!(refreshed.status, 200, "{}", refreshed.body);
        let session = service.sign_in("ann@x.test").await;
        assert_eq!(session["user"]["factors"][0]["status"], "verified");
        let token = session["access_token"].as_str().unwrap();
        // The next code: one is good once.
        let verified = verify(&service, token, now + 30).await;
        assert_eq!(verified.status, 200, "{}", verified.body);
        service.sign_up("bob@x.test").await;
        // What came after the dump's release is there now.
        assert_eq!(service.sql("select count(*) from auth.custom_oauth_providers").await, "0");
    }
}

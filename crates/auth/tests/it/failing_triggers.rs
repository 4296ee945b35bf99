//! Triggers of applications on `auth.users` fail; nothing may be left, and the cause must be found.

use std::cell::RefCell;
use std::io::Write;

use serde_json::json;

use crate::service::{Answer, Service, config};

async fn service_with(function_body: &str) -> Service {
    let mut config = config();
    config.external.anonymous_users_enabled = true;
    config.request_id_header = Some("x-request-id".into());
    let service = Service::start_with(config).await;
    service
        .sql(&format!(
            "create function public.handle_new_user() returns trigger language plpgsql as $$ begin {function_body} end $$;
             create trigger on_auth_user_created after insert on auth.users
                 for each row execute function public.handle_new_user()"
        ))
        .await;
    service
}

async fn sign_up(service: &Service, newer: bool) -> Answer {
    let request = service.post("/signup", json!({"email": "a@b.c", "password": "secret1"}));
    let request = request.header("x-request-id", "request-1");
    if newer { request.newer().send().await } else { request.send().await }
}

async fn is_empty(service: &Service) -> bool {
    let left = "select (select count(*) from auth.users) + (select count(*) from auth.identities)
                + (select count(*) from auth.sessions) + (select count(*) from auth.refresh_tokens)
                + (select count(*) from auth.audit_log_entries)";
    service.sql(left).await == "0"
}

#[tokio::test]
async fn a_missing_table_is_hidden_from_both_dialects_and_leaves_no_user() {
    let service = service_with("insert into profiles values (new.id); return new;").await;
    let old = sign_up(&service, false).await;
    assert_eq!(
        old.shown(),
        "500 {\"code\":500,\"error_code\":\"unexpected_failure\",\"msg\":\"Database error saving new user\",\
         \"error_id\":\"request-1\"}"
    );
    let new = sign_up(&service, true).await;
    assert_eq!(
        new.shown(),
        r#"500 {"code":"unexpected_failure","message":"Database error saving new user"}"#
    );
    assert_eq!(new.headers["x-sb-error-code"], "unexpected_failure");
    assert!(is_empty(&service).await);
}

#[tokio::test]
async fn a_raised_exception_shows_its_text_in_the_old_dialect_only() {
    let raise = "raise exception 'no <entry>' using hint = 'ask', detail = 'because';";
    let service = service_with(raise).await;
    let old = sign_up(&service, false).await;
    assert_eq!(
        old.shown(),
        "500 {\"code\":\"P0001\",\"message\":\"no \\u003centry\\u003e\",\"hint\":\"ask\",\"detail\":\"because\"}"
    );
    let new = sign_up(&service, true).await;
    assert_eq!(
        new.shown(),
        r#"500 {"code":"unexpected_failure","message":"Database error saving new user"}"#
    );
    assert!(is_empty(&service).await);
}

#[tokio::test]
async fn a_trigger_may_choose_the_status() {
    let service = service_with("raise sqlstate 'PT418' using message = 'teapot';").await;
    assert_eq!(sign_up(&service, false).await.shown(), r#"418 {"code":"PT418","message":"teapot"}"#);
    assert_eq!(sign_up(&service, true).await.status, 500);
}

#[tokio::test]
async fn other_ways_to_make_a_user_name_their_own_step() {
    let service = service_with("raise exception 'no';").await;
    let anonymous = service.post("/signup", json!({})).newer().send().await;
    assert_eq!(anonymous.json()["message"], "Database error creating anonymous user");
    let anonymous = service.post("/signup", json!({})).send().await;
    assert_eq!(
        anonymous.json()["code"],
        500,
        "a cause that is nested deeper stays hidden: {}",
        anonymous.body
    );
    let created =
        service.post("/admin/users", json!({"email": "a@b.c"})).bearer(service.admin()).newer().send().await;
    assert_eq!(created.json()["message"], "Database error creating new user");
    assert!(is_empty(&service).await);
}

#[tokio::test]
async fn a_later_failure_takes_the_whole_sign_up_with_it() {
    let service = service_with("return new;").await;
    service
        .sql(
            "create function public.refuse() returns trigger language plpgsql as $$ begin raise exception 'no session'; end $$;
             create trigger refuse before insert on auth.sessions for each row execute function public.refuse()",
        )
        .await;
    let answer = sign_up(&service, true).await;
    assert_eq!(
        answer.shown(),
        r#"500 {"code":"unexpected_failure","message":"Database error granting user"}"#
    );
    assert!(is_empty(&service).await);
}

thread_local! {
    /// What was logged on this thread, on which the whole of a test runs.
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct OfThread;

impl Write for OfThread {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_names_the_function_and_its_error_in_full() {
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(|| OfThread).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let service = service_with("insert into profiles (id) values (new.id); return new;").await;
    assert_eq!(sign_up(&service, true).await.status, 500);
    let text = LOG.with_borrow(|log| String::from_utf8(log.clone()).unwrap());
    let line = text.lines().find(|line| line.contains("ERROR")).unwrap_or_else(|| panic!("{text}"));
    for part in [
        "Database error saving new user",
        "request_id=request-1",
        "sqlstate=\"42P01\"",
        "cause=relation \"profiles\" does not exist",
        "function=\"public.handle_new_user()\"",
        "PL/pgSQL function public.handle_new_user() line 1 at SQL statement",
        "write the schema in front of the name",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

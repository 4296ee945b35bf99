//! What nobody needs any more goes, a little after each change.

use std::time::Duration;

use serde_json::json;

use crate::service::{Service, config};

const STALE: &str = "
    update auth.refresh_tokens set revoked = true, updated_at = now() - interval '25 hours' where revoked;
    insert into auth.sessions (id, user_id, created_at, not_after)
        select gen_random_uuid(), id, now() - interval '5 days', now() - interval '4 days' from auth.users;
    insert into auth.flow_state (id, auth_code, code_challenge_method, code_challenge, provider_type, created_at,
            authentication_method)
        select gen_random_uuid(), n::text, 's256', 'x', 'email', now() - interval '25 hours', 'otp'
        from generate_series(1, 150) n;
    insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at)
        select gen_random_uuid(), id, 'totp', 'unverified', now() - interval '25 hours', now() from auth.users;
    insert into auth.users (id, instance_id, is_anonymous, created_at)
        values (gen_random_uuid(), '00000000-0000-0000-0000-000000000000', true, now() - interval '31 days')";

const LEFT: &str = "select (select count(*) from auth.refresh_tokens where revoked)
    || ' ' || (select count(*) from auth.sessions where not_after is not null)
    || ' ' || (select count(*) from auth.flow_state) || ' ' || (select count(*) from auth.mfa_factors)
    || ' ' || (select count(*) from auth.users)";

/// Changes, each with a moment for what follows it.
async fn changes(service: &Service, count: usize) {
    for _ in 0..count {
        let body = json!({"email": "nobody@x.test"});
        assert_eq!(service.post("/recover", body).send().await.status, 200);
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

#[tokio::test]
async fn changes_take_stale_rows_away_in_turns() {
    let mut config = config();
    config.cleanup = true;
    config.external.anonymous_users_enabled = true;
    let service = Service::start_running(config).await;
    let session = service.sign_up("ann@x.test").await;
    let current = service.refresh(&session["refresh_token"]).await.json();
    service.sql(STALE).await;
    assert_eq!(service.sql(LEFT).await, "1 1 150 1 2");
    changes(&service, 10).await;
    // A hundred at a time.
    assert_eq!(service.sql(LEFT).await, "0 0 50 0 1");
    changes(&service, 10).await;
    assert_eq!(service.sql(LEFT).await, "0 0 0 0 1");
    assert_eq!(service.refresh(&current["refresh_token"]).await.status, 200);
}

#[tokio::test]
async fn nothing_goes_unless_it_is_switched_on() {
    let service = Service::start_running(config()).await;
    service.sign_up("ann@x.test").await;
    service.sql(STALE).await;
    changes(&service, 12).await;
    assert_eq!(service.sql(LEFT).await, "0 1 150 1 2");
}

#[tokio::test]
async fn idle_and_old_sessions_end_where_there_are_limits() {
    let mut config = config();
    config.cleanup = true;
    config.sessions.timebox = Some(Duration::from_secs(7200));
    config.sessions.inactivity_timeout = Some(Duration::from_secs(3600));
    let service = Service::start_running(config).await;
    for user in ["old", "idle", "unused", "fresh"] {
        service.sign_up(&format!("{user}@x.test")).await;
    }
    let of = |user: &str| format!("(select id from auth.users where email = '{user}@x.test')");
    service
        .sql(&format!(
            "update auth.sessions set created_at = now() - interval '27 hours', refreshed_at = now() at time zone 'utc'
                 where user_id = {};
             update auth.sessions set refreshed_at = (now() - interval '26 hours') at time zone 'utc' where user_id = {};
             update auth.refresh_tokens set updated_at = now() - interval '26 hours' where user_id::uuid = {}",
            of("old"),
            of("idle"),
            of("unused")
        ))
        .await;
    changes(&service, 13).await;
    let left = service
        .sql("select string_agg(email, ' ') from auth.users u join auth.sessions s on s.user_id = u.id")
        .await;
    assert_eq!(left, "fresh@x.test");
}

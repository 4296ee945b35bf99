use serde_json::{Value, json};

use crate::service::{Service, config, config_with_confirmation};

fn token(session: &Value) -> &str {
    session["access_token"].as_str().unwrap()
}

#[tokio::test]
async fn a_user_reads_their_own_account() {
    let service = Service::start().await;
    let session = service.sign_up("ada@example.com").await;
    let answer = service.get("/user").bearer(token(&session)).send().await;
    assert_eq!(
        answer.shown(),
        "200 {\"id\":\"[id]\",\"aud\":\"authenticated\",\"role\":\"authenticated\",\"email\":\"ada@example.com\",\
         \"email_confirmed_at\":\"[time]\",\"phone\":\"\",\"confirmed_at\":\"[time]\",\"last_sign_in_at\":\"[time]\",\
         \"app_metadata\":{\"provider\":\"email\",\"providers\":[\"email\"]},\
         \"user_metadata\":{\"email\":\"ada@example.com\",\"email_verified\":true,\"phone_verified\":false,\
         \"sub\":\"[id]\"},\"identities\":[{\"identity_id\":\"[id]\",\"id\":\"[id]\",\"user_id\":\"[id]\",\
         \"identity_data\":{\"email\":\"ada@example.com\",\"email_verified\":false,\"phone_verified\":false,\
         \"sub\":\"[id]\"},\"provider\":\"email\",\"last_sign_in_at\":\"[time]\",\"created_at\":\"[time]\",\
         \"updated_at\":\"[time]\",\"email\":\"ada@example.com\"}],\"created_at\":\"[time]\",\
         \"updated_at\":\"[time]\",\"is_anonymous\":false}"
    );
}

#[tokio::test]
async fn metadata_is_merged_key_by_key_and_null_deletes() {
    let service = Service::start().await;
    let session = service.sign_up("ada@example.com").await;
    let change = |data: Value| service.put("/user", json!({"data": data})).bearer(token(&session)).send();
    change(json!({"a": 1, "b": {"c": 2}})).await;
    let answer = change(json!({"a": null, "b": {"d": 3.50}})).await.json();
    assert_eq!(answer["user_metadata"].get("a"), None);
    assert_eq!(answer["user_metadata"]["b"], json!({"d": 3.5}));
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let service = Service::start().await;
    let session = service.sign_up("ada@example.com").await;
    let other = service.sign_in("ada@example.com").await;
    let same =
        service.put("/user", json!({"password": "secret1"})).bearer(token(&session)).newer().send().await;
    assert_eq!(
        same.shown(),
        r#"422 {"code":"same_password","message":"New password should be different from the old password."}"#
    );
    let changed = service.put("/user", json!({"password": "secret2"})).bearer(token(&session)).send().await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(service.get("/user").bearer(token(&session)).send().await.status, 200);
    assert_eq!(service.get("/user").bearer(token(&other)).send().await.status, 403);
    let grant = json!({"email": "ada@example.com", "password": "secret2"});
    assert_eq!(service.post("/token?grant_type=password", grant).send().await.status, 200);
}

#[tokio::test]
async fn a_taken_address_and_foreign_rights_are_refused() {
    let service = Service::start().await;
    let session = service.sign_up("ada@example.com").await;
    service.sign_up("bob@example.com").await;
    let change = |body: Value| service.put("/user", body).bearer(token(&session)).newer().send();
    assert_eq!(
        change(json!({"email": "BOB@example.com"})).await.shown(),
        "422 {\"code\":\"email_exists\",\"message\":\"A user with this email address has already been registered\"}"
    );
    assert_eq!(
        change(json!({"app_metadata": {"admin": true}})).await.shown(),
        r#"403 {"code":"not_admin","message":"Updating app_metadata requires admin privileges"}"#
    );
}

#[tokio::test]
async fn a_user_with_a_factor_needs_it_to_change_the_password() {
    let service = Service::start().await;
    let session = service.sign_up("ada@example.com").await;
    service
        .sql(
            "insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at)
             select gen_random_uuid(), id, 'totp', 'verified', now(), now() from auth.users",
        )
        .await;
    let change =
        || service.put("/user", json!({"password": "secret2"})).bearer(token(&session)).newer().send();
    let refused = change().await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (401, Some("insufficient_aal")));
    service.sql("update auth.sessions set aal = 'aal2'").await;
    let changed = change().await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.json()["factors"][0]["factor_type"], "totp");
}

#[tokio::test]
async fn a_change_of_address_waits_for_both_addresses() {
    let service = Service::start_with(config_with_confirmation()).await;
    service.sign_up("ada@example.com").await;
    service.sql("update auth.users set email_confirmed_at = now()").await;
    let session = service.sign_in("ada@example.com").await;
    let asked =
        service.put("/user", json!({"email": "new@example.com"})).bearer(token(&session)).send().await.json();
    assert_eq!(
        (asked["email"].as_str(), asked["new_email"].as_str()),
        (Some("ada@example.com"), Some("new@example.com"))
    );
    let hash = async |kind: &str| {
        service.sql(&format!("select token_hash from auth.one_time_tokens where token_type = '{kind}'")).await
    };
    let click = async |hash: String| {
        service.post("/verify", json!({"type": "email_change", "token_hash": hash})).send().await
    };
    let first = click(hash("email_change_token_new").await).await;
    assert_eq!(
        first.shown(),
        "200 {\"code\":\"200\",\"msg\":\"Confirmation link accepted. Please proceed to confirm link sent to the other \
         email\"}"
    );
    let second = click(hash("email_change_token_current").await).await.json();
    assert_eq!(second["user"]["email"], "new@example.com");
    assert_eq!(second["user"]["identities"][0]["identity_data"]["email"], "new@example.com");
}

#[tokio::test]
async fn an_old_session_needs_a_nonce_for_a_new_password_where_that_is_asked_for() {
    let mut config = config();
    config.security.update_password_require_reauthentication = true;
    let service = Service::start_with(config).await;
    let session = service.sign_up("ada@example.com").await;
    service.sql("update auth.sessions set created_at = now() - interval '25 hours'").await;
    let change = |body: Value| service.put("/user", body).bearer(token(&session)).newer().send();
    assert_eq!(
        change(json!({"password": "secret2"})).await.shown(),
        r#"400 {"code":"reauthentication_needed","message":"Password update requires reauthentication"}"#
    );
    let asked = service.get("/reauthenticate").bearer(token(&session)).send().await;
    assert_eq!(asked.shown(), "200 {}");
    let wrong = change(json!({"password": "secret2", "nonce": "000000"})).await;
    assert_eq!(wrong.json()["code"], "reauthentication_not_valid");
    service
        .sql(
            "update auth.users set reauthentication_token = encode(sha224(convert_to(email || '123456', 'utf8')), 'hex')",
        )
        .await;
    let right = change(json!({"password": "secret2", "nonce": "123456"})).await;
    assert_eq!(right.status, 200, "{}", right.body);
    let again = change(json!({"password": "secret3", "nonce": "123456"})).await;
    assert_eq!(again.json()["code"], "reauthentication_not_valid", "a nonce works once");
}

#[tokio::test]
async fn a_new_password_needs_the_one_before_where_that_is_asked_for() {
    let mut config = config();
    config.security.update_password_require_current_password = true;
    let service = Service::start_with(config).await;
    let session = service.sign_up("ada@example.com").await;
    let change = |body: Value| service.put("/user", body).bearer(token(&session)).newer().send();
    for (body, code) in [
        (json!({"password": "secret2"}), "current_password_required"),
        (json!({"password": "secret2", "current_password": "secret3"}), "current_password_invalid"),
        (json!({"password": "secret1", "current_password": "secret1"}), "same_password"),
    ] {
        assert_eq!(change(body).await.json()["code"], code);
    }
    let changed = change(json!({"password": "secret2", "current_password": "secret1"})).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    // Who has forgotten it comes by a link or a code.
    service.sql("update auth.mfa_amr_claims set authentication_method = 'otp'").await;
    assert_eq!(change(json!({"password": "secret3"})).await.status, 200);
}

#[tokio::test]
async fn a_user_gives_up_one_of_two_identities_but_not_the_last() {
    let mut config = config();
    config.security.manual_linking_enabled = true;
    config.sms.autoconfirm = true;
    let service = Service::start_with(config).await;
    let session = service.sign_up("ada@example.com").await;
    service.put("/user", json!({"phone": "15550001"})).bearer(token(&session)).send().await;
    let user = service.get("/user").bearer(token(&session)).send().await.json();
    let identity = |provider: &str| {
        let identities = user["identities"].as_array().unwrap();
        let found = identities.iter().find(|identity| identity["provider"] == provider).unwrap();
        found["identity_id"].as_str().unwrap().to_owned()
    };
    let unlink = |id: String| {
        service.request("DELETE", &format!("/user/identities/{id}")).bearer(token(&session)).newer().send()
    };
    assert_eq!(unlink(identity("phone")).await.shown(), "200 {}");
    let left = service.get("/user").bearer(token(&session)).send().await.json();
    assert_eq!(
        (left["phone"].as_str(), left["app_metadata"]["providers"].clone()),
        (Some(""), json!(["email"]))
    );
    assert_eq!(
        unlink(identity("email")).await.shown(),
        "422 {\"code\":\"single_identity_not_deletable\",\
         \"message\":\"User must have at least 1 identity after unlinking\"}"
    );
}

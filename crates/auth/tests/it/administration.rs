use serde_json::{Value, json};

use crate::service::{Answer, Service, config_with_confirmation};

async fn create(service: &Service, body: Value) -> Answer {
    service.post("/admin/users", body).bearer(service.admin()).newer().send().await
}

async fn update(service: &Service, user: &Value, body: Value) -> Answer {
    let path = format!("/admin/users/{}", user["id"].as_str().unwrap());
    service.put(&path, body).bearer(service.admin()).newer().send().await
}

#[tokio::test]
async fn an_administrator_creates_a_confirmed_user_who_can_sign_in() {
    let service = Service::start_with(config_with_confirmation()).await;
    let body = json!({
        "email": "Ada@example.com", "password": "secret1", "email_confirm": true,
        "user_metadata": {"name": "Ada"}, "app_metadata": {"roles": ["a"]},
    });
    assert_eq!(
        create(&service, body).await.shown(),
        "200 {\"id\":\"[id]\",\"aud\":\"authenticated\",\"role\":\"authenticated\",\"email\":\"ada@example.com\",\
         \"email_confirmed_at\":\"[time]\",\"phone\":\"\",\
         \"app_metadata\":{\"provider\":\"email\",\"providers\":[\"email\"],\"roles\":[\"a\"]},\
         \"user_metadata\":{\"email_verified\":true,\"name\":\"Ada\"},\
         \"identities\":[{\"identity_id\":\"[id]\",\"id\":\"[id]\",\"user_id\":\"[id]\",\
         \"identity_data\":{\"email\":\"ada@example.com\",\"email_verified\":false,\"phone_verified\":false,\
         \"sub\":\"[id]\"},\"provider\":\"email\",\"last_sign_in_at\":\"[time]\",\"created_at\":\"[time]\",\
         \"updated_at\":\"[time]\",\"email\":\"ada@example.com\"}],\"created_at\":\"[time]\",\
         \"updated_at\":\"[time]\",\"is_anonymous\":false}"
    );
    service.sign_in("ada@example.com").await;
}

#[tokio::test]
async fn a_user_may_be_created_with_a_hash_and_an_id() {
    let service = Service::start().await;
    let hash = bcrypt::hash("from elsewhere", 4).unwrap();
    let id = "11111111-1111-4111-8111-111111111111";
    let body = json!({"id": id, "email": "a@b.c", "password_hash": hash, "email_confirm": true});
    assert_eq!(create(&service, body).await.json()["id"], id);
    let grant = json!({"email": "a@b.c", "password": "from elsewhere"});
    assert_eq!(service.post("/token?grant_type=password", grant).send().await.status, 200);
    let broken = create(&service, json!({"email": "b@b.c", "password_hash": "plain"})).await;
    assert_eq!(broken.shown(), r#"500 {"code":"unexpected_failure","message":"Error creating user"}"#);
}

#[tokio::test]
async fn what_is_wrong_with_a_new_user_is_said() {
    let service = Service::start().await;
    service.sign_up("ada@example.com").await;
    for (body, status, code, message) in [
        (json!({}), 400, "validation_failed", "Cannot create a user without either an email or phone"),
        (
            json!({"email": "ada@example.com"}),
            422,
            "email_exists",
            "A user with this email address has already been registered",
        ),
        (
            json!({"email": "a@b.c", "id": "x"}),
            400,
            "validation_failed",
            "ID must conform to the uuid v4 format",
        ),
        (
            json!({"email": "a@b.c", "password": "a", "password_hash": "b"}),
            400,
            "validation_failed",
            "Only a password or a password hash should be provided",
        ),
        (
            json!({"email": "a@b.c", "ban_duration": "long"}),
            400,
            "validation_failed",
            "invalid format for ban duration: time: invalid duration \"long\"",
        ),
        (
            json!({"email": "a@b.c", "password": "x".repeat(73)}),
            400,
            "validation_failed",
            "bcrypt: password length exceeds 72 bytes",
        ),
    ] {
        let answer = create(&service, body).await;
        assert_eq!(answer.json(), json!({"code": code, "message": message}));
        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn users_are_listed_by_page() {
    let service = Service::start().await;
    for name in ["a", "b", "c"] {
        service.sign_up(&format!("{name}@example.com")).await;
    }
    let list =
        |query: &str| service.get(&format!("/admin/users{query}")).bearer(service.admin()).newer().send();
    let first = list("?page=1&per_page=2").await;
    assert_eq!(first.headers["x-total-count"], "3");
    assert_eq!(
        first.headers["link"],
        "</admin/users?page=2&per_page=2>; rel=\"next\", </admin/users?page=2&per_page=2>; rel=\"last\""
    );
    let emails = |answer: &Answer| -> Vec<String> {
        let answer = answer.json();
        assert_eq!(answer["aud"], "authenticated");
        let users = answer["users"].as_array().unwrap().clone();
        assert!(users.iter().all(|user| user["identities"].is_null()), "identities are not listed");
        users.iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(emails(&first), ["c@example.com", "b@example.com"]);
    assert_eq!(emails(&list("?page=2&per_page=2").await), ["a@example.com"]);
    assert_eq!(emails(&list("?sort=created_at%20asc&filter=example").await).len(), 3);
    assert_eq!(emails(&list("?filter=b@").await), ["b@example.com"]);
    assert_eq!(list("?per_page=0").await.status, 400);
    assert_eq!(
        list("?sort=email").await.json()["message"],
        "Bad Sort Parameters: bad field for sort 'email'"
    );
}

#[tokio::test]
async fn an_update_may_ban_rename_and_promote() {
    let service = Service::start().await;
    let user = service.sign_up("ada@example.com").await["user"].clone();
    let banned = update(&service, &user, json!({"ban_duration": "24h"})).await.json();
    assert!(banned["banned_until"].is_string());
    let lifted = update(&service, &user, json!({"ban_duration": "none", "role": "boss"})).await.json();
    assert_eq!((lifted.get("banned_until"), lifted["role"].as_str()), (None, Some("boss")));
    let renamed = update(&service, &user, json!({"email": "New@example.com"})).await.json();
    assert_eq!(renamed["email"], "new@example.com");
    service.sign_in("new@example.com").await;
    service.sign_up("bob@example.com").await;
    let taken = update(&service, &user, json!({"email": "bob@example.com"})).await;
    assert_eq!(taken.shown(), r#"500 {"code":"unexpected_failure","message":"Error updating user"}"#);
}

#[tokio::test]
async fn a_deleted_user_is_gone_and_a_softly_deleted_one_is_unrecognisable() {
    let service = Service::start().await;
    let ada = service.sign_up("ada@example.com").await["user"]["id"].as_str().unwrap().to_owned();
    let bob = service.sign_up("bob@example.com").await["user"]["id"].as_str().unwrap().to_owned();
    let delete = |id: &str, body: &str| {
        service
            .request("DELETE", &format!("/admin/users/{id}"))
            .bearer(service.admin())
            .body(body.to_owned())
            .send()
    };
    assert_eq!(delete(&ada, "").await.shown(), "200 {}");
    assert_eq!(delete(&bob, r#"{"should_soft_delete":true}"#).await.shown(), "200 {}");
    assert_eq!(service.sql("select count(*) from auth.sessions").await, "0");
    assert_eq!(
        service
            .sql("select count(*) from auth.users where deleted_at is not null and email not like '%@%'")
            .await,
        "1"
    );
    assert_eq!(service.sql("select count(*) from auth.users").await, "1");
    let gone = service.get(&format!("/admin/users/{ada}")).bearer(service.admin()).newer().send().await;
    assert_eq!(gone.shown(), r#"404 {"code":"user_not_found","message":"User not found"}"#);
    service.sign_up("bob@example.com").await;
}

#[tokio::test]
async fn only_administrators_administrate() {
    let service = Service::start().await;
    let token = service.sign_up("ada@example.com").await["access_token"].as_str().unwrap().to_owned();
    for path in ["/admin/users", "/admin/audit", "/admin/nothing", "/admin"] {
        let stranger = service.get(path).newer().send().await;
        assert_eq!(
            (stranger.status, stranger.json()["code"].as_str()),
            (401, Some("no_authorization")),
            "{path}"
        );
        let user = service.get(path).bearer(&token).newer().send().await;
        assert_eq!(user.shown(), r#"403 {"code":"not_admin","message":"User not allowed"}"#, "{path}");
    }
}

#[tokio::test]
async fn the_audit_log_tells_who_did_what() {
    let service = Service::start().await;
    service.sign_up("ada@example.com").await;
    create(&service, json!({"email": "bob@example.com"})).await;
    let answer = service.get("/admin/audit?query=action:user_signedup").bearer(service.admin()).send().await;
    assert_eq!(
        answer.shown(),
        "200 [{\"id\":\"[id]\",\"payload\":{\"action\":\"user_signedup\",\"actor_id\":\"[id]\",\
         \"actor_username\":\"service_role\",\"actor_via_sso\":false,\"log_type\":\"team\",\
         \"traits\":{\"provider\":\"email\",\"user_email\":\"bob@example.com\",\"user_id\":\"[id]\",\
         \"user_phone\":\"\"}},\"created_at\":\"[time]\",\"ip_address\":\"\"},\
         {\"id\":\"[id]\",\"payload\":{\"action\":\"user_signedup\",\"actor_id\":\"[id]\",\
         \"actor_username\":\"ada@example.com\",\"actor_via_sso\":false,\"log_type\":\"team\",\
         \"traits\":{\"provider\":\"email\"}},\"created_at\":\"[time]\",\"ip_address\":\"\"}]"
    );
    assert_eq!(answer.headers["x-total-count"], "2");
}

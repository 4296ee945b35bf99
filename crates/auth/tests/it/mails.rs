//! Mails: who receives which, what is in them, and what happens when they cannot be sent.

use std::time::Duration;

use mail::{Kind, Source};
use serde_json::{Value, json};

use crate::outside::{Post, StandIn, json as answer};
use crate::service::{Service, config_with_confirmation};
use crate::totp;

async fn with_post() -> (Post, Service) {
    let post = Post::open().await;
    let mut config = post.configure(config_with_confirmation());
    config.smtp.max_frequency = Duration::ZERO;
    let service = Service::start_with(config).await;
    (post, service)
}

#[tokio::test]
async fn a_sign_up_is_confirmed_by_the_link_in_its_mail() {
    let (post, service) = with_post().await;
    let pending = service.sign_up("ann@x.test").await;
    assert!(pending.get("access_token").is_none(), "{pending}");
    let mail = post.to("ann@x.test").await;
    assert_eq!(mail.subject(), "Confirm Your Email");
    assert_eq!(mail.0["From"], json!({"Name": "The Team", "Address": "team@site.test"}));
    assert_eq!(service.sql("select count(*) from _monobase.mail_outbox").await, "0");
    let answer = service.get(&mail.link()).send().await;
    assert_eq!(answer.status, 303);
    assert!(answer.headers["location"].starts_with("http://localhost:3000#access_token="), "{answer:?}");
    service.sign_in("ann@x.test").await;
}

#[tokio::test]
async fn codes_and_links_of_every_flow_arrive() {
    let (post, service) = with_post().await;
    service.sign_up("ann@x.test").await;
    let verify = async |kind: &str, address: &str, code: String| {
        let body = json!({"type": kind, "email": address, "token": code});
        let answer = service.post("/verify", body).send().await;
        assert_eq!(answer.status, 200, "{kind}: {}", answer.body);
        answer.json()
    };
    let code = post.to("ann@x.test").await.code();
    let session = verify("signup", "ann@x.test", code).await;
    let token = session["access_token"].as_str().unwrap();

    for (path, kind, subject) in [
        ("/recover", "recovery", "Reset Your Password"),
        ("/otp", "email", "Your Magic Link"),
        ("/magiclink", "magiclink", "Your Magic Link"),
    ] {
        assert_eq!(service.post(path, json!({"email": "ann@x.test"})).send().await.status, 200);
        let mail = post.to("ann@x.test").await;
        assert_eq!(mail.subject(), subject);
        verify(kind, "ann@x.test", mail.code()).await;
    }

    assert_eq!(service.get("/reauthenticate").bearer(token).send().await.status, 200);
    let mail = post.to("ann@x.test").await;
    assert_eq!((mail.subject(), mail.code().len()), ("Confirm reauthentication", 6));

    let invited =
        service.post("/invite", json!({"email": "bob@x.test"})).bearer(service.admin()).send().await;
    assert_eq!(invited.status, 200);
    let mail = post.to("bob@x.test").await;
    assert_eq!(mail.subject(), "You have been invited");
    assert_eq!(service.get(&mail.link()).send().await.status, 303);

    let changed = service.put("/user", json!({"email": "new@x.test"})).bearer(token).send().await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let (old, new) = (post.to("ann@x.test").await, post.to("new@x.test").await);
    assert_eq!((old.subject(), new.subject()), ("Confirm Email Change", "Confirm Email Change"));
    assert!(new.html().contains("from ann@x.test to new@x.test"), "{}", new.html());
    assert_eq!(verify("email_change", "ann@x.test", old.code()).await["code"], "200");
    assert_eq!(verify("email_change", "new@x.test", new.code()).await["user"]["email"], "new@x.test");
}

#[tokio::test]
async fn projects_have_their_own_templates_subjects_and_headers() {
    let post = Post::open().await;
    let mut config = post.configure(config_with_confirmation());
    let templates = &mut config.mailer.templates;
    templates.subjects.insert(Kind::Confirmation, "Hi {{ .Data.name }} & welcome".into());
    let body = "<!-- x --><a href=\"{{ .SiteURL }}/go?token_hash={{ .TokenHash }}&next={{ .RedirectTo }}\">{{ .Data.name }}</a>";
    templates.bodies.insert(Kind::Confirmation, Source::Text(body.into()));
    config.smtp.headers.insert("X-Kind".into(), vec!["auth-$messageType".into()]);
    let service = Service::start_with(config).await;
    let body = json!({"email": "ann@x.test", "password": "secret1", "data": {"name": "<Ann>"}});
    let answer = service.post("/signup?redirect_to=http://localhost:3000/a?b=1", body).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mail = post.to("ann@x.test").await;
    // Subjects are escaped like HTML, as in the original.
    assert_eq!(mail.subject(), "Hi &lt;Ann&gt; & welcome");
    assert_eq!(mail.1["X-Kind"], json!(["auth-confirmation"]));
    let hash = service.sql("select confirmation_token from auth.users").await;
    assert_eq!(
        mail.html().trim_end(),
        format!(
            "<a href=\"http://localhost:3000/go?token_hash={hash}&next=http%3a%2f%2flocalhost%3a3000%2fa%3fb%3d1\">&lt;Ann&gt;</a>"
        )
    );
}

#[tokio::test]
async fn a_template_that_does_not_fit_fails_the_request_and_leaves_nothing() {
    let post = Post::open().await;
    let mut config = post.configure(config_with_confirmation());
    config
        .mailer
        .templates
        .bodies
        .insert(Kind::Confirmation, Source::Text("{{ index .Data.list 7 }}".into()));
    let service = Service::start_with(config).await;
    let body = json!({"email": "ann@x.test", "password": "secret1"});
    let answer = service.post("/signup", body).newer().send().await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (500, r#"{"code":"unexpected_failure","message":"Error sending confirmation email"}"#)
    );
    assert_eq!(service.sql("select count(*) from auth.users").await, "0");
}

#[tokio::test]
async fn an_unreachable_mail_server_is_a_500_and_the_mail_is_sent_when_it_is_back() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut config = config_with_confirmation();
    config.smtp.host = "127.0.0.1".into();
    config.smtp.port = port;
    config.smtp.admin_email = "team@site.test".into();
    let database = testkit::database().await;
    let keys = tokens::KeyRing::new(tokens::KeySet::from_secret(crate::service::SECRET).unwrap());
    let service = Service::start_on(database, config.clone()).await;
    let body = json!({"email": "ann@x.test", "password": "secret1"});
    let answer = service.post("/signup", body.clone()).newer().send().await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (500, r#"{"code":"unexpected_failure","message":"Error sending confirmation email"}"#)
    );
    assert_eq!(service.sql("select attempts from _monobase.mail_outbox").await, "1");
    // Another mail within the pause is refused, as ever.
    assert_eq!(service.post("/signup", body).send().await.status, 429);

    let post = Post::on(tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap(), port);
    service.sql("update _monobase.mail_outbox set due_at = now()").await;
    // Another process on the same database takes the mail up.
    let other =
        auth::Service::start(config, service.database.pool("supabase_auth_admin"), keys, None).unwrap();
    tokio::time::timeout(Duration::from_secs(30), async {
        while post.count().await == 0 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await
    .unwrap();
    other.stop().await;
    let mail = post.to("ann@x.test").await;
    assert_eq!(service.sql("select count(*) from _monobase.mail_outbox").await, "0");
    assert_eq!(service.get(&mail.link()).send().await.status, 303);
}

#[tokio::test]
async fn a_newer_mail_replaces_one_that_still_waits() {
    let mut config = config_with_confirmation();
    config.smtp.host = "127.0.0.1".into();
    config.smtp.port = 1;
    config.smtp.admin_email = "team@site.test".into();
    config.smtp.max_frequency = Duration::ZERO;
    let service = Service::start_with(config).await;
    for _ in 0..2 {
        let body = json!({"email": "ann@x.test", "password": "secret1"});
        assert_eq!(service.post("/signup", body).send().await.status, 500);
    }
    assert_eq!(service.sql("select count(*) from _monobase.mail_outbox").await, "1");
    let hash = service.sql("select confirmation_token from auth.users").await;
    assert!(service.sql("select letter ->> 'html' from _monobase.mail_outbox").await.contains(&hash));
}

#[tokio::test]
async fn a_changed_password_is_told() {
    let post = Post::open().await;
    let mut config = post.configure(crate::service::config());
    config.mailer.notifications.insert(Kind::PasswordChanged);
    let service = Service::start_with(config).await;
    let session = service.sign_up("ann@x.test").await;
    let token = session["access_token"].as_str().unwrap();
    let answer = service.put("/user", json!({"password": "another1"})).bearer(token).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mail = post.to("ann@x.test").await;
    assert_eq!(mail.subject(), "Your password has been changed");
    assert!(mail.html().contains("ann@x.test"));
}

#[tokio::test]
async fn changes_are_told_once_they_are_done() {
    let post = Post::open().await;
    let mut config = post.configure(crate::service::config());
    config.smtp.max_frequency = Duration::ZERO;
    config.mailer.notifications = Kind::ALL.into_iter().filter(|kind| kind.is_notification()).collect();
    config.security.manual_linking_enabled = true;
    config.external.phone_enabled = true;
    config.sms.autoconfirm = true;
    let service = Service::start_with(config).await;
    let session = service.sign_up("ann@x.test").await;
    let token = session["access_token"].as_str().unwrap();
    let told = async |subject: &str, text: &str| {
        let mail = post.to("ann@x.test").await;
        assert_eq!(mail.subject(), subject);
        assert!(mail.html().contains(text), "{}", mail.html());
    };
    let change = async |body: Value| {
        let answer = service.put("/user", body).bearer(token).send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    change(json!({"phone": "+15550001"})).await;
    told("A new sign-in method was linked to your account", "phone").await;
    let user = change(json!({"phone": "+15550002"})).await;
    told("Your phone number was changed", "15550001 but 15550002").await;

    let factor = json!({"factor_type": "totp", "friendly_name": "app"});
    let factor = service.post("/factors", factor).bearer(token).send().await.json();
    let path = format!("/factors/{}", factor["id"].as_str().unwrap());
    let asked = service.post(&format!("{path}/challenge"), json!({})).bearer(token).send().await.json();
    let verify = async |code: &str| {
        let body = json!({"challenge_id": asked["id"], "code": code});
        service.post(&format!("{path}/verify"), body).bearer(token).send().await
    };
    // What failed is not told.
    assert_eq!(verify("000000").await.status, 422);
    let stepped_up = verify(&totp::now(factor["totp"]["secret"].as_str().unwrap())).await.json();
    told("A new verification method was added to your account", "(totp)").await;
    let token = stepped_up["access_token"].as_str().unwrap();
    assert_eq!(service.request("DELETE", &path).bearer(token).send().await.status, 200);
    told("A verification method was removed from your account", "(totp)").await;

    let phone = user["identities"].as_array().unwrap().iter().find(|one| one["provider"] == "phone").unwrap();
    let path = format!("/user/identities/{}", phone["identity_id"].as_str().unwrap());
    assert_eq!(service.request("DELETE", &path).bearer(token).send().await.status, 200);
    told("A sign-in method was removed from your account", "phone").await;

    let body = json!({"email": "ann@y.test"});
    assert_eq!(service.put("/user", body).bearer(token).send().await.status, 200);
    let link = post.to("ann@y.test").await.link();
    // The old address is asked, too; a project that confirms addresses itself needs one of the two.
    post.to("ann@x.test").await;
    assert_eq!(service.get(&link).send().await.status, 303);
    told("Your email address was changed", "no longer belongs to ann@x.test but to ann@y.test").await;
}

#[tokio::test]
async fn nobody_else_reads_the_outbox() {
    let (_post, service) = with_post().await;
    for role in ["anon", "authenticated", "service_role", "authenticator"] {
        let sql = format!("select has_table_privilege('{role}', '_monobase.mail_outbox', 'select')::text");
        assert_eq!(service.sql(&sql).await, "false", "{role}");
    }
}

#[tokio::test]
async fn addresses_can_be_looked_at_before_mail_goes_there() {
    let stand_in = StandIn::answering(&[&answer(r#"{"valid": false}"#), "500 Oops", &answer("{}")]).await;
    let mut config = config_with_confirmation();
    config.mailer.address_checks.service_url = stand_in.url.clone();
    config.mailer.address_checks.service_headers = [("x-key".to_owned(), vec!["secret".to_owned()])].into();
    let service = Service::start_with(config.clone()).await;
    let sign_up = async |service: &Service, email: &str| {
        let body = json!({"email": email, "password": "secret1"});
        service.post("/signup", body).newer().send().await
    };
    let refused = sign_up(&service, "ann@example.com").await;
    let shown = "400 {\"code\":\"email_address_invalid\",\"message\":\"Email address \\\"ann@example.com\\\" is invalid\"}";
    assert_eq!(refused.shown(), shown);
    assert_eq!(service.sql("select count(*) from auth.users").await, "0");
    // A service that fails or says nothing has nothing against it.
    assert_eq!(sign_up(&service, "ann@example.com").await.status, 200);
    assert_eq!(sign_up(&service, "bob@example.com").await.status, 200);
    let asked = stand_in.asked().remove(0);
    assert!(asked.contains("x-key: secret") && asked.ends_with(r#"{"email":"ann@example.com"}"#), "{asked}");
    config.mailer.address_checks.extended = true;
    let strict = service.beside(config).await;
    assert_eq!(sign_up(&strict, "eve@example.com").await.shown(), shown.replace("ann", "eve"));
    assert_eq!(stand_in.asked().len(), 3);
}

use serde_json::{Value, json};

use crate::service::{ANNA, Service, config, no_object, refused};

/// The claims of a compact token.
fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap())
        .unwrap()
}

fn token(url: &str) -> &str {
    url.split_once("?token=").unwrap().1
}

#[tokio::test]
async fn a_signed_url_opens_one_object_for_a_while() {
    let service = Service::open().await;
    service.put("b/f/a%20%26%20b.txt", "content").await;
    service.put("b/other", "other").await;
    let signed = service
        .post("/object/sign/b/f/a%20%26%20b.txt", json!({"expiresIn": "60"}))
        .anon(&service)
        .send()
        .await
        .json();
    let url = signed["signedURL"].as_str().unwrap();
    assert!(url.starts_with("/object/sign/b/f/a & b.txt?token="), "{url}");
    let claimed = claims(token(url));
    assert_eq!((&claimed["url"], &claimed["role"]), (&json!("b/f/a & b.txt"), &Value::Null));
    assert_eq!(claimed["exp"].as_u64().unwrap() - claimed["iat"].as_u64().unwrap(), 60);

    let path = format!("/object/sign/b/f/a%20%26%20b.txt?token={}", token(url));
    let read = service.get(&path).send().await;
    assert_eq!((read.status, read.text().as_str(), read.header("cache-control")), (200, "content", ""));
    assert!(read.header("expires").ends_with("GMT"));
    let named = service.get(&format!("{path}&download=x.txt")).send().await;
    assert_eq!(named.header("content-disposition"), "attachment; filename=x.txt; filename*=UTF-8''x.txt");

    let invalid = refused(400, "400", "InvalidSignature", "Invalid signature");
    let other = service.get(&format!("/object/sign/b/other?token={}", token(url))).send().await;
    assert_eq!(other.refusal(), invalid);
    let none = service.get("/object/sign/b/other").send().await;
    assert_eq!(
        none.refusal(),
        refused(400, "400", "Error", "querystring must have required property 'token'")
    );
    let expired = service.sign(json!({"url": "b/other", "exp": 1}));
    let answer = service.get(&format!("/object/sign/b/other?token={expired}")).send().await;
    assert_eq!(answer.refusal(), refused(400, "400", "InvalidJWT", "\"exp\" claim timestamp check failed"));
    // A URL is no API token, and one for reading does not write.
    let api = service.get("/object/authenticated/b/other").bearer(token(url)).send().await;
    assert_eq!(api.status, 200, "as anon, for whom everything is open here");
    let write =
        service.request("PUT", &format!("/object/upload/sign/b/f/a%20%26%20b.txt?token={}", token(url)));
    assert_eq!(write.body("x").send().await.refusal(), invalid);
    // A token of the project with a fitting claim works: other programs sign with the same secret.
    let foreign = service.sign(json!({"url": "b/other", "exp": 99_999_999_999_u64}));
    assert_eq!(service.get(&format!("/object/sign/b/other?token={foreign}")).send().await.text(), "other");
}

#[tokio::test]
async fn a_url_for_a_thumbnail_does_not_open_the_original() {
    let plain = Service::open().await;
    let mut config = config();
    config.images.enabled = true;
    let service = Service::start_with(config).await;
    service.bucket("b", json!({})).await;
    service.put("b/a", "a").await;
    plain.put("b/a", "a").await;
    let sign = async |service: &Service, transform: Value| {
        let body = json!({"expiresIn": 60, "transform": transform});
        let answer = service.post("/object/sign/b/a", body).admin(service).send().await.json();
        answer["signedURL"].as_str().unwrap().to_owned()
    };
    let url = sign(&service, json!({"width": 10})).await;
    assert!(url.starts_with("/render/image/sign/b/a?token="), "{url}");
    assert_eq!(claims(token(&url))["transformations"], "width:10,resize:undefined");
    let opened = service.get(&format!("/object/sign/b/a?token={}", token(&url))).send().await;
    assert_eq!(opened.refusal(), refused(400, "400", "InvalidSignature", "Invalid signature"));
    // Without any effect, and where nothing is transformed, it is the object's own.
    for (service, transform) in [(&service, json!({"format": "origin"})), (&plain, json!({"width": 10}))] {
        let url = sign(service, transform).await;
        assert!(url.starts_with("/object/sign/b/a?token="), "{url}");
        assert_eq!(service.get(&url).send().await.text(), "a");
    }
}

#[tokio::test]
async fn many_are_signed_at_once() {
    let service = Service::open().await;
    service.put("b/a", "1").await;
    let answer = service
        .post("/object/sign/b", json!({"expiresIn": 60, "paths": ["a", "none"]}))
        .anon(&service)
        .send()
        .await;
    let rows = answer.json();
    assert_eq!((&rows[0]["error"], &rows[0]["path"]), (&Value::Null, &json!("a")));
    assert!(rows[0]["signedURL"].as_str().unwrap().starts_with("/object/sign/b/a?token="));
    let message = "Either the object does not exist or you do not have access to it";
    assert_eq!(rows[1], json!({"error": message, "path": "none", "signedURL": null}));
    let bad = service.post("/object/sign/b/a", json!({"expiresIn": 0})).anon(&service).send().await;
    assert_eq!(bad.refusal(), refused(400, "400", "Error", "body/expiresIn must be >= 1"));
    let none = service.post("/object/sign/b/none", json!({"expiresIn": 1})).anon(&service).send().await;
    assert_eq!(none.refusal(), no_object());
}

#[tokio::test]
async fn an_upload_url_lets_its_holder_write_once_or_again() {
    let service = Service::open().await;
    let grant = async |upsert: &str| {
        let request = service.post("/object/upload/sign/b/up.txt", json!({})).bearer(service.user(ANNA));
        request.header("x-upsert", upsert).send().await.json()
    };
    let once = grant("false").await;
    let token = once["token"].as_str().unwrap();
    assert_eq!(once["url"], format!("/object/upload/sign/b/up.txt?token={token}"));
    let claimed = claims(token);
    assert_eq!(
        json!([claimed["owner"], claimed["url"], claimed["upsert"]]),
        json!([ANNA, "b/up.txt", false])
    );
    let put = async |token: &str, body: &str| {
        let path = format!("/object/upload/sign/b/up.txt?token={token}");
        service.request("PUT", &path).header("content-type", "text/plain").body(body).send().await
    };
    let first = put(token, "1").await;
    assert_eq!((first.status, first.json()), (200, json!({"Key": "b/up.txt"})));
    assert_eq!(service.sql("select owner_id from storage.objects").await, ANNA);
    assert_eq!(
        put(token, "2").await.refusal(),
        refused(400, "409", "Duplicate", "The resource already exists")
    );
    // The key is taken: no more grants without the right to replace.
    let taken = grant("false").await;
    assert_eq!(taken["error"], "Duplicate");
    let again = grant("true").await;
    assert_eq!(put(again["token"].as_str().unwrap(), "3").await.status, 200);
    assert_eq!(service.content("b/up.txt").await.as_deref(), Some("3"));
}

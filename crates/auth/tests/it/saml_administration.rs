//! The list of identity providers, as administrators keep it.

use serde_json::{Value, json};

use crate::saml::{admin, register, start, usual};
use crate::saml_provider::{EC_CERTIFICATE, EMAIL, ENTITY_ID, RSA_CERTIFICATE, metadata, usual_metadata};
use crate::service::{Answer as Http, Service};

#[tokio::test]
async fn administrators_keep_the_list_of_providers() {
    let service = Service::start_with(usual()).await;
    let body = json!({
        "type": "saml", "metadata_xml": usual_metadata(), "domains": ["example.com", "example.org"],
        "resource_id": "Acme", "attribute_mapping": {"keys": {"a": {"name": "b"}}}, "name_id_format": EMAIL,
    });
    let created = admin(&service, "POST", "", body.clone()).await;
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let xml = serde_json::to_string(&usual_metadata()).unwrap();
    let xml = xml.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let shown = |xml: &str, rest: &str| {
        format!(
            "{{\"id\":\"{id}\",{rest}\"saml\":{{\"entity_id\":\"{ENTITY_ID}\",{xml}\
             \"attribute_mapping\":{{\"keys\":{{\"a\":{{\"name\":\"b\"}}}}}},\"name_id_format\":\"{EMAIL}\"}},\
             \"domains\":[{{\"domain\":\"example.com\"}},{{\"domain\":\"example.org\"}}],\
             \"created_at\":\"[time]\",\"updated_at\":\"[time]\"}}"
        )
    };
    let times = |answer: &Http| {
        let mut body = answer.body.clone();
        for name in ["created_at", "updated_at"] {
            for part in answer.body.split(&format!("\"{name}\":\"")).skip(1) {
                body = body.replace(part.split('"').next().unwrap(), "[time]");
            }
        }
        format!("{} {body}", answer.status)
    };
    let usual = "\"resource_id\":\"Acme\",\"disabled\":null,";
    let whole = shown(&format!("\"metadata_xml\":{xml},"), usual);
    assert_eq!(times(&created), format!("201 {whole}"));
    for path in [format!("/{id}"), "/resource_Acme".into()] {
        assert_eq!(times(&admin(&service, "GET", &path, Value::Null).await), format!("200 {whole}"));
    }
    for (query, count) in [
        ("", 1),
        ("?resource_id=Acme", 1),
        ("?resource_id=A", 0),
        ("?resource_id_prefix=Ac", 1),
        ("?resource_id_prefix=B", 0),
    ] {
        let list = admin(&service, "GET", query, Value::Null).await;
        let items = if count == 1 { shown("", usual) } else { String::new() };
        assert_eq!(times(&list), format!("200 {{\"items\":[{items}]}}"), "{query}");
    }
    let again = admin(&service, "POST", "", body).await.shown();
    assert_eq!(
        again,
        format!(
            "422 {{\"code\":\"saml_idp_already_exists\",\"message\":\"SAML Identity Provider with this EntityID ({ENTITY_ID}) already exists\"}}"
        )
    );
    // What a change does not mention stays, but for the format of names.
    let changed = admin(
        &service,
        "PUT",
        &format!("/{id}"),
        json!({"domains": ["example.net"], "disabled": false, "resource_id": ""}),
    )
    .await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let changed = changed.json();
    assert_eq!(changed["domains"], json!([{"domain": "example.net"}]));
    assert_eq!((&changed["disabled"], &changed["resource_id"]), (&json!(false), &Value::Null));
    assert_eq!(changed["saml"]["name_id_format"], Value::Null);
    assert_eq!(changed["saml"]["attribute_mapping"], json!({"keys": {"a": {"name": "b"}}}));
    let rotated = metadata(ENTITY_ID, &[RSA_CERTIFICATE]);
    let changed = admin(&service, "PUT", &format!("/{id}"), json!({"metadata_xml": rotated})).await.json();
    assert_eq!(changed["saml"]["metadata_xml"], rotated);
    let gone = admin(&service, "DELETE", &format!("/{id}"), Value::Null).await;
    assert_eq!((gone.status, gone.json()["id"].as_str()), (200, Some(id.as_str())));
    assert_eq!(service.sql("select count(*) from auth.sso_domains").await, "0");
    let missing = admin(&service, "GET", &format!("/{id}"), Value::Null).await.shown();
    assert_eq!(
        missing,
        r#"404 {"code":"sso_provider_not_found","message":"SSO Identity Provider not found"}"#
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_provider_is_said() {
    let service = start(usual()).await;
    let first = service.sql("select id from auth.sso_providers").await;
    let other = metadata("https://other", &[EC_CERTIFICATE]);
    let formats = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent, \
         urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress, \
         urn:oasis:names:tc:SAML:2.0:nameid-format:transient, \
         urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";
    let invalid = |message: &str| format!("400 {{\"code\":\"validation_failed\",\"message\":\"{message}\"}}");
    for (body, shown) in [
        (json!({}), invalid("Only 'saml' supported for SSO provider type")),
        (json!({"type": "saml"}), invalid("Either metadata_xml or metadata_url must be set")),
        (
            json!({"type": "saml", "metadata_xml": "a", "metadata_url": "b"}),
            invalid("Only one of metadata_xml or metadata_url needs to be set"),
        ),
        (json!({"type": "saml", "metadata_url": "nowhere"}), invalid("metadata_url is not a valid URL")),
        (json!({"type": "saml", "metadata_url": "http://a"}), invalid("metadata_url is not a HTTPS URL")),
        (
            json!({"type": "saml", "metadata_xml": other, "name_id_format": "x"}),
            invalid(&format!("name_id_format must be unspecified or one of {formats}")),
        ),
        (
            json!({"type": "saml", "metadata_xml": "<a/>"}),
            invalid("SAML Metadata is not valid: it is no EntityDescriptor"),
        ),
        (
            json!({"type": "saml", "metadata_xml": other, "domains": ["example.com"]}),
            format!(
                "400 {{\"code\":\"sso_domain_already_exists\",\"message\":\"SSO Domain 'example.com' is already assigned \
                 to an SSO identity provider ({first})\"}}"
            ),
        ),
    ] {
        assert_eq!(admin(&service, "POST", "", body).await.shown(), shown);
    }
    let second = register(&service, &other, &["other.example.com"]).await["id"].as_str().unwrap().to_owned();
    let update = async |body: Value| admin(&service, "PUT", &format!("/{second}"), body).await.shown();
    assert_eq!(
        update(json!({"metadata_xml": usual_metadata()})).await,
        format!(
            "400 {{\"code\":\"saml_entity_id_mismatch\",\"message\":\"SAML Metadata can be updated only if the EntityID \
             matches for the provider; expected 'https://other' but got '{ENTITY_ID}'\"}}"
        )
    );
    assert_eq!(
        update(json!({"domains": ["example.com"]})).await,
        format!(
            "400 {{\"code\":\"sso_domain_already_exists\",\"message\":\"SSO domain 'example.com' already assigned to \
             another provider ({first})\"}}"
        )
    );
    // The database knows domains without their case, and decides.
    assert_eq!(
        update(json!({"domains": ["EXAMPLE.com"]})).await,
        r#"422 {"code":"conflict","message":"Updating SSO provider failed, likely due to a conflict. Try again?"}"#
    );
    let stranger = service.get("/admin/sso/providers").newer().send().await;
    assert_eq!(stranger.status, 401);
}

//! Single sign-on: the whole way from our question to a session, with a provider's real signatures.

use auth::{Config, Saml, Secret};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::digest;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPublicEncryptingKey};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::saml_provider::{
    Answer, EMAIL, ENTITY_ID, SERVICE, SERVICE_KEY, Signing, service_key, usual_metadata,
};
use crate::service::{Answer as Http, Service, config, redact};

pub(crate) fn usual() -> Config {
    let mut config = config();
    config.external_url = SERVICE.into();
    config.site_url = "https://app.example.com/".into();
    config.uri_allow_list = vec!["https://preview.example.com/**".into()];
    config.saml = Saml { enabled: true, private_key: Secret::new(SERVICE_KEY), ..Saml::default() };
    config
}

/// A service that knows the provider, and example.com as its domain.
pub(crate) async fn start(config: Config) -> Service {
    let service = Service::start_with(config).await;
    register(&service, &usual_metadata(), &["example.com"]).await;
    service
}

pub(crate) async fn register(service: &Service, metadata: &str, domains: &[&str]) -> Value {
    let body = json!({"type": "saml", "metadata_xml": metadata, "domains": domains});
    let answer = admin(service, "POST", "", body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.json()
}

pub(crate) async fn admin(service: &Service, method: &str, path: &str, body: Value) -> Http {
    let path = format!("/admin/sso/providers{path}");
    service.request(method, &path).bearer(service.admin()).newer().body(body.to_string()).send().await
}

/// A sign-in on its way to the provider.
pub(crate) struct Begun {
    pub(crate) request: String,
    pub(crate) request_id: String,
    pub(crate) relay_state: String,
    url: String,
}

impl Begun {
    fn of(url: &str) -> Self {
        let request = BASE64_STANDARD.decode(parameter(url, "SAMLRequest")).unwrap();
        let request = String::from_utf8(miniz_oxide::inflate::decompress_to_vec(&request).unwrap()).unwrap();
        let id = request.split(" ID=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        Self { request, request_id: id, relay_state: parameter(url, "RelayState"), url: url.to_owned() }
    }
}

fn parameter(url: &str, name: &str) -> String {
    let value = url.split(['?', '&', '#']).find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    let value = value.unwrap_or_else(|| panic!("no {name} in {url}")).replace('+', " ");
    percent_decode_str(&value).decode_utf8().unwrap().into_owned()
}

pub(crate) async fn begin(service: &Service, redirect_to: &str) -> Begun {
    begin_with(service, json!({"domain": "example.com", "redirect_to": redirect_to})).await
}

async fn begin_with(service: &Service, mut body: Value) -> Begun {
    body["skip_http_redirect"] = true.into();
    let answer = service.post("/sso", body).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    Begun::of(answer.json()["url"].as_str().unwrap())
}

/// What a browser posts for the provider.
pub(crate) async fn deliver(service: &Service, xml: &str, relay_state: &str) -> Http {
    let escape = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let form =
        format!("SAMLResponse={}&RelayState={}", escape(&BASE64_STANDARD.encode(xml)), escape(relay_state));
    let request = service.request("POST", "/sso/saml/acs");
    request.header("content-type", "application/x-www-form-urlencoded").body(form).send().await
}

/// Signs Ada in by herself and returns where she lands.
async fn signed_in(service: &Service, xml: &str, relay_state: &str) -> String {
    let answer = deliver(service, xml, relay_state).await;
    assert_eq!(answer.status, 302, "{:?}", answer.headers.get("location"));
    answer.headers["location"].clone()
}

fn claims(url: &str) -> Value {
    let token = parameter(url, "access_token");
    let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

async fn user(service: &Service, url: &str) -> Http {
    service.get("/user").bearer(parameter(url, "access_token")).send().await
}

#[tokio::test]
async fn our_metadata_tells_providers_where_and_with_which_key() {
    let service = start(usual()).await;
    let answer = service.get("/sso/saml/metadata").send().await;
    assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, "application/xml"));
    assert_eq!(answer.headers["cache-control"], "public, max-age=600");
    let (before, after) =
        answer.body.split_once("<X509Certificate xmlns=\"http://www.w3.org/2000/09/xmldsig#\">").unwrap();
    let (certificate, after) = after.split_once('<').unwrap();
    // Two of them would be there if encryption was allowed.
    let until = chrono::Utc::now() + TimeDelta::days(2);
    let day = until.format("%Y-%m-%d").to_string();
    assert_eq!(before.matches(&format!("validUntil=\"{day}T")).count(), 2);
    assert_eq!(
        redact(before).split_once(" entityID").unwrap().1,
        "=\"http://auth.test/sso/saml/metadata\"><SPSSODescriptor \
         xmlns=\"urn:oasis:names:tc:SAML:2.0:metadata\" validUntil=\"[time]\" \
         protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\" WantAssertionsSigned=\"true\">\
         <KeyDescriptor use=\"signing\"><KeyInfo xmlns=\"http://www.w3.org/2000/09/xmldsig#\">\
         <X509Data xmlns=\"http://www.w3.org/2000/09/xmldsig#\">"
    );
    assert_eq!(
        after,
        "/X509Certificate></X509Data></KeyInfo></KeyDescriptor>\
         <NameIDFormat>urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress</NameIDFormat>\
         <NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:persistent</NameIDFormat>\
         <AssertionConsumerService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\" \
         Location=\"http://auth.test/sso/saml/acs\" index=\"1\"></AssertionConsumerService>\
         </SPSSODescriptor></EntityDescriptor>"
    );
    assert!(!certificate.is_empty());
    let file = service.get("/sso/saml/metadata?download=true").send().await;
    assert_eq!(file.headers["content-disposition"], "attachment; filename=\"metadata.xml\"");
    let year = (chrono::Utc::now() + chrono::Months::new(60)).format("%Y-").to_string();
    assert!(file.body.contains(&format!("validUntil=\"{year}")), "{}", file.body);
    assert_eq!(service.get("/settings").send().await.json()["saml_enabled"], true);
}

/// GoTrue 2.180.0 made this certificate of this key for this host; providers that were told it need not be told ours.
#[tokio::test]
async fn our_certificate_is_the_originals() {
    let mut config = usual();
    config.external_url = "http://127.0.0.1:25999".into();
    config.saml.allow_encrypted_assertions = true;
    let service = Service::start_with(config).await;
    let answer = service.get("/sso/saml/metadata").send().await;
    let certificates: Vec<&str> = answer
        .body
        .split("<X509Certificate xmlns=\"http://www.w3.org/2000/09/xmldsig#\">")
        .skip(1)
        .map(|rest| rest.split('<').next().unwrap())
        .collect();
    assert_eq!(certificates.len(), 2, "for encryption and for signatures");
    assert_eq!(certificates[0], certificates[1]);
    let hash = digest::digest(&digest::SHA256, &BASE64_STANDARD.decode(certificates[0]).unwrap());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, "a7f266b4993f9c6ea0a617766e4e591e6103c0b186f8f92da406ba5628ac553a");
}

#[tokio::test]
async fn our_question_is_signed_and_names_where_to_answer() {
    let service = start(usual()).await;
    let answer = service.post("/sso", json!({"domain": "example.com"})).send().await;
    assert_eq!(answer.status, 303);
    let begun = Begun::of(&answer.headers["location"]);
    assert!(
        begun.url.starts_with("https://idp.example.com/sign-in?tenant=a%26b&SAMLRequest="),
        "{}",
        begun.url
    );
    let shown = begun.request.replace(&begun.request_id, "[id]");
    let instant = shown.split("IssueInstant=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(
        shown.replace(&instant, "[time]"),
        "<samlp:AuthnRequest xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" \
         xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" ID=\"[id]\" Version=\"2.0\" IssueInstant=\"[time]\" \
         Destination=\"https://idp.example.com/sign-in?tenant=a%26b\" \
         AssertionConsumerServiceURL=\"http://auth.test/sso/saml/acs\" \
         ProtocolBinding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\">\
         <saml:Issuer Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:entity\">\
         http://auth.test/sso/saml/metadata</saml:Issuer>\
         <samlp:NameIDPolicy Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\" AllowCreate=\"true\"/>\
         </samlp:AuthnRequest>"
    );
    // The signature is over the three parameters as they are in the address.
    let signed = begun.url.split_once("tenant=a%26b&").unwrap().1.split_once("&Signature=").unwrap().0;
    let key = aws_lc_rs::rsa::KeyPair::from_der(&BASE64_STANDARD.decode(SERVICE_KEY).unwrap()).unwrap();
    let public = aws_lc_rs::signature::KeyPair::public_key(&key);
    let signature = BASE64_STANDARD.decode(parameter(&begun.url, "Signature")).unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public.as_ref())
        .verify(signed.as_bytes(), &signature)
        .unwrap();
}

#[tokio::test]
async fn somebody_signs_in_with_their_companys_word() {
    let service = start(usual()).await;
    let begun = begin(&service, "https://preview.example.com/welcome").await;
    let mut answer = Answer::new(Some(&begun.request_id));
    let end = chrono::Utc::now() + TimeDelta::hours(8);
    answer.session_end = Some(end);
    let url = signed_in(&service, &answer.xml(), &begun.relay_state).await;
    assert!(url.starts_with("https://preview.example.com/welcome#access_token="), "{url}");
    let provider = service.sql("select id from auth.sso_providers").await;
    let shown = user(&service, &url).await.shown().replace(&provider, "[provider]");
    assert_eq!(
        shown,
        "200 {\"id\":\"[id]\",\"aud\":\"authenticated\",\"role\":\"authenticated\",\"email\":\"ada@example.com\",\
         \"email_confirmed_at\":\"[time]\",\"phone\":\"\",\"confirmed_at\":\"[time]\",\"last_sign_in_at\":\"[time]\",\
         \"app_metadata\":{\"provider\":\"sso:[provider]\",\"providers\":[\"sso:[provider]\"]},\
         \"user_metadata\":{\"custom_claims\":{},\"email\":\"ada@example.com\",\"email_verified\":true,\
         \"iss\":\"https://idp.example.com/metadata\",\"phone_verified\":false,\"sub\":\"ada-1815\"},\
         \"identities\":[{\"identity_id\":\"[id]\",\"id\":\"ada-1815\",\"user_id\":\"[id]\",\
         \"identity_data\":{\"custom_claims\":{},\"email\":\"ada@example.com\",\"email_verified\":true,\
         \"iss\":\"https://idp.example.com/metadata\",\"phone_verified\":false,\"sub\":\"ada-1815\"},\
         \"provider\":\"sso:[provider]\",\"last_sign_in_at\":\"[time]\",\"created_at\":\"[time]\",\
         \"updated_at\":\"[time]\",\"email\":\"ada@example.com\"}],\"created_at\":\"[time]\",\
         \"updated_at\":\"[time]\",\"is_anonymous\":false}"
    );
    let claims = claims(&url);
    assert_eq!(claims["amr"][0]["method"], "sso/saml");
    assert_eq!(claims["amr"][0]["provider"], provider);
    assert_eq!(
        service
            .sql("select is_sso_user::text || ' ' || (select not_after from auth.sessions) from auth.users")
            .await,
        format!("true {}+00", end.format("%Y-%m-%d %H:%M:%S%.3f").to_string().trim_end_matches('0'))
    );
    assert_eq!(
        service.sql("select string_agg(payload->>'action' || ' ' || (payload->>'actor_via_sso'), ', ' order by created_at) from auth.audit_log_entries").await,
        "user_signedup true"
    );
    // The next time it is the same user, who has logged in.
    let again = begin(&service, "https://elsewhere.example.com/").await;
    let url = signed_in(&service, &Answer::new(Some(&again.request_id)).xml(), &again.relay_state).await;
    assert!(url.starts_with("https://app.example.com/#access_token="), "not allowed, so home: {url}");
    assert_eq!(service.sql("select count(*) from auth.users").await, "1");
    let last = "select payload->>'action' from auth.audit_log_entries order by created_at desc limit 1";
    assert_eq!(service.sql(last).await, "login");
}

#[tokio::test]
async fn a_session_ends_when_the_provider_says() {
    let service = start(usual()).await;
    let mut answer = Answer::new(None);
    answer.session_end = Some(chrono::Utc::now() - TimeDelta::seconds(1));
    let url = signed_in(&service, &answer.xml(), "").await;
    let refreshed = service.refresh(&parameter(&url, "refresh_token").into()).await;
    assert_eq!((refreshed.status, refreshed.json()["error_code"].as_str()), (400, Some("session_expired")));
}

#[tokio::test]
async fn a_provider_may_begin_by_itself() {
    let service = start(usual()).await;
    for (relay_state, target) in [
        ("", "https://app.example.com/#"),
        ("https://preview.example.com/a", "https://preview.example.com/a#"),
        ("https://evil.example.com/a", "https://app.example.com/#"),
        ("/a", "https://app.example.com/#"),
    ] {
        let url = signed_in(&service, &Answer::new(None).xml(), relay_state).await;
        assert!(url.starts_with(target), "{relay_state}: {url}");
    }
    let refused = deliver(&service, &Answer::new(None).xml(), "neither").await;
    assert!(refused.headers["location"].ends_with("SAML+RelayState+is+not+a+valid+UUID+or+URL"));
    let strange = Answer { response_issuer: "https://who".into(), ..Answer::new(None) };
    let refused = deliver(&service, &strange.xml(), "").await;
    assert_eq!(
        refused.headers["location"],
        "https://app.example.com/?error=server_error&error_code=saml_idp_not_found&error_description=\
         A+SAML+connection+has+not+been+established+with+this+Identity+Provider"
    );
}

#[tokio::test]
async fn a_flow_with_a_proof_key_ends_with_a_code() {
    let service = start(usual()).await;
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let begun = begin_with(
        &service,
        json!({
            "domain": "example.com", "redirect_to": "https://preview.example.com/a?b=c",
            "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method": "s256",
        }),
    )
    .await;
    let mut answer = Answer::new(Some(&begun.request_id));
    let end = chrono::Utc::now() + TimeDelta::hours(1);
    answer.session_end = Some(end);
    let url = signed_in(&service, &answer.xml(), &begun.relay_state).await;
    assert!(url.starts_with("https://preview.example.com/a?b=c&code="), "{url}");
    assert_eq!(service.sql("select count(*) from auth.sessions").await, "0", "not before the exchange");
    let body = json!({"auth_code": parameter(&url, "code"), "code_verifier": verifier});
    let tokens = service.post("/token?grant_type=pkce", body).send().await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    assert_eq!(tokens.json()["user"]["email"], "ada@example.com");
    assert_eq!(tokens.json()["provider_token"], Value::Null);
    assert_eq!(service.sql("select authentication_method from auth.mfa_amr_claims").await, "sso/saml");
    let ends = format!(
        "select not_after = '{}'::timestamptz from auth.sessions",
        end.format("%Y-%m-%dT%H:%M:%S%.3fZ")
    );
    assert_eq!(service.sql(&ends).await, "t");
}

#[tokio::test]
async fn a_provider_signs_as_it_likes() {
    let service = start(usual()).await;
    for signing in [Signing::Rsa256, Signing::Rsa384, Signing::Rsa512, Signing::Ec256] {
        let answer = Answer { signing, ..Answer::new(None) };
        signed_in(&service, &answer.xml(), "").await;
        let answer = Answer { signing, ..Answer::new(None) };
        signed_in(&service, &answer.signed_response(&answer.assertion()), "").await;
        let answer = Answer { signing, ..Answer::new(None) };
        signed_in(&service, &answer.signed_response(&answer.signed_assertion()), "").await;
    }
    // With a declaration, other quotes, short tags and line ends, it is the same document.
    let xml = Answer::new(None).xml().replace("></saml:SubjectConfirmationData>", "\r\n/>");
    let xml = xml.replace(
        "Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\"",
        "Method = 'urn:oasis:names:tc:SAML:2.0:cm:bearer'",
    );
    signed_in(&service, &format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{xml}\n"), "").await;
    assert_eq!(service.sql("select count(*) from auth.users").await, "1");
}

/// An assertion in a box that only the service opens.
fn encrypted(plain: &str, digest: &str, algorithm: &'static OaepAlgorithm, is_gcm: bool) -> String {
    let key = OaepPublicEncryptingKey::new(service_key().public_key()).unwrap();
    let (method, secret, sealed) = if is_gcm {
        let (secret, nonce) = ([7; 32], [9; 12]);
        let mut sealed = plain.as_bytes().to_vec();
        let aead = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &secret).unwrap());
        aead.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
            .unwrap();
        ("http://www.w3.org/2009/xmlenc11#aes256-gcm", secret.to_vec(), [nonce.to_vec(), sealed].concat())
    } else {
        let (secret, iv) = ([7; 16], [9; 16]);
        let mut sealed = plain.as_bytes().to_vec();
        let filled = 16 - sealed.len() % 16;
        sealed.resize(sealed.len() + filled, 0);
        *sealed.last_mut().unwrap() = u8::try_from(filled).unwrap();
        let cipher = EncryptingKey::cbc(UnboundCipherKey::new(&AES_128, &secret).unwrap()).unwrap();
        cipher.less_safe_encrypt(&mut sealed, EncryptionContext::Iv128(FixedLength::from(iv))).unwrap();
        ("http://www.w3.org/2001/04/xmlenc#aes128-cbc", secret.to_vec(), [iv.to_vec(), sealed].concat())
    };
    let mut wrapped = vec![0; key.ciphertext_size()];
    let wrapped = BASE64_STANDARD.encode(key.encrypt(algorithm, &secret, &mut wrapped, None).unwrap());
    format!(
        "<saml:EncryptedAssertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">\
         <xenc:EncryptedData xmlns:xenc=\"http://www.w3.org/2001/04/xmlenc#\" \
         Type=\"http://www.w3.org/2001/04/xmlenc#Element\">\
         <xenc:EncryptionMethod Algorithm=\"{method}\"></xenc:EncryptionMethod>\
         <ds:KeyInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><xenc:EncryptedKey>\
         <xenc:EncryptionMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p\">\
         <ds:DigestMethod Algorithm=\"{digest}\"></ds:DigestMethod></xenc:EncryptionMethod>\
         <xenc:CipherData><xenc:CipherValue>{wrapped}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey>\
         </ds:KeyInfo><xenc:CipherData><xenc:CipherValue>{}</xenc:CipherValue></xenc:CipherData>\
         </xenc:EncryptedData></saml:EncryptedAssertion>",
        BASE64_STANDARD.encode(sealed)
    )
}

const SHA1: &str = "http://www.w3.org/2000/09/xmldsig#sha1";

#[tokio::test]
async fn an_assertion_may_be_encrypted_where_that_is_allowed() {
    let mut config = usual();
    config.saml.allow_encrypted_assertions = true;
    let service = start(config).await;
    for is_gcm in [false, true] {
        let answer = Answer::new(None);
        let sealed = encrypted(&answer.signed_assertion(), SHA1, &OAEP_SHA1_MGF1SHA1, is_gcm);
        signed_in(&service, &answer.response(&sealed), "").await;
        let answer = Answer::new(None);
        let sha256 = "http://www.w3.org/2001/04/xmlenc#sha256";
        let sealed = encrypted(&answer.assertion(), sha256, &OAEP_SHA256_MGF1SHA256, is_gcm);
        signed_in(&service, &answer.signed_response(&sealed), "").await;
        // Encrypted is not signed: everybody has our key.
        let answer = Answer::new(None);
        let sealed = encrypted(&answer.assertion(), SHA1, &OAEP_SHA1_MGF1SHA1, is_gcm);
        let refused = deliver(&service, &answer.response(&sealed), "").await;
        assert!(refused.headers["location"].ends_with("SAML+Assertion+is+not+valid"));
        let broken = encrypted(&answer.signed_assertion()[1..], SHA1, &OAEP_SHA1_MGF1SHA1, is_gcm);
        let refused = deliver(&service, &answer.response(&broken), "").await;
        assert!(refused.headers["location"].ends_with("SAML+Assertion+is+not+valid"));
    }
    let service = start(usual()).await;
    let answer = Answer::new(None);
    let sealed = encrypted(&answer.signed_assertion(), SHA1, &OAEP_SHA1_MGF1SHA1, true);
    let refused = deliver(&service, &answer.response(&sealed), "").await;
    assert!(refused.headers["location"].ends_with("SAML+Assertion+is+not+valid"));
}

#[tokio::test]
async fn attributes_become_claims_as_they_are_mapped() {
    let service = Service::start_with(usual()).await;
    let mapping = json!({"keys": {
        "name": {"name": "displayName"},
        "email": {"names": ["nothing", "urn:mail"]},
        "groups": {"name": "memberOf", "array": true},
        "plan": {"name": "none", "default": {"seats": 3}},
        "phone": {"name": "PHONE", "default": "1"},
    }});
    let body = json!({"type": "saml", "metadata_xml": usual_metadata(), "attribute_mapping": mapping});
    assert_eq!(admin(&service, "POST", "", body).await.status, 201);
    let mut answer = Answer::new(None);
    answer.attributes = vec![
        ("displayName", vec!["Ada Lovelace", "other"]),
        ("urn:mail", vec!["", "Ada@example.com"]),
        ("memberOf", vec!["a", "", "b"]),
        ("phone", vec!["44"]),
        ("urn:oasis:names:tc:SAML:attribute:subject-id", vec!["ada@campus"]),
    ];
    let url = signed_in(&service, &answer.xml(), "").await;
    let user = user(&service, &url).await.json();
    assert_eq!(
        user["user_metadata"],
        json!({
            "iss": ENTITY_ID, "sub": "ada@campus", "name": "Ada Lovelace", "email": "ada@example.com", "phone": "44",
            "email_verified": true, "phone_verified": false,
            "custom_claims": {"groups": ["a", "b"], "plan": {"seats": 3}},
        })
    );
    assert_eq!(user["identities"][0]["id"], "ada@campus");
}

#[tokio::test]
async fn people_need_a_lasting_name_and_an_address() {
    let service = start(usual()).await;
    let outcome = async |answer: Answer| {
        let url = deliver(&service, &answer.xml(), "").await.headers["location"].clone();
        url.split("error_code=").nth(1).and_then(|rest| rest.split('&').next()).map(str::to_owned)
    };
    let code = |text: &str| Some(text.to_owned());
    let transient = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";
    let answer = Answer { name_format: transient.into(), ..Answer::new(None) };
    assert_eq!(outcome(answer).await, code("saml_assertion_no_user_id"));
    let answer = Answer { name: String::new(), ..Answer::new(None) };
    assert_eq!(outcome(answer).await, code("saml_assertion_no_user_id"));
    let answer = Answer { attributes: Vec::new(), ..Answer::new(None) };
    assert_eq!(outcome(answer).await, code("saml_assertion_no_email"));
    // An address may be the name; then its case does not matter.
    for name in ["Bob@Example.com", " bob@example.com"] {
        let answer = Answer {
            name: name.into(),
            name_format: EMAIL.into(),
            attributes: Vec::new(),
            ..Answer::new(None)
        };
        assert_eq!(outcome(answer).await, None);
    }
    assert_eq!(
        service.sql("select string_agg(provider_id, ',') from auth.identities").await,
        "bob@example.com"
    );
}

#[tokio::test]
async fn a_sign_in_may_take_so_long() {
    let mut config = usual();
    config.saml.relay_state_validity = std::time::Duration::from_millis(1);
    let service = start(config).await;
    let begun = begin(&service, "").await;
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let late = deliver(&service, &Answer::new(Some(&begun.request_id)).xml(), &begun.relay_state).await;
    assert_eq!(
        late.headers["location"],
        "https://app.example.com/?error=server_error&error_code=saml_relay_state_expired\
         &error_description=SAML+RelayState+has+expired.+Try+logging+in+again%3F"
    );
    assert_eq!(service.sql("select count(*) from auth.saml_relay_states").await, "0");
    // What never came back is forgotten after a day.
    begin(&service, "").await;
    service.sql("update auth.saml_relay_states set created_at = now() - interval '25 hours'").await;
    signed_in(&service, &Answer::new(None).xml(), "").await;
    let kept = "select string_agg(split_part(request_id, ' ', 1), ',') from auth.saml_relay_states";
    assert_eq!(service.sql(kept).await, "assertion");
}

#[tokio::test]
async fn what_is_wrong_with_the_start_of_a_sign_in_is_said() {
    let service = start(usual()).await;
    let provider = service.sql("select id from auth.sso_providers").await;
    let uuid = "11111111-1111-4111-8111-111111111111";
    for (body, shown) in [
        (
            json!({}),
            r#"400 {"code":"validation_failed","message":"A provider_id or domain needs to be provided"}"#,
        ),
        (
            json!({"domain": "example.com", "provider_id": provider}),
            r#"400 {"code":"validation_failed","message":"Only one of provider_id or domain supported"}"#,
        ),
        (
            json!({"provider_id": uuid}),
            r#"404 {"code":"sso_provider_not_found","message":"No such SSO provider"}"#,
        ),
        (
            json!({"domain": "Example.com"}),
            r#"404 {"code":"sso_provider_not_found","message":"No SSO provider assigned for this domain"}"#,
        ),
        (
            json!({"provider_id": "x"}),
            r#"400 {"code":"bad_json","message":"Could not parse request body as JSON: uuid: incorrect UUID length 1 in string \"x\""}"#,
        ),
        (
            json!({"domain": "example.com", "code_challenge": "x"}),
            r#"400 {"code":"validation_failed","message":"PKCE flow requires code_challenge_method and code_challenge"}"#,
        ),
    ] {
        assert_eq!(service.post("/sso", body).newer().send().await.shown(), shown);
    }
    let path = format!("/{provider}");
    assert_eq!(admin(&service, "PUT", &path, json!({"disabled": true})).await.status, 200);
    let answer = service.post("/sso", json!({"provider_id": provider})).newer().send().await;
    assert_eq!(
        answer.shown(),
        r#"404 {"code":"sso_provider_disabled","message":"SSO Provider is currently disabled"}"#
    );
    let url = deliver(&service, &Answer::new(None).xml(), "").await.headers["location"].clone();
    assert!(url.contains("error_code=sso_provider_disabled"), "{url}");
}

#[tokio::test]
async fn sign_ins_of_one_caller_are_counted() {
    let mut config = usual();
    config.rate_limits.header = Some("x-real-ip".into());
    config.saml.assertion_rate_limit = 0.0;
    let service = start(config).await;
    let mut last = 0;
    for _ in 0..31 {
        last = service.request("POST", "/sso/saml/acs").header("x-real-ip", "192.0.2.1").send().await.status;
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn beside_the_routes_there_is_nothing() {
    let service = start(usual()).await;
    for (method, path, shown) in [
        ("GET", "/sso", "405 "),
        ("GET", "/sso/saml/acs", "405 "),
        ("POST", "/sso/saml/metadata", "405 "),
        ("GET", "/sso/other", "404 404 page not found\n"),
        ("GET", "/sso/saml/metadata/", "404 404 page not found\n"),
        ("POST", "/sso/saml/acs/", "404 404 page not found\n"),
        (
            "POST",
            "/sso/",
            "400 {\"code\":\"bad_json\",\"message\":\"Could not parse request body as JSON: unexpected end of JSON input\"}",
        ),
    ] {
        assert_eq!(service.request(method, path).newer().send().await.shown(), shown, "{method} {path}");
    }
}

#[tokio::test]
async fn a_key_has_to_be_good_enough() {
    for (key, reason) in [
        ("*", "SAML private key not in standard Base64 format"),
        ("AAAA", "SAML private key not in PKCS#1 format"),
    ] {
        let mut config = usual();
        config.saml.private_key = Secret::new(key);
        let error = config.validate().unwrap_err().to_string();
        assert_eq!(error, format!("GOTRUE_SAML_PRIVATE_KEY: {reason}"));
    }
}

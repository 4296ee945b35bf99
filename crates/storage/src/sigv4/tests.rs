#![allow(clippy::unwrap_used)]

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::*;

// The worked examples of AWS's documentation of Signature Version 4 for S3.
const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn noon() -> DateTime<Utc> {
    "2013-05-24T00:00:00Z".parse().unwrap()
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
}

struct Sent {
    method: &'static str,
    path: String,
    query: String,
    host: String,
    headers: HeaderMap,
}

impl Sent {
    fn verify(&self, secret: &str, now: DateTime<Utc>) -> Result<Verified, SignatureError> {
        let query = decode_query(&self.query);
        let presented = Presented::read(&self.headers, &query)?.ok_or(SignatureError::Missing)?;
        let request = SignedRequest {
            method: self.method,
            paths: &SignedRequest::spellings(&self.path),
            hosts: std::slice::from_ref(&self.host),
            query: &query,
            headers: &self.headers,
        };
        verify(&presented, secret, &request, now)
    }
}

fn documented_get() -> Sent {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
         Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    );
    Sent {
        method: "GET",
        path: "/test.txt".into(),
        query: String::new(),
        host: "examplebucket.s3.amazonaws.com".into(),
        headers: headers(&[
            ("authorization", &authorization),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", EMPTY),
            ("x-amz-date", "20130524T000000Z"),
        ]),
    }
}

#[test]
fn documented_get_is_verified() {
    let verified = documented_get().verify(SECRET, noon()).unwrap();
    assert!(matches!(verified.payload, Payload::Hash(_)));
}

#[test]
fn documented_list_is_verified() {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-content-sha256;x-amz-date,\
         Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    );
    let sent = Sent {
        method: "GET",
        path: "/".into(),
        query: "max-keys=2&prefix=J".into(),
        host: "examplebucket.s3.amazonaws.com".into(),
        headers: headers(&[
            ("authorization", &authorization),
            ("x-amz-content-sha256", EMPTY),
            ("x-amz-date", "20130524T000000Z"),
        ]),
    };
    sent.verify(SECRET, noon()).unwrap();
}

#[test]
fn documented_presigned_url_is_verified_until_it_expires() {
    let query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={ACCESS_KEY}%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
         &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
         &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    );
    let sent = Sent {
        method: "GET",
        path: "/test.txt".into(),
        query,
        host: "examplebucket.s3.amazonaws.com".into(),
        headers: HeaderMap::new(),
    };
    assert_eq!(sent.verify(SECRET, noon()).unwrap().payload, Payload::Unsigned);
    assert_eq!(sent.verify(SECRET, noon() + TimeDelta::days(2)).unwrap_err(), SignatureError::Expired);
    assert_eq!(sent.verify(SECRET, noon() - TimeDelta::days(1)).unwrap_err(), SignatureError::NotYetValid);
}

#[test]
fn another_secret_path_or_clock_is_refused() {
    let mut sent = documented_get();
    assert_eq!(sent.verify("wrong", noon()).unwrap_err(), SignatureError::Mismatch);
    assert_eq!(sent.verify(SECRET, noon() + TimeDelta::minutes(16)).unwrap_err(), SignatureError::Skewed);
    sent.path = "/other.txt".into();
    assert_eq!(sent.verify(SECRET, noon()).unwrap_err(), SignatureError::Mismatch);
}

#[test]
fn an_unsigned_copy_source_is_refused() {
    let mut sent = documented_get();
    sent.headers.insert("x-amz-copy-source", HeaderValue::from_static("/secret/key"));
    assert_eq!(
        sent.verify(SECRET, noon()).unwrap_err(),
        SignatureError::HeadersNotSigned("x-amz-copy-source".into())
    );
}

#[test]
fn malformed_headers_have_their_own_codes() {
    let read = |value: &str| Presented::read(&headers(&[("authorization", value)]), &[]).unwrap_err().code();
    assert_eq!(read("AWS AKID:signature"), ("InvalidRequest", 400));
    assert_eq!(read("Bearer token"), ("InvalidRequest", 400));
    assert_eq!(read("AWS4-HMAC-SHA256 Credential=x"), ("AuthorizationHeaderMalformed", 400));
    assert_eq!(read("AWS4-HMAC-SHA256 a"), ("AuthorizationHeaderMalformed", 400));
    let without_date =
        "AWS4-HMAC-SHA256 Credential=a/20130524/r/s3/aws4_request,SignedHeaders=host,Signature=x";
    assert_eq!(read(without_date), ("AccessDenied", 403));
    assert_eq!(Presented::read(&HeaderMap::new(), &[]), Ok(None));
}

#[test]
fn expiry_of_more_than_a_week_is_refused() {
    let signer = signer();
    let query = presign(&signer, "GET", "h", "/b/k", &[], 604_801, noon());
    let sent =
        Sent { method: "GET", path: "/b/k".into(), query, host: "h".into(), headers: HeaderMap::new() };
    assert!(matches!(sent.verify(SECRET, noon()), Err(SignatureError::ExpiresOutOfRange(_))));
}

fn signer() -> Signer {
    Signer {
        access_key: ACCESS_KEY.into(),
        secret: SECRET.into(),
        session_token: None,
        region: "auto".into(),
    }
}

fn policy_fields(document: &str, extra: &[(&str, &str)]) -> Vec<(String, String)> {
    use base64::Engine;
    let policy = base64::engine::general_purpose::STANDARD.encode(document);
    let key = SigningKey::derive(SECRET, "20130524", "auto", "s3");
    let signature = key.sign(policy.as_bytes());
    let mut fields: Vec<(String, String)> = [
        ("Policy", policy.as_str()),
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", &format!("{ACCESS_KEY}/20130524/auto/s3/aws4_request")),
        ("X-Amz-Date", "20130524T000000Z"),
        ("X-Amz-Signature", &signature),
    ]
    .iter()
    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
    .collect();
    fields.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    fields
}

fn form(document: &str, extra: &[(&str, &str)]) -> Result<Option<(u64, u64)>, PolicyError> {
    let fields = policy_fields(document, extra);
    let form = FormUpload::read(&fields)?.unwrap();
    verify_form(&form, SECRET, "photos", &fields, noon())
}

const FREE: &str = r#"["starts-with","$x-amz-algorithm",""],["starts-with","$x-amz-credential",""],["starts-with","$x-amz-date",""]"#;

#[test]
fn policy_conditions_hold_for_every_field() {
    let document = |conditions: &str| {
        format!(r#"{{"expiration":"2013-05-25T00:00:00Z","conditions":[{conditions},{FREE}]}}"#)
    };
    let key = ("key", "user/1.png");
    let good =
        document(r#"{"bucket":"photos"},["starts-with","$KEY","user/"],["content-length-range",1,100]"#);
    assert_eq!(form(&good, &[key]), Ok(Some((1, 100))));
    assert_eq!(form(&good, &[key, ("x-ignore-this", "1")]), Ok(Some((1, 100))));
    assert_eq!(
        form(&good, &[key, ("acl", "public-read")]),
        Err(PolicyError::Refused("Extra input fields: acl".into()))
    );
    assert!(matches!(form(&good, &[("key", "other/1.png")]), Err(PolicyError::Refused(_))));
    let other = document(r#"{"bucket":"secrets"},["starts-with","$key",""]"#);
    assert!(matches!(form(&other, &[key]), Err(PolicyError::Refused(_))));
    let expired = good.replace("2013-05-25", "2013-05-23");
    assert_eq!(form(&expired, &[key]), Err(PolicyError::Refused("Policy expired.".into())));
    // RFC 3339's other form is none of ISO 8601.
    let spaced = good.replace("25T00", "25 00");
    assert!(matches!(form(&spaced, &[key]), Err(PolicyError::Invalid(_))));
    // A checksum only refuses more.
    assert_eq!(form(&good, &[key, ("x-amz-checksum-crc32", "AAAAAA==")]), Ok(Some((1, 100))));
}

#[test]
fn a_changed_policy_is_refused() {
    let mut fields = policy_fields("{}", &[]);
    fields[0].1 = "e30K".into();
    let form = FormUpload::read(&fields).unwrap().unwrap();
    let outcome = verify_form(&form, SECRET, "photos", &fields, noon());
    assert_eq!(outcome, Err(PolicyError::Signature(SignatureError::Mismatch)));
}

proptest! {
    #[test]
    fn what_is_signed_is_verified(
        key in "[ -~é☃]{0,40}",
        name in "[a-z][a-z-]{0,10}",
        value in "[ -~é☃]{0,20}",
        header in "[!-~]([ -~]{0,20}[!-~])?",
    ) {
        let path = format!("/bucket/{}", encode(&key).replace("%2F", "/"));
        let query = vec![(name, value)];
        let mut headers = headers(&[("x-amz-meta-note", &header)]);
        signer().sign("PUT", "localhost:9000", &path, &query, &mut headers, "UNSIGNED-PAYLOAD", noon());
        let text: Vec<String> = query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let mut sent = Sent { method: "PUT", path, query: text.join("&"), host: "localhost:9000".into(), headers };
        prop_assert!(sent.verify(SECRET, noon()).is_ok());
        sent.method = "DELETE";
        prop_assert_eq!(sent.verify(SECRET, noon()).unwrap_err(), SignatureError::Mismatch);
    }

    #[test]
    fn presigned_urls_hold_for_every_method(key in "[ -~é☃]{1,40}", method in prop::sample::select(vec!["GET", "PUT", "HEAD", "DELETE"])) {
        let path = format!("/bucket/{}", encode(&key).replace("%2F", "/"));
        let query = presign(&signer(), method, "h", &path, &[("x-id".into(), "a b+c".into())], 60, noon());
        let sent = Sent { method, path, query, host: "h".into(), headers: HeaderMap::new() };
        prop_assert!(sent.verify(SECRET, noon()).is_ok());
    }

    #[test]
    fn strangers_bytes_never_panic(authorization in "(AWS4-HMAC-SHA256 )?[ -~]{0,200}", query in "[ -~]{0,200}") {
        let value = HeaderValue::from_str(&authorization).unwrap();
        let mut map = HeaderMap::new();
        map.insert("authorization", value);
        let _ = Presented::read(&map, &decode_query(&query));
    }
}

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use crate::*;

const NOW: u64 = 1_700_000_000;

fn ring(secret: &str) -> KeyRing {
    KeyRing::new(KeySet::from_secret(secret).unwrap())
}

/// A token over any header and payload, signed with HS256.
fn token(header: &str, payload: &str, secret: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = aws_lc_rs::hmac::sign(&key, input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
}

#[test]
fn the_local_secret_signs_exactly_the_published_keys() {
    let anon = generate::derived_api_key(development::JWT_SECRET, ApiKeyRole::Anon).unwrap();
    let service = generate::derived_api_key(development::JWT_SECRET, ApiKeyRole::ServiceRole).unwrap();
    assert_eq!(anon, development::ANON_KEY);
    assert_eq!(service, development::SERVICE_ROLE_KEY);
}

#[test]
fn a_verified_token_keeps_its_payload_byte_for_byte() {
    let payload = "{ \"role\" : \"authenticated\",\"b\":1,\"a\":[1.50, \"\\u00e9\"]}";
    let verified = ring("s").verify(&token(r#"{"alg":"HS256"}"#, payload, "s")).unwrap();
    assert_eq!(&*verified.claims_json, payload);
    assert_eq!(verified.role(), Some("authenticated"));
}

#[test]
fn malformed_tokens_say_what_is_wrong_with_them() {
    let ring = ring("secret");
    let fault = |text: &str| ring.verify(text).unwrap_err();
    let good = token(r#"{"alg":"HS256"}"#, "{}", "secret");
    assert_eq!(fault(""), VerifyError::Empty);
    assert_eq!(fault("abc"), VerifyError::Parts(1));
    assert_eq!(fault("a.b.c.d"), VerifyError::Parts(4));
    assert_eq!(fault("=.e30.e30"), VerifyError::Encoding(Part::Header));
    assert_eq!(fault("e30.e30.e30"), VerifyError::Header);
    assert_eq!(fault(&format!("{good}=")), VerifyError::Encoding(Part::Signature));
    assert_eq!(fault(&token(r#"{"alg":"none"}"#, "{}", "secret")), VerifyError::Unsigned);
    assert_eq!(fault(&token(r#"{"alg":"HS1"}"#, "{}", "secret")), VerifyError::Algorithm("HS1".into()));
    assert_eq!(fault(&token(r#"{"alg":"HS256"}"#, "[]", "secret")), VerifyError::Payload);
    assert_eq!(fault(&token(r#"{"alg":"HS256"}"#, "{}", "other")), VerifyError::Signature);
    assert_eq!(
        fault(&token(r#"{"alg":"RS256","kid":"k"}"#, "{}", "secret")),
        VerifyError::NoKey { kid: Some("k".into()), alg: Algorithm::RS256 }
    );
}

#[test]
fn a_changed_byte_anywhere_breaks_the_token() {
    let ring = ring("secret");
    let good = ring.sign(&json!({ "role": "authenticated", "exp": NOW + 60 })).unwrap();
    ring.verify_at(&good, &Policy::EXACT, NOW).unwrap();
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(ring.verify_at(&changed, &Policy::EXACT, NOW).is_err(), "byte {at} may be changed");
    }
}

#[test]
fn times_are_judged_with_the_policy_and_on_every_use() {
    let ring = ring("secret");
    let with = |claims| ring.sign(&claims).unwrap();
    let judge = |token: &str, policy: &Policy, now| match ring.verify_at(token, policy, now) {
        Ok(_) => None,
        Err(VerifyError::Claim(error)) => Some(error),
        Err(error) => panic!("{error}"),
    };
    let expiring = with(json!({ "exp": NOW }));
    assert_eq!(judge(&expiring, &Policy::LENIENT, NOW + 30), None);
    assert_eq!(judge(&expiring, &Policy::LENIENT, NOW + 31), Some(ClaimError::Expired));
    assert_eq!(judge(&expiring, &Policy::EXACT, NOW - 1), None);
    assert_eq!(judge(&expiring, &Policy::EXACT, NOW), Some(ClaimError::Expired));
    let early = with(json!({ "nbf": NOW }));
    assert_eq!(judge(&early, &Policy::LENIENT, NOW - 30), None);
    assert_eq!(judge(&early, &Policy::LENIENT, NOW - 31), Some(ClaimError::NotYetValid));
    let ahead = with(json!({ "iat": NOW }));
    assert_eq!(judge(&ahead, &Policy::LENIENT, NOW - 31), Some(ClaimError::IssuedInFuture));
    assert_eq!(judge(&ahead, &Policy::EXACT, NOW - 31), None);
    let null = with(json!({ "exp": null }));
    assert_eq!(judge(&null, &Policy::LENIENT, NOW), Some(ClaimError::NotANumber("exp")));
    assert_eq!(judge(&null, &Policy::EXACT, NOW), None);
    let text = with(json!({ "nbf": "soon" }));
    assert_eq!(judge(&text, &Policy::EXACT, NOW), Some(ClaimError::NotANumber("nbf")));
}

#[test]
fn the_audience_may_be_a_string_a_list_or_nothing() {
    let ring = ring("secret");
    let judge = |aud, policy: &Policy| {
        let token = ring.sign(&json!({ "aud": aud })).unwrap();
        ring.verify_at(&token, policy, NOW).map(drop)
    };
    let ours = Policy::for_audience("us");
    assert_eq!(judge(json!("us"), &ours), Ok(()));
    assert_eq!(judge(json!(["them", "us"]), &ours), Ok(()));
    assert_eq!(judge(json!([]), &ours), Ok(()));
    assert_eq!(judge(json!(null), &ours), Ok(()));
    assert_eq!(judge(json!("them"), &ours), Err(ClaimError::WrongAudience.into()));
    assert_eq!(judge(json!("them"), &Policy::LENIENT), Ok(()));
    assert_eq!(judge(json!([1]), &Policy::LENIENT), Err(ClaimError::AudienceShape.into()));
    assert_eq!(judge(json!([1]), &Policy::EXACT), Ok(()));
}

#[test]
fn an_asymmetric_key_signs_and_the_secret_goes_on_verifying() {
    let keys = KeySet::from_signing_keys(&format!("[{}]", development::SIGNING_JWK))
        .unwrap()
        .with_secret(development::JWT_SECRET, None)
        .unwrap();
    let ring = KeyRing::new(keys);
    let session = ring.sign(&json!({ "role": "authenticated" })).unwrap();
    let verified = ring.verify(&session).unwrap();
    assert_eq!(verified.algorithm, Algorithm::ES256);
    assert_eq!(verified.kid.as_deref(), Some(development::SIGNING_KEY_ID));
    assert_eq!(ring.verify(development::ANON_KEY).unwrap().role(), Some("anon"));
    let foreign_kid = token(r#"{"alg":"HS256","kid":"old"}"#, "{}", development::JWT_SECRET);
    assert!(ring.verify(&foreign_kid).is_ok());
    assert_eq!(
        ring.jwks(),
        json!({ "keys": [{
            "kty": "EC", "kid": development::SIGNING_KEY_ID, "use": "sig", "key_ops": ["verify"],
            "alg": "ES256", "ext": true, "crv": "P-256",
            "x": "M5Sjqn5zwC9Kl1zVfUUGvv9boQjCGd45G8sdopBExB4",
            "y": "P6IXMvA2WYXSHSOMTBH2jsw_9rrzGy89FjPf6oOsIxQ",
        }] })
    );
}

#[test]
fn a_public_key_cannot_be_misused_as_a_shared_secret() {
    // The classic confusion: an HS256 token signed with the text of the public key.
    let public = Key::from_jwk(development::SIGNING_JWK).unwrap().public_jwk().unwrap().to_string();
    let ring = KeyRing::new(KeySet::from_jwks(&public).unwrap());
    let forged = token(r#"{"alg":"HS256"}"#, r#"{"role":"service_role"}"#, &public);
    assert_eq!(ring.verify(&forged).unwrap_err(), VerifyError::NoKey { kid: None, alg: Algorithm::HS256 });
}

#[test]
fn a_key_set_may_refuse_key_ids_it_does_not_know() {
    let keys = KeySet::from_secret("secret").unwrap().with_unknown_kid(UnknownKid::Refused);
    let with_kid = token(r#"{"alg":"HS256","kid":"x"}"#, "{}", "secret");
    assert_eq!(
        keys.verify_signature(&with_kid).unwrap_err(),
        VerifyError::NoKey { kid: Some("x".into()), alg: Algorithm::HS256 }
    );
}

#[test]
fn algorithms_can_be_restricted() {
    let keys = KeySet::from_secret("secret").unwrap().allowing([Algorithm::RS256]);
    let error = keys.verify_signature(&token(r#"{"alg":"HS256"}"#, "{}", "secret")).unwrap_err();
    assert_eq!(error, VerifyError::Algorithm("HS256".into()));
}

#[test]
fn jwk_secrets_take_every_hmac() {
    // "k" is base64url of the 43 bytes.
    let oct = r#"{"kty":"oct","k":"QXdlc29tZSBzZWNyZXQgb2YgZm9ydHktdGhyZWUgY2hhcmFjdGVycw"}"#;
    for alg in ["HS256", "HS384", "HS512"] {
        let signing = oct.replace('{', &format!(r#"{{"alg":"{alg}","key_ops":["sign","verify"],"#));
        let signed = KeyRing::new(KeySet::from_signing_keys(&format!("[{signing}]")).unwrap())
            .sign(&json!({ "a": 1 }))
            .unwrap();
        let verified = KeySet::from_jwks(oct).unwrap().verify_signature(&signed).unwrap();
        assert_eq!(verified.algorithm.as_str(), alg);
    }
}

#[test]
fn a_clone_of_a_ring_may_take_the_secret_for_every_hmac() {
    let secret = "Awesome secret of forty-three characters";
    let oct =
        r#"{"kty":"oct","key_ops":["sign"],"k":"QXdlc29tZSBzZWNyZXQgb2YgZm9ydHktdGhyZWUgY2hhcmFjdGVycw""#;
    let one = ring(secret);
    let any = one.clone().for_any_hmac();
    for (alg, kid) in [("HS256", "null"), ("HS384", "null"), ("HS512", "\"unknown\"")] {
        let signing = format!(r#"[{oct},"alg":"{alg}","kid":{kid}}}]"#);
        let signed =
            KeyRing::new(KeySet::from_signing_keys(&signing).unwrap()).sign(&json!({ "a": 1 })).unwrap();
        assert_eq!(any.verify_signature(&signed).unwrap().algorithm.as_str(), alg);
        assert_eq!(one.verify_signature(&signed).is_ok(), alg == "HS256", "{alg}");
        let other = ring("another secret").for_any_hmac();
        assert_eq!(other.verify_signature(&signed).unwrap_err(), VerifyError::Signature);
    }
    // Whoever has a public key has no secret.
    let public = Key::from_jwk(development::SIGNING_JWK).unwrap().public_jwk().unwrap().to_string();
    let forged = token(r#"{"alg":"HS384"}"#, "{}", &public);
    let public = KeySet::from_jwks(&public).unwrap();
    let error = KeyRing::new(public).for_any_hmac().verify_signature(&forged).unwrap_err();
    assert_eq!(error, VerifyError::NoKey { kid: None, alg: Algorithm::HS384 });
}

#[test]
fn ed25519_keys_sign_and_verify() {
    // The key pair of RFC 8037, appendix A.
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","key_ops":["sign"],
        "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let ring = KeyRing::new(KeySet::from_signing_keys(&format!("[{jwk}]")).unwrap());
    let signed = ring.sign(&json!({ "role": "anon" })).unwrap();
    assert_eq!(ring.verify(&signed).unwrap().algorithm, Algorithm::EdDSA);
    assert_eq!("Ed25519".parse(), Ok(Algorithm::EdDSA));
}

#[test]
fn rsa_keys_are_checked_against_the_published_example() {
    // RFC 7515, appendix A.2.
    let jwk = r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#;
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let keys = KeySet::from_jwks(jwk).unwrap();
    assert_eq!(keys.verify_signature(token).unwrap().expires_at, TimeClaim::At(1_300_819_380.0));
}

#[test]
fn every_curve_signs_and_verifies() {
    use aws_lc_rs::encoding::AsBigEndian as _;
    use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair as _};
    for (crv, alg, scheme) in [
        ("P-256", "ES256", &signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        ("P-384", "ES384", &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        ("P-521", "ES512", &signature::ECDSA_P521_SHA512_FIXED_SIGNING),
    ] {
        let pair = EcdsaKeyPair::generate(scheme).unwrap();
        let point = &pair.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        let jwk = json!([{
            "kty": "EC", "crv": crv, "key_ops": ["sign"], "x": base64url(x), "y": base64url(y),
            "d": base64url(pair.private_key().as_be_bytes().unwrap().as_ref()),
        }]);
        assert_signs_and_verifies(&jwk.to_string(), alg);
    }
}

#[test]
fn rsa_private_keys_sign_with_every_digest() {
    use aws_lc_rs::encoding::AsDer as _;
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der = pair.as_der().unwrap();
    // RFC 8017: version, n, e, d, p, q, dp, dq, qi.
    let numbers = rsa_numbers(der.as_ref());
    for alg in ["RS256", "RS384", "RS512"] {
        let mut jwk = json!({ "kty": "RSA", "alg": alg, "key_ops": ["sign", "verify"] });
        for (name, number) in ["n", "e", "d", "p", "q", "dp", "dq", "qi"].iter().zip(&numbers[1..]) {
            jwk[*name] = base64url(number).into();
        }
        assert_signs_and_verifies(&format!("[{jwk}]"), alg);
        jwk["d"] = base64url(&numbers[4]).into();
        let wrong = KeySet::from_signing_keys(&format!("[{jwk}]")).map(drop).unwrap_err();
        assert!(matches!(wrong, KeyError::At { index: 1, .. }), "{wrong}");
    }
}

fn assert_signs_and_verifies(jwks: &str, alg: &str) {
    let ring = KeyRing::new(KeySet::from_signing_keys(jwks).unwrap());
    let token = ring.sign(&json!({ "role": "anon" })).unwrap();
    assert_eq!(ring.verify(&token).unwrap().algorithm.as_str(), alg);
    // The public half alone verifies too, and cannot sign.
    let public = KeyRing::new(KeySet::from_jwks(&ring.jwks().to_string()).unwrap());
    assert_eq!(public.verify(&token).unwrap().role(), Some("anon"));
    assert!(public.sign(&json!({})).is_err());
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// The integers of a PKCS#8 RSA private key.
fn rsa_numbers(der: &[u8]) -> Vec<Vec<u8>> {
    fn take(der: &[u8]) -> (u8, &[u8], &[u8]) {
        let (tag, first) = (der[0], usize::from(der[1]));
        let (length, header) = if first < 0x80 {
            (first, 2)
        } else {
            let bytes = first & 0x7f;
            (der[2..2 + bytes].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), 2 + bytes)
        };
        (tag, &der[header..header + length], &der[header + length..])
    }
    let (_, outer, _) = take(der);
    let (_, _, rest) = take(outer); // version
    let (_, _, rest) = take(rest); // algorithm
    let (_, octets, _) = take(rest);
    let (_, mut numbers, _) = take(octets);
    let mut found = Vec::new();
    while !numbers.is_empty() {
        let (tag, number, rest) = take(numbers);
        assert_eq!(tag, 2);
        found.push(number.to_vec());
        numbers = rest;
    }
    found
}

#[test]
fn signing_keys_must_name_exactly_one_that_signs() {
    let public = Key::from_jwk(development::SIGNING_JWK).unwrap().public_jwk().unwrap().to_string();
    let load = |json: &str| KeySet::from_signing_keys(json).map(drop).unwrap_err();
    let one = development::SIGNING_JWK;
    assert_eq!(load(&format!("[{public}]")), KeyError::NoSigningKey);
    assert_eq!(load(&format!("[{one},{one}]")), KeyError::SeveralSigningKeys);
    assert_eq!(load("[{\n 1"), KeyError::Json { line: 2, column: 2 });
    let lacking = KeyError::At { index: 1, error: Box::new(KeyError::Missing("k")) };
    assert_eq!(load(r#"[{"kty":"oct"}]"#), lacking);
}

#[test]
fn replacing_the_keys_ends_every_cached_token() {
    let ring = ring("first");
    let token = ring.sign(&json!({ "role": "anon" })).unwrap();
    ring.verify(&token).unwrap();
    ring.clone().replace(KeySet::from_secret("second").unwrap());
    assert_eq!(ring.verify(&token).unwrap_err(), VerifyError::Signature);
}

#[test]
fn configured_keys_are_recognised_and_empty_ones_never_match() {
    let mut keys = development::api_keys();
    assert_eq!(keys.role_of(development::ANON_KEY), Some(ApiKeyRole::Anon));
    assert_eq!(keys.role_of(development::SECRET_KEY), Some(ApiKeyRole::ServiceRole));
    assert_eq!(keys.jwt_for_opaque(development::PUBLISHABLE_KEY), Some(development::ANON_KEY));
    assert_eq!(keys.jwt_for_opaque(development::ANON_KEY), None);
    keys.secret = "".into();
    assert_eq!(keys.role_of(""), None);
}

#[test]
fn generated_keys_work_together() {
    let secret = generate::secret().unwrap();
    assert!(secret.len() >= 40);
    let keys = generate::api_keys(&secret).unwrap();
    let ring = ring(&secret);
    assert_eq!(ring.verify(&keys.anon_jwt).unwrap().role(), Some("anon"));
    assert_eq!(ring.verify(&keys.service_role_jwt).unwrap().role(), Some("service_role"));
    assert_eq!(keys.publishable.len(), development::PUBLISHABLE_KEY.len());
    assert_eq!(keys.secret.len(), development::SECRET_KEY.len());
    assert!(generate::is_well_formed_opaque_key(&keys.secret));
    assert!(!generate::is_well_formed_opaque_key("sb_secret_é_____________"));
    let jwk = generate::signing_jwk().unwrap();
    let ring = KeyRing::new(KeySet::from_signing_keys(&format!("[{jwk}]")).unwrap());
    let token = ring.sign(&json!({ "role": "authenticated" })).unwrap();
    assert_eq!(ring.verify(&token).unwrap().algorithm, Algorithm::ES256);
}

#[test]
fn secrets_are_never_shown_by_debug() {
    let keys = KeySet::from_signing_keys(development::SIGNING_JWK)
        .unwrap()
        .with_secret(development::JWT_SECRET, None)
        .unwrap();
    let shown = format!("{keys:?} {:?} {:?}", KeyRing::new(KeySet::empty()), development::api_keys());
    assert!(!shown.contains("super-secret") && !shown.contains("dIhR8") && !shown.contains("eyJ"), "{shown}");
}

proptest! {
    #[test]
    fn no_text_makes_the_verifier_panic(text in ".{0,200}") {
        let _ = ring("secret").verify(&text);
        let _ = KeySet::from_jwks(&text);
        let _ = generate::is_well_formed_opaque_key(&text);
    }

    #[test]
    fn no_header_or_payload_makes_the_verifier_panic(header in any::<Vec<u8>>(), payload in any::<Vec<u8>>()) {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD as b64;
        let _ = ring("secret").verify(&format!("{}.{}.AA", b64.encode(header), b64.encode(payload)));
    }

    #[test]
    fn whatever_is_signed_verifies_and_reads_back(sub in ".*", exp in NOW + 1..NOW * 2) {
        let ring = ring("secret");
        let token = ring.sign(&json!({ "sub": sub, "exp": exp })).unwrap();
        let verified = ring.verify_at(&token, &Policy::EXACT, NOW).unwrap();
        prop_assert_eq!(verified.subject(), Some(sub.as_str()));
        prop_assert_eq!(verified.expires_at.seconds(), Some(exp as f64));
    }
}

#[test]
fn a_foreign_token_counts_under_its_issuers_name_only() {
    let key = generate::signing_jwk().unwrap();
    let theirs = KeyRing::new(KeySet::from_signing_keys(&serde_json::json!([key]).to_string()).unwrap());
    let public = theirs.jwks().to_string();
    let ring = KeyRing::new(KeySet::from_secret("ours").unwrap());
    let token = theirs.sign(&serde_json::json!({"iss": "https://theirs", "role": "authenticated"})).unwrap();
    assert!(ring.verify(&token).is_err());
    ring.trust(vec![Issuer::new("https://theirs", &public).unwrap()]);
    let verified = ring.verify(&token).unwrap();
    assert!(verified.is_foreign && verified.role() == Some("authenticated"));
    for iss in ["https://ours", "https://theirs/", ""] {
        let token = theirs.sign(&serde_json::json!({"iss": iss})).unwrap();
        assert!(ring.verify(&token).is_err(), "{iss}");
    }
    assert!(
        !ring.verify(&ring.sign(&serde_json::json!({"iss": "https://theirs"})).unwrap()).unwrap().is_foreign
    );
    ring.trust(Vec::new());
    assert!(ring.verify(&token).is_err(), "no verdict outlives its key");
}

#[test]
fn a_shared_secret_is_no_issuers_key() {
    let secret = r#"{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"a"}]}"#;
    assert!(Issuer::new("https://theirs", secret).is_err());
}

#[test]
fn the_next_key_signs_while_the_last_one_still_verifies() {
    let (old, mut new) = (generate::signing_jwk().unwrap(), generate::signing_jwk().unwrap());
    let ring = KeyRing::new(KeySet::from_signing_keys(&serde_json::json!([old]).to_string()).unwrap());
    let before = ring.sign(&serde_json::json!({"sub": "a"})).unwrap();
    let mut retired = old.clone();
    retired["key_ops"] = serde_json::json!(["verify"]);
    new["kid"] = "next".into();
    let both = serde_json::json!([new, retired]).to_string();
    ring.replace(KeySet::from_signing_keys(&both).unwrap());
    let after = ring.verify(&ring.sign(&serde_json::json!({"sub": "b"})).unwrap()).unwrap();
    assert_eq!(after.kid.as_deref(), Some("next"));
    assert_eq!(ring.verify(&before).unwrap().subject(), Some("a"));
    assert_eq!(ring.jwks()["keys"].as_array().unwrap().len(), 2);
    ring.replace(KeySet::from_signing_keys(&serde_json::json!([new]).to_string()).unwrap());
    assert!(ring.verify(&before).is_err());
}

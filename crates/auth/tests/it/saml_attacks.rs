//! What somebody without the provider's key may try: to change, move, wrap, repeat or withhold what the provider signed.

use chrono::TimeDelta;

use crate::saml::{begin, deliver, start, usual};
use crate::saml_provider::{
    Answer, EXCLUSIVE, OLD_CERTIFICATE, RSA_CERTIFICATE, Signing, metadata, with_signature,
};
use crate::service::Service;

/// Mallory's assertion is Ada's with another name and address, and maybe another id.
fn forged(answer: &Answer, id: &str) -> String {
    answer
        .assertion()
        .replace("ada-1815", "mallory")
        .replace("Ada@Example.com", "mallory@example.com")
        .replace(&format!("ID=\"{}\"", answer.id), &format!("ID=\"{id}\""))
}

async fn users(service: &Service) -> String {
    service.sql("select count(*) from auth.users").await
}

/// Nobody gets in, and the answer tells nothing of why.
async fn refused(service: &Service, xml: &str, relay_state: &str, what: &str) {
    let answer = deliver(service, xml, relay_state).await;
    assert_eq!(answer.status, 303, "{what}");
    assert_eq!(
        answer.headers["location"],
        "https://app.example.com/?error=invalid_request&error_code=validation_failed\
         &error_description=SAML+Assertion+is+not+valid",
        "{what}"
    );
    assert_eq!(users(service).await, "0", "{what}");
}

#[tokio::test]
async fn a_signed_assertion_cannot_be_wrapped() {
    let service = start(usual()).await;
    for forged_id in ["_forged", "same"] {
        let answer = Answer::new(None);
        let id = if forged_id == "same" { answer.id.clone() } else { forged_id.to_owned() };
        let plain = answer.assertion();
        let signature = answer.signature(&plain, &answer.id);
        let signed = with_signature(&plain, &signature);
        let evil = forged(&answer, &id);
        let before = |outer: &str, inner: &str| {
            outer.replacen("</saml:Assertion>", &format!("{inner}</saml:Assertion>"), 1)
        };
        let within = |signature: &str, inner: &str| {
            signature.replacen("</ds:Signature>", &format!("{inner}</ds:Signature>"), 1)
        };
        let extensions = |inner: &str| format!("<samlp:Extensions>{inner}</samlp:Extensions>");
        let object = |inner: &str| format!("<ds:Object>{inner}</ds:Object>");
        let variants = [
            ("3: beside it, first", answer.response(&format!("{evil}{signed}"))),
            ("3: beside it, last", answer.response(&format!("{signed}{evil}"))),
            ("4: around it", answer.response(&before(&evil, &signed))),
            (
                "5: with its signature, before it",
                answer.response(&format!("{}{plain}", with_signature(&evil, &signature))),
            ),
            ("5: with its signature, alone", answer.response(&with_signature(&evil, &signature))),
            (
                "6: around it, within the signature",
                answer.response(&with_signature(&evil, &within(&signature, &plain))),
            ),
            ("7: in extensions", answer.response(&format!("{}{signed}", extensions(&evil)))),
            (
                "7: beside extensions with the signed one",
                answer.response(&format!("{}{evil}", extensions(&signed))),
            ),
            (
                "8: around it, in an object",
                answer.response(&with_signature(&evil, &within(&signature, &object(&plain)))),
            ),
            (
                "8: beside an object",
                answer.response(&with_signature(&plain, &within(&signature, &object(&evil)))),
            ),
            (
                "in the status",
                answer.response(&evil).replacen(
                    "</samlp:Status>",
                    &format!("<samlp:StatusDetail>{signed}</samlp:StatusDetail></samlp:Status>"),
                    1,
                ),
            ),
        ];
        for (what, xml) in variants {
            refused(&service, &xml, "", &format!("{what}, id {forged_id}")).await;
        }
    }
}

#[tokio::test]
async fn a_signed_response_cannot_be_wrapped() {
    let service = start(usual()).await;
    let answer = Answer::new(None);
    let plain = answer.response(&answer.assertion());
    let signature = answer.signature(&plain, &answer.response_id);
    let signed = with_signature(&plain, &signature);
    for id in ["_forged", answer.response_id.as_str()] {
        let evil = answer.response_as(id, &forged(&answer, "_evil"));
        let within =
            |inner: &str| signature.replacen("</ds:Signature>", &format!("{inner}</ds:Signature>"), 1);
        let at_end =
            |inner: &str| evil.replacen("</samlp:Response>", &format!("{inner}</samlp:Response>"), 1);
        let variants = [
            ("1: the response within the signature", with_signature(&evil, &within(&plain))),
            ("2: the response beside the signature", with_signature(&at_end(&plain), &signature)),
            ("2: the response before the signature", with_signature(&evil, &format!("{plain}{signature}"))),
            ("the signed response at the end", at_end(&signed)),
            (
                "in extensions",
                with_signature(&evil, &format!("<samlp:Extensions>{signed}</samlp:Extensions>")),
            ),
            ("in an object", with_signature(&evil, &within(&format!("<ds:Object>{plain}</ds:Object>")))),
            ("with the signature alone", with_signature(&evil, &signature)),
            ("two signatures", with_signature(&evil, &format!("{signature}{signature}"))),
        ];
        for (what, xml) in variants {
            refused(&service, &xml, "", &format!("{what}, id {id}")).await;
        }
    }
    let two = answer.signed_response(&format!("{}{}", answer.assertion(), forged(&answer, "_evil")));
    refused(&service, &two, "", "two assertions, both signed").await;
}

#[tokio::test]
async fn what_is_not_signed_by_the_provider_is_refused() {
    let service = start(usual()).await;
    let answer = Answer::new(None);
    let signed = answer.xml();
    let strange = Answer { signing: Signing::Stranger, ..answer.clone() };
    let plain = answer.assertion();
    let more = "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"></ds:Transform>";
    let xslt = with_signature(&plain, &answer.signature_with(&plain, &answer.id, more, EXCLUSIVE));
    let inclusive = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
    let inclusive = with_signature(&plain, &answer.signature_with(&plain, &answer.id, "", inclusive));
    let elsewhere = with_signature(&plain, &answer.signature(&plain, "another"));
    let two_references = {
        let signature = answer.signature(&plain, &answer.id);
        let (start, end) =
            (signature.find("<ds:Reference").unwrap(), signature.find("</ds:SignedInfo>").unwrap());
        let reference = &signature[start..end];
        with_signature(&plain, &signature.replacen(reference, &format!("{reference}{reference}"), 1))
    };
    let variants = [
        ("not signed at all", answer.response(&plain)),
        ("changed", signed.replace("ada-1815", "mallory")),
        ("a character of white space more", signed.replace("<saml:Subject>", "<saml:Subject> ")),
        ("an attribute more", signed.replace("<saml:NameID ", "<saml:NameID SPProvidedID=\"x\" ")),
        ("a signature without an end", signed.replace("</ds:SignatureValue>", "AAAA</ds:SignatureValue>")),
        ("another's key", strange.xml()),
        ("a transform more", answer.response(&xslt)),
        ("inclusive canonicalization", answer.response(&inclusive)),
        ("a reference to something else", answer.response(&elsewhere)),
        ("two references", answer.response(&two_references)),
        ("HMAC with the public key", signed.replace("xmldsig-more#rsa-sha256", "xmldsig-more#hmac-sha256")),
        ("a document type", format!("<!DOCTYPE x [<!ENTITY e \"mallory\">]>{signed}")),
        ("an entity", signed.replace("ada-1815", "&e;")),
        ("a processing instruction", signed.replace("ada-1815", "ada-1815<?x?>")),
        ("no XML", "certainly".to_owned()),
        ("too deep", format!("{}{}", "<a>".repeat(5000), "</a>".repeat(5000))),
    ];
    for (what, xml) in variants {
        // The issuer of what is no response cannot be looked up.
        match what {
            "a document type" | "an entity" | "a processing instruction" | "no XML" | "too deep" => {
                let url = deliver(&service, &xml, "").await.headers["location"].clone();
                assert!(url.ends_with("SAMLResponse+is+not+a+valid+XML+SAML+assertion"), "{what}: {url}");
            }
            _ => refused(&service, &xml, "", what).await,
        }
    }
    assert_eq!(users(&service).await, "0");
    let answer = deliver(&service, &signed, "").await;
    assert_eq!(answer.status, 302, "unchanged, it is accepted: {}", answer.headers["location"]);
}

#[tokio::test]
async fn what_is_signed_for_another_place_time_or_question_is_refused() {
    let service = start(usual()).await;
    for (what, change) in [
        ("expired", (|answer| answer.not_on_or_after -= TimeDelta::minutes(6)) as fn(&mut Answer)),
        ("not yet valid", |answer| answer.not_before += TimeDelta::minutes(6)),
        ("issued long ago", |answer| answer.issued_at -= TimeDelta::minutes(2)),
        ("issued in the future", |answer| answer.issued_at += TimeDelta::minutes(6)),
        ("another audience", |answer| answer.audience = "https://other.example.com".into()),
        ("another recipient", |answer| answer.recipient = "https://other.example.com/acs".into()),
        ("another destination", |answer| answer.destination = "https://other.example.com/acs".into()),
        ("another issuer of the assertion", |answer| answer.issuer = "https://other.example.com".into()),
        ("an answer to nothing", |answer| answer.in_response_to = None),
        ("an answer to another question", |answer| answer.in_response_to = Some("id-other".into())),
        ("no success", |answer| {
            answer.status = "urn:oasis:names:tc:SAML:2.0:status:Responder".into();
        }),
    ] {
        let begun = begin(&service, "").await;
        let mut answer = Answer::new(Some(&begun.request_id));
        change(&mut answer);
        refused(&service, &answer.xml(), &begun.relay_state, what).await;
    }
    let begun = begin(&service, "").await;
    let mut answer = Answer::new(Some(&begun.request_id));
    answer.response_issuer = "https://other.example.com".into();
    refused(&service, &answer.xml(), &begun.relay_state, "another issuer of the response").await;
    // A clock may be a little wrong.
    let begun = begin(&service, "").await;
    let mut answer = Answer::new(Some(&begun.request_id));
    answer.not_on_or_after -= TimeDelta::minutes(2);
    assert_eq!(deliver(&service, &answer.xml(), &begun.relay_state).await.status, 302);
}

#[tokio::test]
async fn an_answer_is_good_for_one_sign_in() {
    let service = start(usual()).await;
    let begun = begin(&service, "").await;
    let xml = Answer::new(Some(&begun.request_id)).xml();
    assert_eq!(deliver(&service, &xml, &begun.relay_state).await.status, 302);
    let again = deliver(&service, &xml, &begun.relay_state).await.headers["location"].clone();
    assert_eq!(
        again,
        "https://app.example.com/?error=server_error&error_code=saml_relay_state_not_found\
         &error_description=SAML+RelayState+does+not+exist%2C+try+logging+in+again%3F"
    );
    for relay_state in ["", "https://app.example.com/"] {
        let again = deliver(&service, &xml, relay_state).await;
        assert!(again.headers["location"].ends_with("SAML+Assertion+is+not+valid"), "{relay_state}");
    }
    // Ten at once, begun by the provider: one of them gets in.
    let xml = Answer::new(None).xml();
    let all = futures_util::future::join_all((0..10).map(|_| deliver(&service, &xml, ""))).await;
    assert_eq!(all.iter().filter(|answer| answer.status == 302).count(), 1);
    assert_eq!(service.sql("select count(*) from auth.sessions").await, "2");
}

#[tokio::test]
async fn a_comment_does_not_cut_a_name_short() {
    let service = start(usual()).await;
    let mut answer = Answer::new(None);
    answer.name = "ada-1815.evil.example.com".into();
    let xml = answer.xml().replace("ada-1815.evil", "ada-1815<!-- -->.evil");
    assert_eq!(deliver(&service, &xml, "").await.status, 302, "comments are not part of what is signed");
    let name = "select provider_id from auth.identities";
    assert_eq!(service.sql(name).await, "ada-1815.evil.example.com", "nor do they part it");
}

#[tokio::test]
async fn a_key_that_has_ended_signs_nothing() {
    let service = start(usual()).await;
    let other = "https://old.example.com";
    crate::saml::register(&service, &metadata(other, &[OLD_CERTIFICATE]), &["old.example.com"]).await;
    let answer = Answer { issuer: other.into(), response_issuer: other.into(), ..Answer::new(None) };
    refused(&service, &answer.xml(), "", "the key ended in 2021").await;
}

#[tokio::test]
async fn a_provider_cannot_speak_for_another() {
    let service = start(usual()).await;
    let other = "https://other.example.com";
    crate::saml::register(&service, &metadata(other, &[RSA_CERTIFICATE]), &["other.example.com"]).await;
    // Its own answer, sent where the first provider's is awaited.
    let begun = begin(&service, "").await;
    let answer = Answer {
        issuer: other.into(),
        response_issuer: other.into(),
        ..Answer::new(Some(&begun.request_id))
    };
    refused(&service, &answer.xml(), &begun.relay_state, "another provider's answer").await;
    // The same name at two providers is two people.
    assert_eq!(deliver(&service, &Answer::new(None).xml(), "").await.status, 302);
    let answer = Answer { issuer: other.into(), response_issuer: other.into(), ..Answer::new(None) };
    assert_eq!(deliver(&service, &answer.xml(), "").await.status, 302);
    assert_eq!(users(&service).await, "2");
}

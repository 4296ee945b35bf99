//! An identity provider that says what a test wants it to say. What it writes is canonical as it stands, so that signing is
//! hashing and signing texts, and owes nothing to the code under test.

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, PrivateDecryptingKey};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RsaSignatureEncoding,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// The service's key: PKCS #1 in base64.
pub(crate) const SERVICE_KEY: &str = include_str!("saml/service.key.b64");
pub(crate) const ENTITY_ID: &str = "https://idp.example.com/metadata";
/// Where the service is.
pub(crate) const SERVICE: &str = "http://auth.test";
pub(crate) const PERSISTENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
pub(crate) const EMAIL: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";

pub(crate) fn pem(text: &str) -> Vec<u8> {
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    BASE64_STANDARD.decode(body).unwrap()
}

/// A certificate as metadata shows it.
fn certificate(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("-----")).collect::<Vec<_>>().join("\n")
}

/// Metadata with the provider's keys, or with those that ended.
pub(crate) fn metadata(entity_id: &str, certificates: &[&str]) -> String {
    let keys: String = certificates
        .iter()
        .map(|text| {
            format!(
                "<KeyDescriptor use=\"signing\"><ds:KeyInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:X509Data>\
                 <ds:X509Certificate>\n{}\n</ds:X509Certificate></ds:X509Data></ds:KeyInfo></KeyDescriptor>",
                certificate(text)
            )
        })
        .collect();
    format!(
        "<?xml version=\"1.0\"?>\n<EntityDescriptor xmlns=\"urn:oasis:names:tc:SAML:2.0:metadata\" \
         entityID=\"{entity_id}\"><IDPSSODescriptor \
         protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">{keys}\
         <SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" \
         Location=\"https://idp.example.com/sign-in?tenant=a%26b\"/></IDPSSODescriptor></EntityDescriptor>"
    )
}

pub(crate) const RSA_CERTIFICATE: &str = include_str!("saml/rsa.crt");
pub(crate) const EC_CERTIFICATE: &str = include_str!("saml/ec.crt");
pub(crate) const OLD_CERTIFICATE: &str = include_str!("saml/old.crt");

pub(crate) fn usual_metadata() -> String {
    metadata(ENTITY_ID, &[EC_CERTIFICATE, RSA_CERTIFICATE])
}

/// How the provider signs.
#[derive(Clone, Copy)]
pub(crate) enum Signing {
    Rsa256,
    Rsa384,
    Rsa512,
    Ec256,
    /// With a key that nobody knows.
    Stranger,
}

/// What the provider says.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) response_id: String,
    pub(crate) id: String,
    pub(crate) issuer: String,
    pub(crate) response_issuer: String,
    pub(crate) destination: String,
    pub(crate) recipient: String,
    pub(crate) audience: String,
    pub(crate) in_response_to: Option<String>,
    pub(crate) issued_at: DateTime<Utc>,
    pub(crate) not_before: DateTime<Utc>,
    pub(crate) not_on_or_after: DateTime<Utc>,
    pub(crate) name: String,
    pub(crate) name_format: String,
    pub(crate) attributes: Vec<(&'static str, Vec<&'static str>)>,
    pub(crate) session_end: Option<DateTime<Utc>>,
    pub(crate) status: String,
    pub(crate) signing: Signing,
}

fn at(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn random() -> String {
    format!("_{}", uuid::Uuid::new_v4().simple())
}

impl Answer {
    /// Ada signs in.
    pub(crate) fn new(request_id: Option<&str>) -> Self {
        let now = Utc::now();
        Self {
            response_id: random(),
            id: random(),
            issuer: ENTITY_ID.into(),
            response_issuer: ENTITY_ID.into(),
            destination: format!("{SERVICE}/sso/saml/acs"),
            recipient: format!("{SERVICE}/sso/saml/acs"),
            audience: format!("{SERVICE}/sso/saml/metadata"),
            in_response_to: request_id.map(str::to_owned),
            issued_at: now,
            not_before: now - TimeDelta::seconds(10),
            not_on_or_after: now + TimeDelta::seconds(60),
            name: "ada-1815".into(),
            name_format: PERSISTENT.into(),
            attributes: vec![("mail", vec!["Ada@Example.com"])],
            session_end: None,
            status: "urn:oasis:names:tc:SAML:2.0:status:Success".into(),
            signing: Signing::Rsa256,
        }
    }

    fn answers(&self) -> String {
        self.in_response_to.as_ref().map(|id| format!(" InResponseTo=\"{id}\"")).unwrap_or_default()
    }

    /// The assertion, unsigned.
    pub(crate) fn assertion(&self) -> String {
        let attributes: String = self
            .attributes
            .iter()
            .map(|(name, values)| {
                let values: String = values
                    .iter()
                    .map(|value| format!("<saml:AttributeValue>{value}</saml:AttributeValue>"))
                    .collect();
                format!("<saml:Attribute Name=\"{name}\">{values}</saml:Attribute>")
            })
            .collect();
        let session_end =
            self.session_end.map(|end| format!(" SessionNotOnOrAfter=\"{}\"", at(end))).unwrap_or_default();
        format!(
            "<saml:Assertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"{id}\" IssueInstant=\"{now}\" \
             Version=\"2.0\"><saml:Issuer>{issuer}</saml:Issuer><saml:Subject>\
             <saml:NameID Format=\"{format}\">{name}</saml:NameID>\
             <saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">\
             <saml:SubjectConfirmationData{answers} NotOnOrAfter=\"{until}\" Recipient=\"{recipient}\">\
             </saml:SubjectConfirmationData></saml:SubjectConfirmation></saml:Subject>\
             <saml:Conditions NotBefore=\"{from}\" NotOnOrAfter=\"{until}\"><saml:AudienceRestriction>\
             <saml:Audience>{audience}</saml:Audience></saml:AudienceRestriction></saml:Conditions>\
             <saml:AuthnStatement AuthnInstant=\"{now}\"{session_end}><saml:AuthnContext><saml:AuthnContextClassRef>\
             urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext>\
             </saml:AuthnStatement><saml:AttributeStatement>{attributes}</saml:AttributeStatement></saml:Assertion>",
            id = self.id,
            now = at(self.issued_at),
            issuer = self.issuer,
            format = self.name_format,
            name = self.name,
            answers = self.answers(),
            until = at(self.not_on_or_after),
            from = at(self.not_before),
            recipient = self.recipient,
            audience = self.audience,
        )
    }

    /// A response around an assertion, or around whatever a test puts there.
    pub(crate) fn response(&self, content: &str) -> String {
        self.response_as(&self.response_id, content)
    }

    pub(crate) fn response_as(&self, id: &str, content: &str) -> String {
        format!(
            "<samlp:Response xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" Destination=\"{}\" ID=\"{id}\"{} \
             IssueInstant=\"{}\" Version=\"2.0\"><saml:Issuer xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">{}\
             </saml:Issuer><samlp:Status><samlp:StatusCode Value=\"{}\"></samlp:StatusCode></samlp:Status>{content}\
             </samlp:Response>",
            self.destination,
            self.answers(),
            at(self.issued_at),
            self.response_issuer,
            self.status,
        )
    }

    /// The signature of an element that has this id.
    pub(crate) fn signature(&self, element: &str, id: &str) -> String {
        self.signature_with(element, id, "", EXCLUSIVE)
    }

    /// The same with more in its reference, or with another canonicalization.
    pub(crate) fn signature_with(&self, element: &str, id: &str, more: &str, method: &str) -> String {
        let (name, algorithm, digest_name) = match self.signing {
            Signing::Rsa256 | Signing::Stranger => ("rsa-sha256", &digest::SHA256, SHA256),
            Signing::Rsa384 => {
                ("rsa-sha384", &digest::SHA384, "http://www.w3.org/2001/04/xmldsig-more#sha384")
            }
            Signing::Rsa512 => ("rsa-sha512", &digest::SHA512, "http://www.w3.org/2001/04/xmlenc#sha512"),
            Signing::Ec256 => ("ecdsa-sha256", &digest::SHA256, SHA256),
        };
        let digest = BASE64_STANDARD.encode(digest::digest(algorithm, element.as_bytes()));
        let info = format!(
            "<ds:CanonicalizationMethod Algorithm=\"{method}\"></ds:CanonicalizationMethod>\
             <ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#{name}\"></ds:SignatureMethod>\
             <ds:Reference URI=\"#{id}\"><ds:Transforms>\
             <ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"></ds:Transform>\
             <ds:Transform Algorithm=\"{method}\"></ds:Transform>{more}</ds:Transforms>\
             <ds:DigestMethod Algorithm=\"{digest_name}\"></ds:DigestMethod>\
             <ds:DigestValue>{digest}</ds:DigestValue></ds:Reference>"
        );
        let canonical =
            format!("<ds:SignedInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">{info}</ds:SignedInfo>");
        let value = BASE64_STANDARD.encode(sign(self.signing, canonical.as_bytes()));
        format!(
            "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:SignedInfo>{info}</ds:SignedInfo>\
             <ds:SignatureValue>\n{value}\n</ds:SignatureValue></ds:Signature>"
        )
    }

    /// The assertion with its signature.
    pub(crate) fn signed_assertion(&self) -> String {
        let plain = self.assertion();
        with_signature(&plain, &self.signature(&plain, &self.id))
    }

    /// What most providers send: a signed assertion in a response that is not.
    pub(crate) fn xml(&self) -> String {
        self.response(&self.signed_assertion())
    }

    /// A response that is signed whole, and its assertion only by that.
    pub(crate) fn signed_response(&self, content: &str) -> String {
        let plain = self.response(content);
        with_signature(&plain, &self.signature(&plain, &self.response_id))
    }
}

pub(crate) const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";

/// Puts a signature where the schema wants it: behind the issuer.
pub(crate) fn with_signature(element: &str, signature: &str) -> String {
    element.replacen("</saml:Issuer>", &format!("</saml:Issuer>{signature}"), 1)
}

fn sign(signing: Signing, message: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    if let Signing::Ec256 = signing {
        let key = pem(include_str!("saml/ec.key"));
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key).unwrap();
        return key.sign(&random, message).unwrap().as_ref().to_vec();
    }
    let encoding: &'static RsaSignatureEncoding = match signing {
        Signing::Rsa384 => &RSA_PKCS1_SHA384,
        Signing::Rsa512 => &RSA_PKCS1_SHA512,
        _ => &RSA_PKCS1_SHA256,
    };
    let key = match signing {
        Signing::Stranger => RsaKeyPair::from_der(&BASE64_STANDARD.decode(SERVICE_KEY).unwrap()),
        _ => RsaKeyPair::from_pkcs8(&pem(include_str!("saml/rsa.key"))),
    };
    let key = key.unwrap();
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(encoding, &random, message, &mut signature).unwrap();
    signature
}

/// The service's key for encryption, from its private key.
pub(crate) fn service_key() -> PrivateDecryptingKey {
    let pkcs1 = BASE64_STANDARD.decode(SERVICE_KEY).unwrap();
    let value = |tag: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82][..], &length, content].concat()
    };
    let algorithm = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let inner = [&[2, 1, 0][..], &algorithm, &value(4, &pkcs1)].concat();
    PrivateDecryptingKey::from_pkcs8(&value(0x30, &inner)).unwrap()
}

//! Ourselves, as identity providers know us: two addresses and one key.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Months, TimeDelta, Utc};

use super::request::escape_xml;
use super::{binding, certificate, der, encryption, format, ns, time};
use crate::config::{ConfigError, Saml};
use crate::http::GoUrl;

const PRIVATE_KEY: &str = "GOTRUE_SAML_PRIVATE_KEY";
/// How long our metadata holds for those who fetch it, and for those who keep a file.
const VALID_DAYS: i64 = 2;
const FILE_VALID_MONTHS: u32 = 5 * 12;

/// The service provider.
pub(crate) struct ServiceProvider {
    /// Our name, which is where our metadata is.
    pub(crate) entity_id: String,
    /// Where providers send answers to.
    pub(crate) acs_url: String,
    key: KeyPair,
    decrypting_key: Option<OaepPrivateDecryptingKey>,
    /// In base64.
    certificate: String,
}

impl ServiceProvider {
    /// Ourselves at an address; without an own one for SAML, at the service's.
    pub(crate) fn new(config: &Saml, external_url: &str) -> Result<Self, ConfigError> {
        let refused = |reason: &str| ConfigError::invalid(PRIVATE_KEY, reason);
        let der = BASE64_STANDARD
            .decode(config.private_key.expose())
            .map_err(|_| refused("SAML private key not in standard Base64 format"))?;
        let exponent = exponent(&der).ok_or_else(|| refused("SAML private key not in PKCS#1 format"))?;
        if exponent != [1, 0, 1] {
            return Err(refused("SAML private key should use the 65537 (0x10001) RSA public exponent"));
        }
        let key = KeyPair::from_der(&der).map_err(|error| match error.to_string().as_str() {
            "TooSmall" => refused("SAML private key must be at least RSA 2048"),
            _ => refused("SAML private key not in PKCS#1 format"),
        })?;
        let decrypting_key = match config.allow_encrypted_assertions {
            true => {
                Some(decrypting_key(&der).ok_or_else(|| refused("SAML private key not in PKCS#1 format"))?)
            }
            false => None,
        };
        let name = GoUrl::parse(external_url).map(|url| url.hostname().to_owned()).unwrap_or_default();
        let certificate = certificate::own(&key, &name, config.allow_encrypted_assertions)
            .ok_or_else(|| refused("the key cannot sign"))?;
        let base = config.external_url.as_deref().unwrap_or(external_url);
        let is_url = GoUrl::parse(base).is_some_and(|url| !url.scheme().is_empty() || base.starts_with('/'));
        if !is_url {
            return Err(ConfigError::invalid("GOTRUE_SAML_EXTERNAL_URL", "is not a URL"));
        }
        let base = base.split(['?', '#']).next().unwrap_or_default();
        let base = base.strip_suffix('/').unwrap_or(base);
        Ok(Self {
            entity_id: format!("{base}/sso/saml/metadata"),
            acs_url: format!("{base}/sso/saml/acs"),
            key,
            decrypting_key,
            certificate: BASE64_STANDARD.encode(certificate),
        })
    }

    /// The key that opens encrypted assertions, if they are allowed.
    pub(super) fn decrypting_key(&self) -> Option<&OaepPrivateDecryptingKey> {
        self.decrypting_key.as_ref()
    }

    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
        Some(signature)
    }

    /// Our metadata. A file that somebody keeps holds for years.
    pub(crate) fn metadata(&self, now: DateTime<Utc>, is_file: bool) -> String {
        let soon = time::written(now + TimeDelta::days(VALID_DAYS));
        let later = now.checked_add_months(Months::new(FILE_VALID_MONTHS)).map(time::written);
        let entity_until = later.filter(|_| is_file).unwrap_or_else(|| soon.clone());
        let key = |usage: &str, methods: &[&str]| {
            let methods: String = methods
                .iter()
                .map(|method| format!("<EncryptionMethod Algorithm=\"{method}\"></EncryptionMethod>"))
                .collect();
            format!(
                "<KeyDescriptor use=\"{usage}\"><KeyInfo xmlns=\"{0}\"><X509Data xmlns=\"{0}\">\
                 <X509Certificate xmlns=\"{0}\">{1}</X509Certificate></X509Data></KeyInfo>{methods}</KeyDescriptor>",
                ns::SIGNATURE,
                self.certificate
            )
        };
        let encryption = match self.decrypting_key {
            Some(_) => key("encryption", &encryption::METHODS),
            None => String::new(),
        };
        format!(
            "<EntityDescriptor xmlns=\"{metadata}\" validUntil=\"{entity_until}\" entityID=\"{entity_id}\">\
             <SPSSODescriptor xmlns=\"{metadata}\" validUntil=\"{soon}\" \
             protocolSupportEnumeration=\"{protocol}\" WantAssertionsSigned=\"true\">{encryption}{signing}\
             <NameIDFormat>{email}</NameIDFormat><NameIDFormat>{persistent}</NameIDFormat>\
             <AssertionConsumerService Binding=\"{post}\" Location=\"{acs_url}\" index=\"1\">\
             </AssertionConsumerService></SPSSODescriptor></EntityDescriptor>",
            metadata = ns::METADATA,
            protocol = ns::PROTOCOL,
            entity_id = escape_xml(&self.entity_id),
            signing = key("signing", &[]),
            email = format::EMAIL_ADDRESS,
            persistent = format::PERSISTENT,
            post = binding::POST,
            acs_url = escape_xml(&self.acs_url),
        )
    }
}

/// The public exponent of an RSA private key in PKCS #1.
fn exponent(key: &[u8]) -> Option<&[u8]> {
    let mut outer = der::Reader::new(key);
    let mut fields = outer.sequence().filter(|_| outer.is_empty())?;
    fields.read(der::INTEGER)?;
    fields.read(der::INTEGER)?;
    fields.read(der::INTEGER)
}

fn decrypting_key(pkcs1: &[u8]) -> Option<OaepPrivateDecryptingKey> {
    let pkcs8 = der::of(
        der::SEQUENCE,
        &[
            der::value(der::INTEGER, &[0]),
            der::of(
                der::SEQUENCE,
                &[der::value(der::OID, certificate::RSA_ENCRYPTION), der::value(der::NULL, &[])],
            ),
            der::value(der::OCTET_STRING, pkcs1),
        ],
    );
    OaepPrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(&pkcs8).ok()?).ok()
}

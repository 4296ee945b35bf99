//! What an identity provider publishes of itself: its name, where people sign in, its keys.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::certificate::Certificate;
use super::signature::base64;
use super::xml::{Document, Element};
use super::{Refused, binding, ns, time};

/// Most keys of a provider; each may be tried for each signature.
const MAX_KEYS: usize = 16;
/// How often metadata is fetched again that does not say how long it holds.
const USUAL_AGE: Duration = Duration::from_secs(24 * 3600);

/// An identity provider as its metadata describes it.
#[derive(Debug)]
pub(crate) struct IdentityProvider {
    pub(crate) entity_id: String,
    /// Where people are sent to sign in; empty if they cannot be sent there by a redirect.
    pub(crate) sign_in_url: String,
    pub(super) keys: Vec<Certificate>,
    pub(crate) valid_until: Option<DateTime<Utc>>,
    cache_duration: Option<Duration>,
}

/// Why metadata cannot be used, for an administrator to read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetadataError {
    #[error("SAML Metadata XML contains invalid UTF-8 characters, which are not supported at this time")]
    NotUtf8,
    #[error("SAML Metadata is not valid: {0}")]
    Xml(#[from] Refused),
    #[error("SAML Metadata does not contain an EntityID")]
    NoEntityId,
    #[error("SAML Metadata does not contain any IDPSSODescriptor")]
    NoDescriptor,
    #[error("SAML Metadata contains multiple IDPSSODescriptors")]
    ManyDescriptors,
}

impl IdentityProvider {
    /// Reads metadata of one provider, or of several of which the first that signs people in counts.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, MetadataError> {
        if std::str::from_utf8(bytes).is_err() {
            return Err(MetadataError::NotUtf8);
        }
        let document = Document::parse(bytes)?;
        let root = document.root();
        let descriptors = |entity: Element<'_>| entity.all(ns::METADATA, "IDPSSODescriptor").count();
        let entity = if root.is(ns::METADATA, "EntitiesDescriptor") {
            let mut entities = root.all(ns::METADATA, "EntityDescriptor");
            entities.find(|entity| descriptors(*entity) > 0).ok_or(MetadataError::NoDescriptor)?
        } else if root.is(ns::METADATA, "EntityDescriptor") {
            root
        } else {
            return Err(Refused::Content("it is no EntityDescriptor").into());
        };
        let entity_id = entity.attribute("entityID").unwrap_or_default();
        if entity_id.is_empty() {
            return Err(MetadataError::NoEntityId);
        }
        let mut found = entity.all(ns::METADATA, "IDPSSODescriptor");
        let descriptor = found.next().ok_or(MetadataError::NoDescriptor)?;
        if found.next().is_some() {
            return Err(MetadataError::ManyDescriptors);
        }
        let valid_until = match entity.attribute("validUntil") {
            Some(text) => Some(time::instant(text).ok_or(Refused::Content("validUntil is no instant"))?),
            None => None,
        };
        let cache_duration = match entity.attribute("cacheDuration") {
            Some(text) => Some(time::duration(text).ok_or(Refused::Content("cacheDuration is no duration"))?),
            None => None,
        };
        Ok(Self {
            entity_id: entity_id.to_owned(),
            sign_in_url: sign_in_url(descriptor)?,
            keys: keys(descriptor)?,
            valid_until,
            cache_duration: cache_duration.filter(|duration| !duration.is_zero()),
        })
    }

    /// Whether metadata that was fetched then is to be fetched again.
    pub(crate) fn is_stale(&self, fetched_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        let is_older =
            |age: Duration| now.signed_duration_since(fetched_at).to_std().is_ok_and(|passed| passed > age);
        match (self.valid_until, self.cache_duration) {
            (None, None) => is_older(USUAL_AGE),
            (until, age) => until.is_some_and(|until| now > until) || age.is_some_and(is_older),
        }
    }
}

fn sign_in_url(descriptor: Element<'_>) -> Result<String, Refused> {
    let mut services = descriptor.all(ns::METADATA, "SingleSignOnService");
    let service = services.find(|service| service.attribute("Binding") == Some(binding::REDIRECT));
    let url = service.and_then(|service| service.attribute("Location")).unwrap_or_default();
    let is_web = |url: &str| {
        crate::http::GoUrl::parse(url)
            .is_some_and(|url| matches!(url.scheme(), "http" | "https") && !url.hostname().is_empty())
    };
    if !url.is_empty() && !is_web(url) {
        return Err(Refused::Content("the address to sign in at is none of the web"));
    }
    Ok(url.to_owned())
}

/// The keys that sign: those that are for it, or for anything. One of a kind that we cannot use is passed over.
fn keys(descriptor: Element<'_>) -> Result<Vec<Certificate>, Refused> {
    let mut keys = Vec::new();
    for key in descriptor.all(ns::METADATA, "KeyDescriptor") {
        if !matches!(key.attribute("use"), None | Some("" | "signing")) {
            continue;
        }
        let vessels = key
            .all(ns::SIGNATURE, "KeyInfo")
            .flat_map(|info| info.all(ns::SIGNATURE, "X509Data"))
            .flat_map(|data| data.all(ns::SIGNATURE, "X509Certificate"));
        for vessel in vessels {
            keys.extend(Certificate::parse(&base64(&vessel.plain_text()?)?));
        }
    }
    if keys.len() > MAX_KEYS {
        return Err(Refused::Content("it has too many keys"));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HEAD: &str = "<EntityDescriptor xmlns=\"urn:oasis:names:tc:SAML:2.0:metadata\"";

    fn parse(text: &str) -> Result<IdentityProvider, String> {
        IdentityProvider::parse(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_provider_is_described() {
        let provider = parse(&format!(
            "{HEAD} entityID=\"https://idp\" validUntil=\"2030-01-01T00:00:00Z\"><IDPSSODescriptor>\
             <SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\" Location=\"https://idp/post\"/>\
             <SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" Location=\"https://idp/a?b=c\"/>\
             </IDPSSODescriptor></EntityDescriptor>"
        ))
        .unwrap();
        assert_eq!(provider.entity_id, "https://idp");
        assert_eq!(provider.sign_in_url, "https://idp/a?b=c");
        assert_eq!(provider.valid_until.map(time::written).as_deref(), Some("2030-01-01T00:00:00.000Z"));
    }

    #[test]
    fn of_several_the_first_that_signs_people_in_counts() {
        let provider = parse(
            "<m:EntitiesDescriptor xmlns:m=\"urn:oasis:names:tc:SAML:2.0:metadata\"><m:EntityDescriptor entityID=\"a\"/>\
             <m:EntityDescriptor entityID=\"b\"><m:IDPSSODescriptor/></m:EntityDescriptor></m:EntitiesDescriptor>",
        );
        assert_eq!(provider.unwrap().entity_id, "b");
    }

    #[test]
    fn what_is_missing_is_named() {
        let reason = |text: &str| parse(text).unwrap_err();
        assert_eq!(reason(&format!("{HEAD}/>")), "SAML Metadata does not contain an EntityID");
        assert_eq!(
            reason(&format!("{HEAD} entityID=\"x\"/>")),
            "SAML Metadata does not contain any IDPSSODescriptor"
        );
        assert_eq!(
            reason(&format!(
                "{HEAD} entityID=\"x\"><IDPSSODescriptor/><IDPSSODescriptor/></EntityDescriptor>"
            )),
            "SAML Metadata contains multiple IDPSSODescriptors"
        );
        assert_eq!(reason("<a/>"), "SAML Metadata is not valid: it is no EntityDescriptor");
        assert_eq!(
            IdentityProvider::parse(b"\xff").unwrap_err().to_string(),
            "SAML Metadata XML contains invalid UTF-8 characters, which are not supported at this time"
        );
        assert_eq!(
            reason(&format!(
                "{HEAD} entityID=\"x\"><IDPSSODescriptor><SingleSignOnService Location=\"javascript:alert(1)\" \
                 Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\"/></IDPSSODescriptor></EntityDescriptor>"
            )),
            "SAML Metadata is not valid: the address to sign in at is none of the web"
        );
    }

    #[test]
    fn metadata_is_fetched_again_as_it_says() {
        let start = DateTime::UNIX_EPOCH;
        let stale = |attributes: &str, after: i64| {
            let text = format!("{HEAD} entityID=\"x\" {attributes}><IDPSSODescriptor/></EntityDescriptor>");
            parse(&text).unwrap().is_stale(start, start + chrono::Duration::seconds(after))
        };
        assert!(!stale("", 86_400) && stale("", 86_401));
        assert!(!stale("cacheDuration=\"PT1H\"", 3600) && stale("cacheDuration=\"PT1H\"", 3601));
        let until = "validUntil=\"1970-01-03T00:00:00Z\"";
        assert!(!stale(until, 100_000) && stale(until, 172_801));
    }
}

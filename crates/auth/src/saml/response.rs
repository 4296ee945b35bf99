//! The answer of a provider: what of it is signed, and whether that is meant for us.

use chrono::{DateTime, Duration, Utc};

use super::assertion::instant;
use super::encryption::decrypt;
use super::signature::{Keys, verify};
use super::xml::{Document, Element};
use super::{Assertion, IdentityProvider, Refused, ServiceProvider, ns};

/// How old an answer may be.
const MAX_AGE: Duration = Duration::seconds(90);
/// How far a provider's clock may be from ours.
const MAX_SKEW: Duration = Duration::seconds(180);
const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";

/// What an answer has to fit.
pub(crate) struct Expected<'a> {
    pub(crate) service: &'a ServiceProvider,
    /// The provider's name.
    pub(crate) issuer: &'a str,
    /// The request that it answers; none where the provider may begin by itself.
    pub(crate) request_id: Option<&'a str>,
    pub(crate) now: DateTime<Utc>,
}

impl Expected<'_> {
    pub(super) fn check_age(&self, issued_at: DateTime<Utc>) -> Result<(), Refused> {
        let age = self.now.signed_duration_since(issued_at);
        if age > MAX_AGE || age < -MAX_SKEW {
            return Err(Refused::Content("it was not issued just now"));
        }
        Ok(())
    }

    /// Whether now is within a span; one without an end never is.
    pub(super) fn is_due(&self, from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> bool {
        let after = |end: DateTime<Utc>| self.now.signed_duration_since(end);
        from.is_none_or(|from| after(from) >= -MAX_SKEW) && to.is_some_and(|to| after(to) <= MAX_SKEW)
    }
}

/// Who claims to have sent an answer: to look for the keys that prove it, and for nothing else.
pub(crate) fn peek_issuer(xml: &[u8]) -> Option<String> {
    let document = Document::parse(xml).ok()?;
    let root = document.root();
    if !root.is(ns::PROTOCOL, "Response") {
        return None;
    }
    match root.only(ns::ASSERTION, "Issuer").ok()? {
        Some(issuer) => Some(issuer.plain_text().ok()?.trim().to_owned()),
        None => Some(String::new()),
    }
}

/// The assertion in an answer, if it is the provider's and fits what is expected.
///
/// Whatever is read of the assertion comes from bytes that a key of the provider signed: those of the whole answer, or those
/// of the assertion itself.
pub(crate) fn accept(
    xml: &[u8],
    provider: &IdentityProvider,
    expected: &Expected<'_>,
) -> Result<Assertion, Refused> {
    let keys = Keys { certificates: &provider.keys, now: expected.now };
    let received = parse(xml)?;
    let response = received.root();
    if !response.is(ns::PROTOCOL, "Response") {
        return Err(Refused::Content("it is no response"));
    }
    let assertion = match verify(response, keys)? {
        Some(signed) => {
            let signed = parse(&signed)?;
            check(signed.root(), true, expected)?;
            let content = content(signed.root())?;
            if content.is(ns::ASSERTION, "EncryptedAssertion") {
                let plain = parse(&open(content, expected.service)?)?;
                Assertion::read(plain.root())?
            } else {
                Assertion::read(content)?
            }
        }
        None => {
            check(response, false, expected)?;
            let content = content(response)?;
            let signed = if content.is(ns::ASSERTION, "EncryptedAssertion") {
                let plain = parse(&open(content, expected.service)?)?;
                verify(plain.root(), keys)?
            } else {
                verify(content, keys)?
            };
            let signed = signed.ok_or(Refused::Signature("there is none"))?;
            Assertion::read(parse(&signed)?.root())?
        }
    };
    assertion.check(expected)?;
    Ok(assertion)
}

fn parse(xml: &[u8]) -> Result<Document, Refused> {
    let document = Document::parse(xml)?;
    document.check_ids()?;
    Ok(document)
}

fn open(content: Element<'_>, service: &ServiceProvider) -> Result<Vec<u8>, Refused> {
    let key = service.decrypting_key().ok_or(Refused::Content("encrypted assertions are not allowed"))?;
    decrypt(content, key)
}

/// The one assertion of an answer. Elsewhere in it there is none: nobody needs a second but for attacks.
fn content(response: Element<'_>) -> Result<Element<'_>, Refused> {
    let is_assertion = |element: &Element<'_>| {
        element.is(ns::ASSERTION, "Assertion") || element.is(ns::ASSERTION, "EncryptedAssertion")
    };
    let mut found = response.document().elements().filter(is_assertion);
    let one = found.next().ok_or(Refused::Content("it has no assertion"))?;
    if found.next().is_some() || !response.children().any(|child| child == one) {
        return Err(Refused::Content("it has not exactly one assertion, in its place"));
    }
    Ok(one)
}

fn check(response: Element<'_>, is_signed: bool, expected: &Expected<'_>) -> Result<(), Refused> {
    if response.attribute("Version") != Some("2.0") {
        return Err(Refused::Content("the response is none of SAML 2.0"));
    }
    let destination = response.attribute("Destination").unwrap_or_default();
    if (is_signed || !destination.is_empty()) && destination != expected.service.acs_url {
        return Err(Refused::Content("it was sent elsewhere"));
    }
    if expected.request_id.is_some_and(|id| response.attribute("InResponseTo") != Some(id)) {
        return Err(Refused::Content("it answers another request"));
    }
    let issued_at = instant(response, "IssueInstant")?;
    expected.check_age(issued_at.ok_or(Refused::Content("it does not say when it was issued"))?)?;
    if let Some(issuer) = response.only(ns::ASSERTION, "Issuer")?
        && issuer.plain_text()?.trim() != expected.issuer
    {
        return Err(Refused::Content("it has another issuer"));
    }
    let status = response.only(ns::PROTOCOL, "Status")?;
    let code = match status {
        Some(status) => status.only(ns::PROTOCOL, "StatusCode")?,
        None => None,
    };
    if code.and_then(|code| code.attribute("Value")) != Some(SUCCESS) {
        return Err(Refused::Content("it tells of no success"));
    }
    Ok(())
}

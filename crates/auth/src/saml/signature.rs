//! Enveloped XML signatures, of the one shape that SAML prescribes (SAML core, 5.4).
//!
//! The signature is a child of what it signs, refers to it by its id, and nothing but exclusive canonicalization stands
//! between the two. All keys come from the provider's metadata; what the signature says of its own key is not read.

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use subtle::ConstantTimeEq;

use super::canonical::canonicalize;
use super::certificate::{Certificate, Hash};
use super::xml::{Document, Element};
use super::{Refused, ns};

const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
/// Most prefixes that are to be treated as inclusive canonicalization does.
const MAX_PREFIXES: usize = 16;

/// Keys of a provider, and the moment at which they have to hold.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    pub(super) certificates: &'a [Certificate],
    pub(super) now: DateTime<Utc>,
}

/// Verifies the signature of an element and returns the bytes that it is over, without the signature. `None` if the element
/// has no signature of its own; one that does not hold is refused.
pub(super) fn verify(element: Element<'_>, keys: Keys<'_>) -> Result<Option<Vec<u8>>, Refused> {
    let Some(signature) = element.only(ns::SIGNATURE, "Signature")? else { return Ok(None) };
    let mut parts = signature.children().peekable();
    let signed_info = next(&mut parts, "SignedInfo")?;
    let value = base64(&next(&mut parts, "SignatureValue")?.plain_text()?)?;
    if parts.peek().is_some_and(|part| part.is(ns::SIGNATURE, "KeyInfo")) {
        parts.next();
    }
    if parts.next().is_some() {
        return Err(Refused::Signature("it contains more than it needs"));
    }

    let method = only(signed_info, "CanonicalizationMethod")?;
    let prefixes = exclusive(method)?;
    let bytes = canonicalize(signed_info, None, &prefixes);
    // What is read from here on is what was signed, and nothing beside it.
    let document = Document::parse(&bytes)?;
    let info = Info::read(document.root())?;
    let made_it = |certificate: &Certificate| {
        certificate.holds_at(keys.now)
            && certificate.verifies(info.is_rsa, info.signature_hash, &bytes, &value)
    };
    if !keys.certificates.iter().any(made_it) {
        return Err(Refused::Signature("none of the provider's keys made it"));
    }

    let id = element
        .attribute("ID")
        .filter(|id| !id.is_empty())
        .ok_or(Refused::Signature("its element has no id"))?;
    if info.reference.strip_prefix('#') != Some(id) {
        return Err(Refused::Signature("it is over something else"));
    }
    let prefixes: Vec<&str> = info.prefixes.iter().map(String::as_str).collect();
    let signed = canonicalize(element, Some(signature), &prefixes);
    let found = digest::digest(info.digest_algorithm, &signed);
    if !bool::from(found.as_ref().ct_eq(&info.digest)) {
        return Err(Refused::Signature("its element was changed"));
    }
    Ok(Some(signed))
}

/// What a signature says of itself.
struct Info {
    is_rsa: bool,
    signature_hash: Hash,
    reference: String,
    prefixes: Vec<String>,
    digest_algorithm: &'static digest::Algorithm,
    digest: Vec<u8>,
}

impl Info {
    fn read(info: Element<'_>) -> Result<Self, Refused> {
        let mut parts = info.children();
        next(&mut parts, "CanonicalizationMethod")?;
        let (is_rsa, signature_hash) = match algorithm(next(&mut parts, "SignatureMethod")?)? {
            "http://www.w3.org/2000/09/xmldsig#rsa-sha1" => (true, Hash::Sha1),
            "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256" => (true, Hash::Sha256),
            "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384" => (true, Hash::Sha384),
            "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512" => (true, Hash::Sha512),
            "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256" => (false, Hash::Sha256),
            "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384" => (false, Hash::Sha384),
            "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512" => (false, Hash::Sha512),
            _ => return Err(Refused::Signature("its method is not known here")),
        };
        let reference = next(&mut parts, "Reference")?;
        if parts.next().is_some() {
            return Err(Refused::Signature("it has not exactly one reference"));
        }
        let mut parts = reference.children();
        let transforms = next(&mut parts, "Transforms")?;
        let digest_algorithm = match algorithm(next(&mut parts, "DigestMethod")?)? {
            "http://www.w3.org/2000/09/xmldsig#sha1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            "http://www.w3.org/2001/04/xmlenc#sha256" => &digest::SHA256,
            "http://www.w3.org/2001/04/xmldsig-more#sha384" => &digest::SHA384,
            "http://www.w3.org/2001/04/xmlenc#sha512" => &digest::SHA512,
            _ => return Err(Refused::Signature("its digest is not known here")),
        };
        let digest = base64(&next(&mut parts, "DigestValue")?.plain_text()?)?;
        let mut transforms = transforms.children();
        if algorithm(next(&mut transforms, "Transform")?)? != ENVELOPED {
            return Err(Refused::Signature("its transforms are not those of SAML"));
        }
        let prefixes = exclusive(next(&mut transforms, "Transform")?)?;
        if transforms.next().is_some() || parts.next().is_some() {
            return Err(Refused::Signature("its transforms are not those of SAML"));
        }
        Ok(Self {
            is_rsa,
            signature_hash,
            reference: reference.attribute("URI").unwrap_or_default().to_owned(),
            prefixes: prefixes.into_iter().map(str::to_owned).collect(),
            digest_algorithm,
            digest,
        })
    }
}

/// The next child, which has to be this element.
fn next<'a>(parts: &mut impl Iterator<Item = Element<'a>>, name: &str) -> Result<Element<'a>, Refused> {
    parts
        .next()
        .filter(|part| part.is(ns::SIGNATURE, name))
        .ok_or(Refused::Signature("its parts are not those of a signature"))
}

fn only<'a>(element: Element<'a>, name: &str) -> Result<Element<'a>, Refused> {
    element.only(ns::SIGNATURE, name)?.ok_or(Refused::Signature("its parts are not those of a signature"))
}

fn algorithm<'a>(element: Element<'a>) -> Result<&'a str, Refused> {
    element.attribute("Algorithm").ok_or(Refused::Signature("an algorithm is not named"))
}

/// The inclusive prefixes of exclusive canonicalization, which it has to be.
fn exclusive(element: Element<'_>) -> Result<Vec<&str>, Refused> {
    if algorithm(element)? != ns::EXCLUSIVE {
        return Err(Refused::Signature("its canonicalization is not the exclusive one"));
    }
    let inclusive = element.only(ns::EXCLUSIVE, "InclusiveNamespaces")?;
    let list = inclusive.and_then(|inclusive| inclusive.attribute("PrefixList")).unwrap_or_default();
    let prefixes: Vec<_> = list.split_ascii_whitespace().collect();
    if prefixes.len() > MAX_PREFIXES {
        return Err(Refused::Signature("it names too many prefixes"));
    }
    Ok(prefixes)
}

/// Base64 with white space in it.
pub(super) fn base64(text: &str) -> Result<Vec<u8>, Refused> {
    let packed: String = text.chars().filter(|char| !char.is_ascii_whitespace()).collect();
    BASE64_STANDARD.decode(packed).map_err(|_| Refused::Content("something should be base64 and is not"))
}

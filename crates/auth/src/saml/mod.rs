//! Single sign-on by SAML 2.0: we are the service provider.
//!
//! What arrives is XML that a browser carried, so nothing in it counts until a signature of the identity provider covers it.
//! [`xml`] reads a narrow kind of XML into a tree, [`canonical`] writes a part of it in its one canonical form, and
//! [`signature`] verifies that form with the keys of the provider's [`metadata`] and returns its bytes. Only those bytes are
//! read again, into an [`assertion`], and checked by [`response`]: whatever surrounds what was signed is gone by then.

mod assertion;
mod canonical;
mod certificate;
mod der;
mod encryption;
mod fetch;
#[cfg(feature = "fuzzing")]
mod fuzz;
mod mapping;
mod metadata;
mod request;
mod response;
mod service_provider;
mod signature;
mod time;
mod xml;

pub(crate) use assertion::Assertion;
pub(crate) use fetch::{FetchError, MetadataAttempts, fetch};
pub(crate) use mapping::{Mapping, NoProfile};
pub(crate) use metadata::{IdentityProvider, MetadataError};
pub(crate) use request::Request;
pub(crate) use response::{Expected, accept, peek_issuer};
pub(crate) use service_provider::ServiceProvider;

#[cfg(feature = "fuzzing")]
pub(crate) use fuzz::fuzz;

/// Namespaces of the documents.
mod ns {
    pub(super) const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
    pub(super) const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
    pub(super) const METADATA: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
    pub(super) const SIGNATURE: &str = "http://www.w3.org/2000/09/xmldsig#";
    pub(super) const ENCRYPTION: &str = "http://www.w3.org/2001/04/xmlenc#";
    pub(super) const ENCRYPTION_11: &str = "http://www.w3.org/2009/xmlenc11#";
    pub(super) const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
}

/// Formats of names.
pub(crate) mod format {
    pub(crate) const PERSISTENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
    pub(crate) const EMAIL_ADDRESS: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";
    pub(crate) const TRANSIENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";
    pub(crate) const UNSPECIFIED: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";
    pub(super) const ENTITY: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity";
}

/// How messages travel.
mod binding {
    pub(super) const REDIRECT: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";
    pub(super) const POST: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
}

/// Why a document is not accepted. It is logged; whoever sent the document learns nothing of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// It is not XML, or a kind of XML that is not read here.
    #[error("the XML is not accepted: {0}")]
    Xml(&'static str),
    /// Its signature does not hold.
    #[error("the signature is not accepted: {0}")]
    Signature(&'static str),
    /// It could not be decrypted.
    #[error("the assertion cannot be decrypted")]
    Encryption,
    /// It says something else than it has to.
    #[error("{0}")]
    Content(&'static str),
}

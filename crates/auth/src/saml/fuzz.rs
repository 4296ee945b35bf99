//! What a fuzz target may call.

use super::canonical::canonicalize;
use super::certificate::Certificate;
use super::metadata::IdentityProvider;
use super::peek_issuer;
use super::signature::{Keys, verify};
use super::xml::Document;

pub(crate) fn fuzz(bytes: &[u8]) {
    let _ = Certificate::parse(bytes);
    let _ = IdentityProvider::parse(bytes);
    peek_issuer(bytes);
    let Ok(document) = Document::parse(bytes) else { return };
    let keys = Keys { certificates: &[], now: chrono::DateTime::UNIX_EPOCH };
    for element in document.elements().take(50) {
        let _ = verify(element, keys);
    }
    let once = canonicalize(document.root(), None, &[]);
    // The canonical form may be longer than what is read.
    if let Ok(again) = Document::parse(&once) {
        assert_eq!(canonicalize(again.root(), None, &[]), once, "the canonical form is its own");
    }
}

//! What strangers send, for the fuzzer: nothing of it may panic.

use crate::http::{Form, GoUrl};
use crate::json;
use crate::webauthn;

/// What an authenticator writes, and what a browser wraps it in.
pub fn webauthn(bytes: &[u8]) {
    webauthn::read_anything(bytes);
}

/// Bodies, queries, addresses, wallets' messages, imported hashes.
pub fn texts(text: &str) {
    let _ = json::parse(text.as_bytes());
    let form = Form::parse(text);
    assert_eq!(Form::parse(&form.encode()).encode(), form.encode());
    if let Some(url) = GoUrl::parse(text) {
        let _ = url.to_string();
    }
    for chain in [crate::web3::Chain::Ethereum, crate::web3::Chain::Solana] {
        let _ = crate::web3::Message::parse(chain, text);
    }
    let _ = crate::contact::email(text);
    let _ = crate::phone::parse(text);
    let _ = crate::password::check_foreign_hash(text);
}

/// Reads a document as the routes of single sign-on do: as a provider's answer, its metadata, its certificate. What is
/// read and written in canonical form reads as the same.
pub fn saml(bytes: &[u8]) {
    crate::saml::fuzz(bytes);
}

//! Tokens from strangers: nothing that was not signed verifies. The keys are fresh, so no input can be right by knowledge.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tokens::{KeyRing, KeySet, generate};

static RING: LazyLock<KeyRing> = LazyLock::new(|| {
    let jwk = generate::signing_jwk().expect("a key is made");
    let keys = KeySet::from_signing_keys(&format!("[{}]", jwk)).expect("our own key is understood");
    KeyRing::new(
        keys.with_secret(&generate::secret().expect("a secret is made"), None).expect("it is long enough"),
    )
});

fuzz_target!(|token: &str| assert!(RING.verify_signature(token).is_err()));

//! Signed URLs: the first segment of the path is a code of the rest.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// The keys of URLs. Without any, every signature will do.
#[derive(Clone, Default)]
pub struct Signing {
    /// Key and salt; one of the pairs has to fit.
    pub pairs: Vec<(Vec<u8>, Vec<u8>)>,
    /// How many bytes of the code count, 1 to 32; 0 is all.
    pub size: usize,
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signing({} pairs)", self.pairs.len())
    }
}

impl Signing {
    /// The code of a path (from its slash on), before it is written as base64.
    fn code(&self, (key, salt): &(Vec<u8>, Vec<u8>), path: &str) -> Vec<u8> {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
        mac.update(salt);
        mac.update(path.as_bytes());
        let mut code = mac.finalize().into_bytes().to_vec();
        if (1..32).contains(&self.size) {
            code.truncate(self.size);
        }
        code
    }

    /// Whether the signature fits the path.
    #[must_use]
    pub fn verifies(&self, signature: &str, path: &str) -> bool {
        if self.pairs.is_empty() {
            return true;
        }
        let Ok(given) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        self.pairs.iter().fold(false, |fits, pair| fits | bool::from(self.code(pair, path).ct_eq(&given)))
    }

    /// The signature of a path, by the first pair.
    #[must_use]
    pub fn sign(&self, path: &str) -> Option<String> {
        Some(URL_SAFE_NO_PAD.encode(self.code(self.pairs.first()?, path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signing(size: usize, pairs: &[(&str, &str)]) -> Signing {
        let bytes = |text: &str| text.as_bytes().to_vec();
        Signing { pairs: pairs.iter().map(|(key, salt)| (bytes(key), bytes(salt))).collect(), size }
    }

    const WHOLE: &str = "dtLwhdnPPiu_epMl1LrzheLpvHas-4mwvY6L3Z8WwlY";

    #[test]
    fn a_signature_fits_its_path_alone() {
        let keys = signing(32, &[("test-key", "test-salt")]);
        assert_eq!(keys.sign("asd").as_deref(), Some(WHOLE));
        assert!(keys.verifies(WHOLE, "asd"));
        assert!(!keys.verifies(WHOLE, "asf"));
        assert!(!keys.verifies("dtLwhdnPPis", "asd"));
        assert!(!keys.verifies("no base64!", "asd"));
        assert!(!keys.verifies("", "asd"));
    }

    #[test]
    fn it_can_be_cut() {
        assert!(signing(8, &[("test-key", "test-salt")]).verifies("dtLwhdnPPis", "asd"));
        assert!(!signing(8, &[("test-key", "test-salt")]).verifies(WHOLE, "asd"));
    }

    #[test]
    fn any_pair_will_do_and_none_asks_for_nothing() {
        let keys = signing(32, &[("test-key", "test-salt"), ("test-key2", "test-salt2")]);
        assert!(keys.verifies(WHOLE, "asd"));
        assert!(keys.verifies("jbDffNPt1-XBgDccsaE-XJB9lx8JIJqdeYIZKgOqZpg", "asd"));
        assert!(Signing::default().verifies("anything", "asd"));
    }
}

//! Secrets: codes, tokens and passwords nobody will type.

use rand::RngExt;
use sha2::{Digest, Sha224};

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const ALPHANUMERIC: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

fn below(limit: usize) -> usize {
    rand::rng().random_range(0..limit)
}

/// A code of so many digits, uniformly random.
pub(crate) fn code(digits: usize) -> String {
    (0..digits).map(|_| char::from(b'0' + below(10) as u8)).collect()
}

/// A refresh token: twelve characters of base32, sixty bits.
pub(crate) fn refresh_token() -> String {
    (0..12).map(|_| char::from(BASE32[below(32)])).collect()
}

/// Letters and digits that nobody guesses.
pub(crate) fn alphanumeric(length: usize) -> String {
    (0..length).map(|_| char::from(ALPHANUMERIC[below(ALPHANUMERIC.len())])).collect()
}

/// A password with at least one character of each set.
pub(crate) fn password(required: &[String], length: usize) -> String {
    let mut characters: Vec<char> = required
        .iter()
        .filter_map(|set| {
            let set: Vec<char> = set.chars().collect();
            (!set.is_empty()).then(|| set[below(set.len())])
        })
        .collect();
    while characters.len() < length {
        characters.push(char::from(ALPHANUMERIC[below(ALPHANUMERIC.len())]));
    }
    for at in (1..characters.len()).rev() {
        characters.swap(at, below(at + 1));
    }
    characters.into_iter().collect()
}

/// What is stored of a code: the hex SHA-224 of the contact it was sent to and the code.
pub(crate) fn token_hash(contact: &str, code: &str) -> String {
    let mut hash = Sha224::new();
    hash.update(contact.as_bytes());
    hash.update(code.as_bytes());
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_digits() {
        assert!((6..=10).all(|digits| code(digits).len() == digits && code(digits).parse::<u64>().is_ok()));
    }

    #[test]
    fn passwords_hold_one_of_each_set() {
        let sets = ["abc".to_owned(), "0".to_owned(), "é".to_owned()];
        let password = password(&sets, 33);
        assert_eq!(password.chars().count(), 33);
        assert!(sets.iter().all(|set| set.chars().any(|char| password.contains(char))));
    }

    #[test]
    fn a_hash_is_fifty_six_hex_digits() {
        assert_eq!(token_hash("", ""), "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f");
        assert_eq!(token_hash("a@b.c", "123456"), token_hash("a@b.c12", "3456"));
    }
}

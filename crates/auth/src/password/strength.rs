//! Which passwords are good enough.

use crate::config::Password;
use crate::error::{Error, Result, WeakPassword};

/// bcrypt reads no further.
pub(crate) const MAX_LENGTH: usize = 72;

/// Refuses a password that breaks a rule, naming every rule it breaks.
pub(crate) fn check(rules: &Password, password: &str) -> Result<()> {
    if password.len() > MAX_LENGTH {
        return Err(Error::invalid(format!("Password cannot be longer than {MAX_LENGTH} characters")));
    }
    let mut messages = Vec::new();
    let mut reasons = Vec::new();
    if password.len() < rules.min_length {
        reasons.push("length");
        messages.push(format!("Password should be at least {} characters.", rules.min_length));
    }
    let missing = |set: &String| !set.is_empty() && !set.chars().any(|char| password.contains(char));
    if rules.required_characters.iter().any(missing) {
        reasons.push("characters");
        let sets = rules.required_characters.join(", ");
        messages.push(format!("Password should contain at least one character of each: {sets}."));
    }
    if reasons.is_empty() {
        return Ok(());
    }
    Err(Error::WeakPassword(WeakPassword { message: messages.join(" "), reasons }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_broken_rule_is_named() {
        let rules = Password {
            min_length: 8,
            required_characters: vec!["abc".into(), "0123456789".into()],
            ..Password::default()
        };
        let Error::WeakPassword(weak) = check(&rules, "zzz").unwrap_err() else { panic!("weak") };
        assert_eq!(
            weak.message,
            "Password should be at least 8 characters. \
             Password should contain at least one character of each: abc, 0123456789."
        );
        assert_eq!(weak.reasons, ["length", "characters"]);
        assert!(check(&rules, "abcdefg1").is_ok());
    }

    #[test]
    fn length_counts_bytes_and_ends_at_seventy_two() {
        let rules = Password::default();
        assert!(check(&rules, "éèà").is_ok());
        assert!(check(&rules, &"x".repeat(72)).is_ok());
        assert_eq!(
            check(&rules, &"x".repeat(73)).unwrap_err().to_string(),
            "400: Password cannot be longer than 72 characters"
        );
    }
}

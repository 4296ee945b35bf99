//! Passwords that were stolen elsewhere, asked for at Have I Been Pwned by the first five digits of their hash.

use std::fmt::Write as _;
use std::pin::Pin;
use std::time::Duration;

use sha1::{Digest as _, Sha1};

use super::strength;
use crate::State;
use crate::error::{Cause, Error, Result, WeakPassword};

/// Longest wait for the list.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer that is read.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
const WEAK: &str = "Password is known to be weak and easy to guess, please choose a different one.";

/// A future of [`StolenHashes`].
pub(crate) type Range<'a> = Pin<Box<dyn Future<Output = Result<String, String>> + Send + 'a>>;

/// Knows which hashes belong to stolen passwords.
pub(crate) trait StolenHashes: Send + Sync {
    /// The rests of all SHA-1 hashes, in upper-case hex, that begin with five digits, a line each: `<rest>:<count>`.
    fn range<'a>(&'a self, prefix: &'a str) -> Range<'a>;
}

/// The service on the web.
struct HaveIBeenPwned<'s> {
    client: &'s reqwest::Client,
    user_agent: &'s str,
}

impl StolenHashes for HaveIBeenPwned<'_> {
    fn range<'a>(&'a self, prefix: &'a str) -> Range<'a> {
        Box::pin(async move {
            let failed = |error: reqwest::Error| error.without_url().to_string();
            let request = self
                .client
                .get(format!("https://api.pwnedpasswords.com/range/{prefix}"))
                .timeout(TIMEOUT)
                .header("user-agent", self.user_agent)
                // All answers have one length, so that an observer learns nothing from it.
                .header("add-padding", "true");
            let mut answer = request.send().await.map_err(failed)?;
            if !answer.status().is_success() {
                return Err(format!("status {}", answer.status().as_u16()));
            }
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(failed)? {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_ANSWER {
                    return Err("the answer is too large".into());
                }
            }
            Ok(String::from_utf8_lossy(&body).into_owned())
        })
    }
}

/// Refuses a new password that breaks a rule or was stolen, naming everything that is wrong with it.
pub(crate) async fn check_new(state: &State, password: &str) -> Result<()> {
    let rules = &state.config().password;
    let pwned = &rules.pwned;
    if !pwned.enabled {
        return strength::check(rules, password);
    }
    let list = HaveIBeenPwned { client: state.outside().client(), user_agent: &pwned.user_agent };
    with_list(strength::check(rules, password), &list, password, pwned.fail_closed).await
}

async fn with_list(
    strength: Result<()>,
    list: &dyn StolenHashes,
    password: &str,
    fail_closed: bool,
) -> Result<()> {
    let mut weak = match strength {
        Ok(()) => WeakPassword { message: String::new(), reasons: Vec::new() },
        Err(Error::WeakPassword(weak)) => weak,
        Err(other) => return Err(other),
    };
    match is_stolen(list, password).await {
        Ok(true) => {
            if !weak.message.is_empty() {
                weak.message.push(' ');
            }
            weak.message.push_str(WEAK);
            weak.reasons.push("pwned");
        }
        Ok(false) => {}
        Err(reason) if fail_closed => {
            let message = "Unable to perform password strength check with HaveIBeenPwned.org.";
            return Err(Error::internal(message).because(Cause::Other(reason.into())));
        }
        Err(reason) => tracing::warn!(reason, "stolen passwords cannot be looked up: the password passes"),
    }
    if weak.reasons.is_empty() { Ok(()) } else { Err(Error::WeakPassword(weak)) }
}

async fn is_stolen(list: &dyn StolenHashes, password: &str) -> Result<bool, String> {
    let mut hash = String::with_capacity(40);
    for byte in Sha1::digest(password.as_bytes()) {
        let _ = write!(hash, "{byte:02X}");
    }
    let (prefix, rest) = hash.split_at(5);
    let answer = list.range(prefix).await?;
    // A count of zero is padding.
    Ok(answer
        .lines()
        .filter_map(|line| line.trim().split_once(':'))
        .any(|(known, count)| known.eq_ignore_ascii_case(rest) && count.trim() != "0"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Password;

    /// Knows one password: `password`.
    struct Known(Result<String, String>);

    impl StolenHashes for Known {
        fn range<'a>(&'a self, prefix: &'a str) -> Range<'a> {
            Box::pin(async move {
                assert_eq!(prefix.len(), 5);
                self.0.clone()
            })
        }
    }

    fn known() -> Known {
        // SHA-1 of `password` is 5BAA6 1E4C9B93F3F0682250B6CF8331B7EE68FD8.
        Known(Ok(
            "00000000000000000000000000000000000:0\r\n1E4C9B93F3F0682250B6CF8331B7EE68FD8:9545824\r\n".into()
        ))
    }

    async fn shown(list: &Known, password: &str, fail_closed: bool) -> String {
        let rules = Password { min_length: 9, ..Password::default() };
        match with_list(strength::check(&rules, password), list, password, fail_closed).await {
            Ok(()) => "ok".into(),
            Err(Error::WeakPassword(weak)) => format!("{:?} {}", weak.reasons, weak.message),
            Err(other) => other.to_string(),
        }
    }

    #[tokio::test]
    async fn stolen_passwords_are_refused_beside_everything_else() {
        let all = format!("[\"length\", \"pwned\"] Password should be at least 9 characters. {WEAK}");
        assert_eq!(shown(&known(), "password", false).await, all);
        assert_eq!(shown(&known(), "something else", false).await, "ok");
    }

    #[tokio::test]
    async fn without_the_list_passwords_pass_unless_told_otherwise() {
        let away = Known(Err("away".into()));
        assert_eq!(shown(&away, "something else", false).await, "ok");
        let refused = shown(&away, "something else", true).await;
        assert_eq!(refused, "500: Unable to perform password strength check with HaveIBeenPwned.org.");
    }
}

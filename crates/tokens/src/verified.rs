//! What a verified token says, and every way in which verification can fail.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

/// A segment of a compact token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Part {
    Header,
    Payload,
    Signature,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Header => "header",
            Part::Payload => "payload",
            Part::Signature => "signature",
        })
    }
}

/// Why a token was refused. Fine enough that each service can say it in its own upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// There is no token at all.
    #[error("the token is empty")]
    Empty,
    /// Not three segments between dots.
    #[error("expected 3 parts in the token, got {0}")]
    Parts(usize),
    /// A segment is not base64url without padding.
    #[error("the token's {0} is not base64url")]
    Encoding(Part),
    /// The header is not a JSON object with a string `alg`.
    #[error("the token's header is not a JSON object with an algorithm")]
    Header,
    /// `alg` is `none`.
    #[error("the token is not signed")]
    Unsigned,
    /// `alg` is not one that is supported or allowed.
    #[error("the token's algorithm {0:?} is not supported")]
    Algorithm(Box<str>),
    /// No key of the set fits the token's `alg` and `kid`.
    #[error("no key fits the token's algorithm {alg} and key id {kid:?}")]
    NoKey {
        /// The header's `kid`, when it is a string.
        kid: Option<Box<str>>,
        /// The header's `alg`.
        alg: Algorithm,
    },
    /// Keys fit, none of them made this signature.
    #[error("the token's signature is invalid")]
    Signature,
    /// The signature is good and the payload is not a JSON object.
    #[error("the token's payload is not a JSON object")]
    Payload,
    /// The signature is good and a claim forbids the use of the token.
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

use crate::Algorithm;

/// A registered claim that forbids the use of a correctly signed token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iat` is in the future.
    #[error("the token was issued in the future")]
    IssuedInFuture,
    /// `aud` does not name us.
    #[error("the token is for another audience")]
    WrongAudience,
    /// `exp`, `nbf` or `iat` (named) is not a number.
    #[error("the token's {0:?} claim is not a number")]
    NotANumber(&'static str),
    /// `aud` is neither a string nor an array of strings.
    #[error("the token's \"aud\" claim is neither a string nor an array of strings")]
    AudienceShape,
}

/// A claim that holds a moment in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TimeClaim {
    /// The claim is not there.
    Absent,
    /// The claim is a number.
    At(f64),
    /// The claim is `null`.
    Null,
    /// The claim is of another type.
    NotANumber,
}

impl TimeClaim {
    fn of(claims: &Map<String, Value>, name: &str) -> Self {
        match claims.get(name) {
            None => TimeClaim::Absent,
            Some(Value::Null) => TimeClaim::Null,
            Some(Value::Number(number)) => number.as_f64().map_or(TimeClaim::NotANumber, TimeClaim::At),
            Some(_) => TimeClaim::NotANumber,
        }
    }

    /// The moment in seconds since 1970, when there is one.
    pub fn seconds(self) -> Option<f64> {
        match self {
            TimeClaim::At(seconds) => Some(seconds),
            _ => None,
        }
    }
}

/// What is asked of `aud`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Nothing, not even its type (GoTrue).
    Ignored,
    /// A string or an array of strings, of any content (PostgREST without `jwt-aud`).
    WellFormed,
    /// Absent, empty, or containing this string (PostgREST with `jwt-aud`).
    Contains(Box<str>),
}

/// Which claims are enforced and how exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Clock skew, in seconds, forgiven in each direction.
    pub leeway: u32,
    /// Whether `iat` may lie in the future.
    pub check_issued_at: bool,
    /// Whether `null` counts as an absent `exp`, `nbf` or `iat`; an error otherwise.
    pub null_times_are_absent: bool,
    /// What is asked of `aud`.
    pub audience: Audience,
}

impl Policy {
    /// PostgREST's rules: 30 seconds of skew, `exp`, `nbf` and `iat`, any audience.
    pub const LENIENT: Policy = Policy {
        leeway: 30,
        check_issued_at: true,
        null_times_are_absent: false,
        audience: Audience::WellFormed,
    };

    /// GoTrue's rules: no skew, `exp` and `nbf` only.
    pub const EXACT: Policy = Policy {
        leeway: 0,
        check_issued_at: false,
        null_times_are_absent: true,
        audience: Audience::Ignored,
    };

    /// [`Policy::LENIENT`], for one audience.
    pub fn for_audience(audience: impl Into<Box<str>>) -> Policy {
        Policy { audience: Audience::Contains(audience.into()), ..Policy::LENIENT }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Policy::LENIENT
    }
}

/// A token whose signature was checked.
pub struct Verified {
    /// The payload, parsed.
    pub claims: Map<String, Value>,
    /// The payload, byte for byte as it was signed.
    pub claims_json: Box<str>,
    /// The header's `kid`, when it is a string.
    pub kid: Option<Box<str>>,
    /// The algorithm that verified.
    pub algorithm: Algorithm,
    /// `exp`.
    pub expires_at: TimeClaim,
    /// `nbf`.
    pub not_before: TimeClaim,
    /// `iat`.
    pub issued_at: TimeClaim,
    /// Signed by a trusted issuer and not by us: good for a role of the database, never for administration.
    pub is_foreign: bool,
    sorted: OnceLock<Arc<str>>,
}

impl fmt::Debug for Verified {
    /// Leaves the claims out: they name people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .field("role", &self.role())
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Verified {
    pub(crate) fn from_payload(
        payload: Vec<u8>,
        kid: Option<Box<str>>,
        algorithm: Algorithm,
    ) -> Result<Self, VerifyError> {
        let claims_json = String::from_utf8(payload).map_err(|_| VerifyError::Payload)?.into_boxed_str();
        let claims: Map<String, Value> =
            serde_json::from_str(&claims_json).map_err(|_| VerifyError::Payload)?;
        Ok(Verified {
            expires_at: TimeClaim::of(&claims, "exp"),
            not_before: TimeClaim::of(&claims, "nbf"),
            issued_at: TimeClaim::of(&claims, "iat"),
            claims,
            claims_json,
            kid,
            algorithm,
            is_foreign: false,
            sorted: OnceLock::new(),
        })
    }

    /// The payload with its members sorted by name and nothing between them, as PostgREST hands it to the database. A payload
    /// with a number that this would round is left as it is.
    pub fn sorted_json(&self) -> Arc<str> {
        let sorted = || {
            if self.claims.values().all(is_exact) {
                // Writing a map of values cannot fail.
                serde_json::to_string(&self.claims).unwrap_or_else(|_| self.claims_json.to_string()).into()
            } else {
                (&*self.claims_json).into()
            }
        };
        self.sorted.get_or_init(sorted).clone()
    }

    /// The top-level claim `role`, when it is a string.
    pub fn role(&self) -> Option<&str> {
        self.str_claim("role")
    }

    /// The claim `sub`, when it is a string.
    pub fn subject(&self) -> Option<&str> {
        self.str_claim("sub")
    }

    /// A top-level claim, when it is a string.
    pub fn str_claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }

    /// Checks the time and audience claims at `now` (seconds since 1970). In PostgREST's order:
    /// `exp`, `nbf`, `iat`, `aud`.
    pub fn check(&self, policy: &Policy, now: u64) -> Result<(), ClaimError> {
        // f64 holds every second of the next hundred million years exactly.
        let now = now as f64;
        let leeway = f64::from(policy.leeway);
        let at = |name, claim| match claim {
            TimeClaim::Absent => Ok(None),
            TimeClaim::Null if policy.null_times_are_absent => Ok(None),
            TimeClaim::Null | TimeClaim::NotANumber => Err(ClaimError::NotANumber(name)),
            TimeClaim::At(seconds) => Ok(Some(seconds)),
        };
        // With skew the last second counts (`now <= exp + 30`); without it, a token is over in the
        // second of its `exp`, as RFC 7519 and Go's library have it.
        if let Some(exp) = at("exp", self.expires_at)?
            && (now > exp + leeway || (leeway == 0.0 && now >= exp))
        {
            return Err(ClaimError::Expired);
        }
        if let Some(nbf) = at("nbf", self.not_before)?
            && now < nbf - leeway
        {
            return Err(ClaimError::NotYetValid);
        }
        if policy.check_issued_at
            && let Some(iat) = at("iat", self.issued_at)?
            && now < iat - leeway
        {
            return Err(ClaimError::IssuedInFuture);
        }
        self.check_audience(&policy.audience)
    }

    /// [`Verified::check`] at this moment: for who received a token whose signature somebody else verified.
    pub fn check_now(&self, policy: &Policy) -> Result<(), ClaimError> {
        self.check(policy, now())
    }

    fn check_audience(&self, rule: &Audience) -> Result<(), ClaimError> {
        let wanted = match rule {
            Audience::Ignored => return Ok(()),
            Audience::WellFormed => None,
            Audience::Contains(wanted) => Some(&**wanted),
        };
        let accepted = match self.claims.get("aud") {
            None | Some(Value::Null) => true,
            Some(Value::String(aud)) => wanted.is_none_or(|wanted| wanted == aud),
            Some(Value::Array(list)) if list.iter().all(Value::is_string) => {
                list.is_empty()
                    || wanted.is_none_or(|wanted| list.iter().any(|aud| aud.as_str() == Some(wanted)))
            }
            Some(_) => return Err(ClaimError::AudienceShape),
        };
        if accepted { Ok(()) } else { Err(ClaimError::WrongAudience) }
    }
}

/// Whether every number in a value was read as it is.
fn is_exact(value: &Value) -> bool {
    // Integers beyond 64 bits become floating point numbers, which hold each integer up to here.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => {
            !number.is_f64() || number.as_f64().is_some_and(|number| number.abs() < EXACT)
        }
        Value::Array(items) => items.iter().all(is_exact),
        Value::Object(members) => members.values().all(is_exact),
        _ => true,
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

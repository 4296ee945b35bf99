//! Does a request's signature fit?

use chrono::{DateTime, Utc};
use http::HeaderMap;

use super::{
    ALGORITHM, MAX_SKEW, Payload, Presented, Scope, SignatureError, SigningKey, Source, canonical,
    hex_sha256, same,
};

/// What time it is; tests set it.
pub type Clock = DateTime<Utc>;

/// A request's head as it is verified.
#[derive(Debug, Clone)]
pub struct SignedRequest<'a> {
    /// The method as sent.
    pub method: &'a str,
    /// The paths under which it may have been signed, percent-encoded as sent; the likeliest first.
    pub paths: &'a [String],
    /// The hosts under which it may have been signed.
    pub hosts: &'a [String],
    /// The decoded query.
    pub query: &'a [(String, String)],
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// What chunk signatures continue from.
#[derive(Debug, Clone)]
pub struct Seed {
    /// The request's key.
    pub key: SigningKey,
    /// The request's own signature.
    pub signature: String,
    /// The request's time as signed.
    pub timestamp: String,
    /// The request's scope.
    pub scope: Scope,
}

/// A request whose signature fits.
#[derive(Debug, Clone)]
pub struct Verified {
    /// What is said about the body.
    pub payload: Payload,
    /// For bodies in signed chunks.
    pub seed: Seed,
}

/// Headers that change nothing about what a request does, and may be added to one that is signed already.
fn may_be_unsigned(name: &str) -> bool {
    matches!(
        name,
        "x-amz-content-sha256"
            | "x-amz-date"
            | "x-amz-user-agent"
            | "x-amz-sdk-checksum-algorithm"
            | "x-amz-checksum-mode"
            | "x-amz-checksum-algorithm"
            | "x-amz-decoded-content-length"
            | "x-amz-trailer"
            | "x-amz-request-id"
            | "x-amz-cf-id"
    ) || (name.starts_with("x-amz-checksum-") && name != "x-amz-checksum-type")
}

/// Checks a signature against the secret that belongs to its access key.
///
/// The clock is judged first, then the shape of the body, then the signature: a stale request with a good signature and
/// one with a bad signature are told apart only by someone who has the key.
pub fn verify(
    presented: &Presented,
    secret: &str,
    request: &SignedRequest<'_>,
    now: Clock,
) -> Result<Verified, SignatureError> {
    check_time(presented, now)?;
    let unsigned = request.headers.keys().find(|name| {
        let name = name.as_str();
        name.starts_with("x-amz-")
            && !may_be_unsigned(name)
            && !presented.signed_headers.iter().any(|signed| signed == name)
    });
    if let Some(name) = unsigned {
        return Err(SignatureError::HeadersNotSigned(name.to_string()));
    }
    let (payload, payload_text) = payload(presented, request.headers)?;
    let scope = &presented.credential.scope;
    let key = SigningKey::derive(secret, &scope.date, &scope.region, "s3");
    let query = canonical::query(request.query);
    for host in request.hosts {
        let lines = canonical::headers(&presented.signed_headers, request.headers, host);
        for path in request.paths {
            let text = canonical::request(
                request.method,
                path,
                &query,
                &lines,
                &presented.signed_headers,
                &payload_text,
            );
            let expected = key.sign(string_to_sign(&presented.timestamp, scope, &text).as_bytes());
            if same(&expected, &presented.signature) {
                let seed = Seed {
                    key,
                    signature: expected,
                    timestamp: presented.timestamp.clone(),
                    scope: scope.clone(),
                };
                return Ok(Verified { payload, seed });
            }
        }
    }
    Err(SignatureError::Mismatch)
}

fn check_time(presented: &Presented, now: Clock) -> Result<(), SignatureError> {
    let age = (now - presented.time).num_seconds();
    match presented.source {
        Source::Header if age.abs() > MAX_SKEW => Err(SignatureError::Skewed),
        Source::Query { .. } if age < -MAX_SKEW => Err(SignatureError::NotYetValid),
        Source::Query { expires } if age > expires => Err(SignatureError::Expired),
        _ => Ok(()),
    }
}

/// What is signed about the body, and how it is written in the canonical request. A presigned URL cannot know its body:
/// whatever the method, the hash is `UNSIGNED-PAYLOAD`, unless the header is there and signed.
fn payload(presented: &Presented, headers: &HeaderMap) -> Result<(Payload, String), SignatureError> {
    let header = headers.get("x-amz-content-sha256");
    let Some(value) = header else {
        return match presented.source {
            Source::Header => Err(SignatureError::MissingPayloadHash),
            Source::Query { .. } => Ok((Payload::Unsigned, "UNSIGNED-PAYLOAD".to_owned())),
        };
    };
    let payload = Payload::parse(value.as_bytes())?;
    let is_signed = presented.signed_headers.iter().any(|name| name == "x-amz-content-sha256");
    if presented.source == Source::Header || is_signed {
        let text = value.to_str().map_err(|_| SignatureError::InvalidPayloadHash)?;
        return Ok((payload, text.to_owned()));
    }
    Ok((payload, "UNSIGNED-PAYLOAD".to_owned()))
}

pub(super) fn string_to_sign(timestamp: &str, scope: &Scope, canonical: &[u8]) -> String {
    format!("{ALGORITHM}\n{timestamp}\n{scope}\n{}", hex_sha256(canonical))
}

impl SignedRequest<'_> {
    /// The spellings of a path under which a client may have signed it: as it was sent, and encoded strictly.
    #[must_use]
    pub fn spellings(path: &str) -> Vec<String> {
        let mut spellings = vec![path.to_owned()];
        if let Some(decoded) = canonical::decode_path(path) {
            let strict = canonical::encode_path(&decoded).into_owned();
            if strict != path {
                spellings.push(strict);
            }
        }
        spellings
    }
}

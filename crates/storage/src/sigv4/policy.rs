//! Uploads from a browser's form: a signed policy says which fields a form may have.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha1::Sha1;

use crate::checksum::Algorithm;

use super::{ALGORITHM, Credential, SignatureError, SigningKey, authorization, same};

/// Why a form's policy does not allow it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// 400 `InvalidArgument`: a field is missing.
    #[error(
        "Bucket POST must contain a field named '{0}'.  If it is specified, please check the order of the fields."
    )]
    MissingField(&'static str),
    /// 400 `InvalidPolicyDocument`.
    #[error("Invalid Policy: {0}")]
    Invalid(&'static str),
    /// 403 `AccessDenied`.
    #[error("Invalid according to Policy: {0}")]
    Refused(String),
    /// The signature is wrong.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl PolicyError {
    /// S3's code and HTTP status.
    #[must_use]
    pub fn code(&self) -> (&'static str, u16) {
        match self {
            Self::MissingField(_) => ("InvalidArgument", 400),
            Self::Invalid(_) => ("InvalidPolicyDocument", 400),
            Self::Refused(_) => ("AccessDenied", 403),
            Self::Signature(error) => error.code(),
        }
    }
}

/// The part of a form that says who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormUpload {
    /// The access key.
    pub access_key: String,
    /// A user's token.
    pub session_token: Option<String>,
    policy: String,
    signed: Signed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Signed {
    /// Version 4.
    V4 { credential: Credential, signature: String },
    /// The form signature of the protocol before it (HMAC-SHA1 of the policy), which forms in the wild still carry.
    V2 { signature: String },
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

impl FormUpload {
    /// Reads the fields that come before the file; `None` when nothing is signed.
    pub fn read(fields: &[(String, String)]) -> Result<Option<Self>, PolicyError> {
        let policy = field(fields, "policy");
        let session_token = field(fields, "x-amz-security-token").map(str::to_owned);
        if let Some(credential) = field(fields, "x-amz-credential") {
            let policy = policy.ok_or(PolicyError::MissingField("policy"))?.to_owned();
            if field(fields, "x-amz-algorithm") != Some(ALGORITHM) {
                return Err(SignatureError::Unsupported.into());
            }
            let credential = Credential::parse(credential).map_err(SignatureError::QueryMalformed)?;
            let date = field(fields, "x-amz-date").ok_or(PolicyError::MissingField("X-Amz-Date"))?;
            if authorization::basic_time(date).is_none()
                || date.get(..8) != Some(credential.scope.date.as_str())
            {
                return Err(
                    SignatureError::QueryMalformed("X-Amz-Date does not fit the credential.".into()).into()
                );
            }
            let signature = field(fields, "x-amz-signature")
                .ok_or(PolicyError::MissingField("X-Amz-Signature"))?
                .to_owned();
            let access_key = credential.access_key.clone();
            return Ok(Some(Self {
                access_key,
                session_token,
                policy,
                signed: Signed::V4 { credential, signature },
            }));
        }
        if let Some(access_key) = field(fields, "awsaccesskeyid") {
            let policy = policy.ok_or(PolicyError::MissingField("policy"))?.to_owned();
            let signature =
                field(fields, "signature").ok_or(PolicyError::MissingField("signature"))?.to_owned();
            let access_key = access_key.to_owned();
            return Ok(Some(Self { access_key, session_token, policy, signed: Signed::V2 { signature } }));
        }
        if policy.is_some() {
            return Err(PolicyError::MissingField("x-amz-credential"));
        }
        Ok(None)
    }
}

/// Fields that no condition need name.
fn is_free(name: &str) -> bool {
    matches!(name, "policy" | "file" | "x-amz-signature" | "signature" | "awsaccesskeyid")
        || name.starts_with("x-ignore-")
        // It allows nothing, it only refuses more.
        || Algorithm::of_header(name).is_some()
}

/// Checks signature, expiration and conditions; the answer is the range of sizes that the file may have.
pub fn verify_form(
    form: &FormUpload,
    secret: &str,
    bucket: &str,
    fields: &[(String, String)],
    now: DateTime<Utc>,
) -> Result<Option<(u64, u64)>, PolicyError> {
    let fits = match &form.signed {
        Signed::V4 { credential, signature } => {
            let scope = &credential.scope;
            let key = SigningKey::derive(secret, &scope.date, &scope.region, "s3");
            same(&key.sign(form.policy.as_bytes()), signature)
        }
        Signed::V2 { signature } => {
            let mut mac =
                Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
            mac.update(form.policy.as_bytes());
            same(&STANDARD.encode(mac.finalize().into_bytes()), signature)
        }
    };
    if !fits {
        return Err(SignatureError::Mismatch.into());
    }
    let document = STANDARD.decode(&form.policy).map_err(|_| PolicyError::Invalid("it is not Base64."))?;
    let document: Value =
        serde_json::from_slice(&document).map_err(|_| PolicyError::Invalid("it is not JSON."))?;
    let expiration = document
        .get("expiration")
        .and_then(Value::as_str)
        .ok_or(PolicyError::Invalid("it must contain an expiration."))?;
    // RFC 3339 allows a space where ISO 8601 has a T.
    let expiration = DateTime::parse_from_rfc3339(expiration)
        .ok()
        .filter(|_| !expiration.contains(' '))
        .ok_or(PolicyError::Invalid("the expiration is not an ISO 8601 date."))?;
    if now >= expiration {
        return Err(PolicyError::Refused("Policy expired.".into()));
    }
    let conditions = document
        .get("conditions")
        .and_then(Value::as_array)
        .ok_or(PolicyError::Invalid("it must contain a list of conditions."))?;
    check_conditions(conditions, bucket, fields)
}

fn check_conditions(
    conditions: &[Value],
    bucket: &str,
    fields: &[(String, String)],
) -> Result<Option<(u64, u64)>, PolicyError> {
    let mut covered: Vec<String> = Vec::new();
    let mut range = None;
    for condition in conditions {
        match condition {
            Value::Object(object) => {
                if object.is_empty() {
                    return Err(PolicyError::Invalid("a condition is empty."));
                }
                for (name, value) in object {
                    let wanted = value.as_str().ok_or(PolicyError::Invalid("a condition is not a text."))?;
                    check(name, wanted, true, bucket, fields)?;
                    covered.push(name.to_ascii_lowercase());
                }
            }
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(operator), low, high]
                    if operator.eq_ignore_ascii_case("content-length-range") =>
                {
                    let (low, high) = (length(low)?, length(high)?);
                    range = Some((low, high));
                }
                [Value::String(operator), Value::String(name), Value::String(wanted)] => {
                    let name = name
                        .strip_prefix('$')
                        .ok_or(PolicyError::Invalid("a condition's field must begin with $."))?;
                    let exact = match operator.to_ascii_lowercase().as_str() {
                        "eq" => true,
                        "starts-with" => false,
                        _ => return Err(PolicyError::Invalid("a condition has an unknown operator.")),
                    };
                    check(name, wanted, exact, bucket, fields)?;
                    covered.push(name.to_ascii_lowercase());
                }
                _ => return Err(PolicyError::Invalid("a condition is malformed.")),
            },
            _ => return Err(PolicyError::Invalid("a condition is malformed.")),
        }
    }
    for (name, _) in fields {
        let name = name.to_ascii_lowercase();
        if !is_free(&name) && !covered.contains(&name) {
            return Err(PolicyError::Refused(format!("Extra input fields: {name}")));
        }
    }
    Ok(range)
}

fn length(value: &Value) -> Result<u64, PolicyError> {
    let text = value.as_str().map(str::parse::<u64>);
    value
        .as_u64()
        .or_else(|| text.and_then(Result::ok))
        .ok_or(PolicyError::Invalid("a length is not a number."))
}

fn check(
    name: &str,
    wanted: &str,
    exact: bool,
    bucket: &str,
    fields: &[(String, String)],
) -> Result<(), PolicyError> {
    let given = if name.eq_ignore_ascii_case("bucket") { Some(bucket) } else { field(fields, name) };
    // A prefix of any kind allows an absent field only for an empty prefix.
    let holds = match given {
        Some(given) if exact => given == wanted,
        // A list of content types must fit in every entry.
        Some(given) if name.eq_ignore_ascii_case("content-type") => {
            given.split(',').all(|one| one.trim().starts_with(wanted))
        }
        Some(given) => given.starts_with(wanted),
        None => false,
    };
    if holds {
        return Ok(());
    }
    let operator = if exact { "eq" } else { "starts-with" };
    Err(PolicyError::Refused(format!("Policy Condition failed: [\"{operator}\", \"${name}\", \"{wanted}\"]")))
}

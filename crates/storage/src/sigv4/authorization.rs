//! The signature as a request presents it, in its header or in its query.

use chrono::{DateTime, NaiveDateTime, Utc};
use http::HeaderMap;
use http::header::{AUTHORIZATION, DATE};

use super::{ALGORITHM, MAX_EXPIRES, SignatureError};

/// How many headers a signature may cover.
const MAX_SIGNED_HEADERS: usize = 128;

/// Day, region and service that a signature is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// `YYYYMMDD`.
    pub date: String,
    /// The region as the client spells it; any is accepted.
    pub region: String,
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/s3/aws4_request", self.date, self.region)
    }
}

/// An access key and the scope of its signature: `AK/20250101/region/s3/aws4_request`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The access key; it may itself hold slashes.
    pub access_key: String,
    /// What the signature is good for.
    pub scope: Scope,
}

impl Credential {
    /// Reads a credential. The error is the part that is wrong, in S3's words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.rsplitn(5, '/');
        let (Some(end), Some(service), Some(region), Some(date), Some(access_key)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".".into());
        };
        if end != "aws4_request" {
            return Err("incorrect terminal. This endpoint uses \"aws4_request\".".into());
        }
        if service != "s3" {
            return Err("incorrect service. This endpoint belongs to \"s3\".".into());
        }
        if date.len() != 8 || !date.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(
                "incorrect date format. This date in the credential must be in the format \"yyyyMMdd\"."
                    .into(),
            );
        }
        if access_key.is_empty() {
            return Err("the access key is empty.".into());
        }
        Ok(Self {
            access_key: access_key.to_owned(),
            scope: Scope { date: date.to_owned(), region: region.to_owned() },
        })
    }
}

/// Where a signature came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The header `Authorization`.
    Header,
    /// The query of a presigned URL, with its life in seconds.
    Query {
        /// `X-Amz-Expires`.
        expires: i64,
    },
}

/// A signature before it has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// Header or query.
    pub source: Source,
    /// Who signed, and for what.
    pub credential: Credential,
    /// The headers that are covered, in lower case, in the order given.
    pub signed_headers: Vec<String>,
    /// 64 hex digits.
    pub signature: String,
    /// When it was signed.
    pub time: DateTime<Utc>,
    /// The same as it was written: `YYYYMMDDTHHMMSSZ`.
    pub timestamp: String,
    /// A user's token, for access under row level security.
    pub session_token: Option<String>,
}

impl Presented {
    /// Reads a request's signature; `None` when nothing is signed.
    pub fn read(headers: &HeaderMap, query: &[(String, String)]) -> Result<Option<Self>, SignatureError> {
        let has = |wanted: &str| query.iter().any(|(name, _)| name == wanted);
        if has("X-Amz-Algorithm") || has("X-Amz-Signature") || has("X-Amz-Credential") {
            return Self::from_query(query).map(Some);
        }
        // The older protocol's presigned form.
        if has("AWSAccessKeyId") && has("Signature") {
            return Err(SignatureError::Unsupported);
        }
        match headers.get(AUTHORIZATION).map(|value| value.as_bytes().trim_ascii()) {
            None | Some(b"") => Ok(None),
            Some(value) => {
                let text = std::str::from_utf8(value).map_err(|_| SignatureError::Unsupported)?;
                Self::from_header(text, headers).map(Some)
            }
        }
    }

    fn from_header(text: &str, headers: &HeaderMap) -> Result<Self, SignatureError> {
        let malformed = |why: &str| SignatureError::HeaderMalformed(why.to_owned());
        let Some(fields) = text.strip_prefix(ALGORITHM) else {
            return Err(SignatureError::Unsupported);
        };
        if !fields.starts_with([' ', '\t']) {
            return Err(SignatureError::Unsupported);
        }
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for field in fields.split(',') {
            let Some((name, value)) = field.trim().split_once('=') else {
                return Err(malformed("a field has no value."));
            };
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut signature,
                _ => return Err(malformed("an unknown field is present.")),
            };
            if place.replace(value).is_some() {
                return Err(malformed("a field is given twice."));
            }
        }
        let credential = credential.ok_or_else(|| malformed("the Credential is missing."))?;
        let credential = Credential::parse(credential).map_err(SignatureError::HeaderMalformed)?;
        let signed = signed.ok_or_else(|| malformed("SignedHeaders is missing."))?;
        let signed_headers = signed_headers(signed).map_err(&malformed)?;
        let signature = signature.ok_or_else(|| malformed("the Signature is missing."))?;
        let (time, timestamp) = header_time(headers)?;
        if timestamp.get(..8) != Some(credential.scope.date.as_str()) {
            return Err(malformed("the date in the credential scope does not match the request's date."));
        }
        let session_token = match headers.get("x-amz-security-token") {
            None => None,
            Some(value) => Some(value.to_str().map_err(|_| SignatureError::InvalidToken)?.to_owned()),
        };
        Ok(Self {
            source: Source::Header,
            credential,
            signed_headers,
            signature: signature.to_owned(),
            time,
            timestamp,
            session_token,
        })
    }

    fn from_query(query: &[(String, String)]) -> Result<Self, SignatureError> {
        let malformed = |why: &str| SignatureError::QueryMalformed(why.to_owned());
        let get = |wanted: &str| {
            let mut found = query.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
            match (found.next(), found.next()) {
                (Some(value), None) if !value.is_empty() => Ok(Some(value)),
                (None, _) => Ok(None),
                (Some(_), None) => Err(malformed(&format!("{wanted} must not be empty."))),
                (Some(_), Some(_)) => Err(malformed(&format!("{wanted} is given twice."))),
            }
        };
        let required = |wanted: &str| {
            get(wanted)?.ok_or_else(|| {
                malformed(
                    "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, \
                     X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
                )
            })
        };
        if required("X-Amz-Algorithm")? != ALGORITHM {
            return Err(malformed("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"."));
        }
        let credential = Credential::parse(required("X-Amz-Credential")?).map_err(|why| {
            SignatureError::QueryMalformed(format!("Error parsing the X-Amz-Credential parameter; {why}"))
        })?;
        let timestamp = required("X-Amz-Date")?.to_owned();
        let time = basic_time(&timestamp).ok_or_else(|| {
            malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
        })?;
        if timestamp.get(..8) != Some(credential.scope.date.as_str()) {
            return Err(malformed("Invalid credential date; this date is not the same as X-Amz-Date."));
        }
        let expires: i64 =
            required("X-Amz-Expires")?.parse().map_err(|_| malformed("X-Amz-Expires should be a number"))?;
        if expires < 1 {
            return Err(SignatureError::ExpiresOutOfRange("X-Amz-Expires must be non-negative"));
        }
        if expires > MAX_EXPIRES {
            return Err(SignatureError::ExpiresOutOfRange(
                "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds",
            ));
        }
        let signed_headers = signed_headers(required("X-Amz-SignedHeaders")?).map_err(malformed)?;
        let signature = required("X-Amz-Signature")?.to_owned();
        let session_token = get("X-Amz-Security-Token")?.map(str::to_owned);
        Ok(Self {
            source: Source::Query { expires },
            credential,
            signed_headers,
            signature,
            time,
            timestamp,
            session_token,
        })
    }
}

/// Reads a list of signed headers, which must cover the host.
fn signed_headers(text: &str) -> Result<Vec<String>, &'static str> {
    let names: Vec<String> = text.split(';').map(str::to_ascii_lowercase).collect();
    if names.len() > MAX_SIGNED_HEADERS {
        return Err("too many signed headers.");
    }
    if names.iter().any(|name| name.is_empty() || !name.bytes().all(is_token)) {
        return Err("SignedHeaders holds something that is not a header's name.");
    }
    if !names.iter().any(|name| name == "host") {
        return Err("SignedHeaders must cover the host.");
    }
    Ok(names)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `20250101T120000Z`.
pub(super) fn basic_time(text: &str) -> Option<DateTime<Utc>> {
    if text.len() != 16 {
        return None;
    }
    NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").ok().map(|time| time.and_utc())
}

/// The time in `x-amz-date`, or in `Date` in either of its spellings; and its basic form, which is what is signed.
fn header_time(headers: &HeaderMap) -> Result<(DateTime<Utc>, String), SignatureError> {
    let value = headers
        .get("x-amz-date")
        .or_else(|| headers.get(DATE))
        .and_then(|value| value.to_str().ok())
        .ok_or(SignatureError::MissingDate)?
        .trim();
    if let Some(time) = basic_time(value) {
        return Ok((time, value.to_owned()));
    }
    let time =
        DateTime::parse_from_rfc2822(value).map_err(|_| SignatureError::MissingDate)?.with_timezone(&Utc);
    Ok((time, time.format("%Y%m%dT%H%M%SZ").to_string()))
}

//! Who is asking: users with a session, administrators by role.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use serde_json::Value;
use tokens::{Algorithm, ClaimError, Part, Policy, Verified, VerifyError};
use uuid::Uuid;

use super::{Context, RequestContext};
use crate::State;
use crate::error::{Error, ErrorCode, Result};
use crate::session::Session;
use crate::store;
use crate::user::User;

/// A user who presented an access token.
pub(crate) struct Caller {
    pub(crate) user: User,
    /// None for tokens without a session, which imported or self-signed ones are.
    pub(crate) session: Option<Session>,
    token: Arc<Verified>,
}

/// Somebody whose token has an administrative role. There is no user behind it.
pub(crate) struct Admin {
    pub(crate) role: String,
}

impl Caller {
    /// Refuses callers whose token says that they are anonymous.
    pub(crate) fn require_named(&self) -> Result<()> {
        match self.token.claims.get("is_anonymous") {
            Some(Value::Bool(true)) => Err(Error::forbidden(
                ErrorCode::NoAuthorization,
                "Anonymous user not allowed to perform these actions",
            )),
            _ => Ok(()),
        }
    }

    /// The first audience of the token.
    pub(crate) fn token_audience(&self) -> &str {
        audience(&self.token)
    }

    /// The audience in which this request looks for users.
    pub(crate) fn audience(&self, request: &RequestContext, state: &State) -> String {
        let jwt = &state.config().jwt;
        let of_token = match self.token.role() {
            Some(role) if jwt.admin_roles.iter().any(|admin| admin == role) => "",
            _ => self.token_audience(),
        };
        [request.header("x-jwt-aud"), of_token, &jwt.aud]
            .into_iter()
            .find(|aud| !aud.is_empty())
            .unwrap_or_default()
            .to_owned()
    }
}

/// The audience in which a request without a user looks for users.
pub(crate) fn request_audience(request: &RequestContext, state: &State) -> String {
    match request.header("x-jwt-aud") {
        "" => state.config().jwt.aud.clone(),
        header => header.to_owned(),
    }
}

fn audience(token: &Verified) -> &str {
    match token.claims.get("aud") {
        Some(Value::String(aud)) => aud,
        Some(Value::Array(list)) => list.first().and_then(|aud| aud.as_str()).unwrap_or_default(),
        _ => "",
    }
}

impl FromRequestParts<State> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self> {
        Self::of(&Context::of(parts), state).await
    }
}

impl Caller {
    /// The caller of a request; for routes on which only some requests need one.
    pub(crate) async fn of(request: &RequestContext, state: &State) -> Result<Self> {
        let token = verify(request, state)?;
        let subject = token.subject().unwrap_or_default();
        if subject.is_empty() {
            return Err(Error::forbidden(ErrorCode::BadJwt, "invalid claim: missing sub claim"));
        }
        let user_id: Uuid = subject
            .parse()
            .map_err(|_| Error::bad_request(ErrorCode::BadJwt, "invalid claim: sub claim must be a UUID"))?;
        let mut db = state.database().await?;
        let user = store::users::by_id(&mut db, user_id).await?.ok_or_else(|| {
            Error::forbidden(ErrorCode::UserNotFound, "User from sub claim in JWT does not exist")
        })?;
        let session = match token.str_claim("session_id").unwrap_or_default() {
            "" | "00000000-0000-0000-0000-000000000000" => None,
            id => {
                let id: Uuid = id.parse().map_err(|_| {
                    Error::forbidden(ErrorCode::BadJwt, "invalid claim: session_id claim must be a UUID")
                })?;
                let session = store::sessions::by_id(&mut db, id).await?;
                Some(session.ok_or_else(|| {
                    Error::forbidden(
                        ErrorCode::SessionNotFound,
                        "Session from session_id claim in JWT does not exist",
                    )
                })?)
            }
        };
        Ok(Self { user, session, token })
    }
}

impl FromRequestParts<State> for Admin {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self> {
        let token = verify(&Context::of(parts), state)?;
        let role = token.role().unwrap_or_default();
        if state.config().jwt.admin_roles.iter().any(|admin| admin == role) {
            return Ok(Self { role: role.to_owned() });
        }
        Err(Error::forbidden(ErrorCode::NotAdmin, "User not allowed"))
    }
}

/// Whether a request carries an administrator's token.
pub(crate) fn is_admin(request: &RequestContext, state: &State) -> bool {
    let role = verify(request, state).ok().and_then(|token| token.role().map(str::to_owned));
    role.is_some_and(|role| state.config().jwt.admin_roles.contains(&role))
}

/// The verified token of a request.
fn verify(request: &RequestContext, state: &State) -> Result<Arc<Verified>> {
    let header = request.header("authorization");
    let token = header
        .strip_prefix("Bearer ")
        .or_else(|| header.strip_prefix("bearer "))
        .filter(|token| !token.is_empty() && !token.contains(|char: char| char.is_ascii_whitespace()))
        .ok_or_else(|| {
            Error::new(
                StatusCode::UNAUTHORIZED,
                ErrorCode::NoAuthorization,
                "This endpoint requires a valid Bearer token",
            )
        })?;
    let refused = |reason: String| {
        let message = format!("invalid JWT: unable to parse or verify signature, {reason}");
        Error::forbidden(ErrorCode::BadJwt, message)
    };
    let verified =
        state.keys().verify_with(token, &Policy::EXACT).map_err(|error| refused(reason(&error, token)))?;
    // Tokens of trusted issuers are for the other services: their users are not ours, and their roles administer nobody.
    if verified.is_foreign {
        return Err(refused("token is unverifiable: it was issued by somebody else".into()));
    }
    well_typed(&verified).map_err(refused)?;
    Ok(verified)
}

/// Claims that the original reads into strings must be strings.
fn well_typed(token: &Verified) -> std::result::Result<(), String> {
    const STRINGS: [(&str, &str); 7] = [
        ("iss", "RegisteredClaims.iss"),
        ("sub", "RegisteredClaims.sub"),
        ("email", "email"),
        ("phone", "phone"),
        ("role", "role"),
        ("aal", "aal"),
        ("session_id", "session_id"),
    ];
    for (name, field) in STRINGS {
        let kind = match token.claims.get(name) {
            None | Some(Value::Null | Value::String(_)) => continue,
            Some(Value::Bool(_)) => "bool",
            Some(Value::Number(_)) => "number",
            Some(Value::Array(_)) => "array",
            Some(Value::Object(_)) => "object",
        };
        return Err(format!(
            "token is malformed: could not JSON decode claim: json: cannot unmarshal {kind} into Go struct \
             field AccessTokenClaims.{field} of type string"
        ));
    }
    Ok(())
}

/// A refusal in the words of the original's token library.
fn reason(error: &VerifyError, token: &str) -> String {
    let undecodable = |part: usize, what: &str| {
        let text = token.split('.').nth(part).unwrap_or_default();
        format!(
            "token is malformed: could not base64 decode {what}: illegal base64 data at input byte {}",
            bad_byte(text)
        )
    };
    match error {
        VerifyError::Empty | VerifyError::Parts(_) => {
            "token is malformed: token contains an invalid number of segments".into()
        }
        VerifyError::Encoding(Part::Header) => undecodable(0, "header"),
        VerifyError::Encoding(Part::Payload) => undecodable(1, "claim"),
        VerifyError::Encoding(Part::Signature) => undecodable(2, "signature"),
        VerifyError::Header => "token is malformed: could not JSON decode header".into(),
        VerifyError::Payload => "token is malformed: could not JSON decode claim".into(),
        VerifyError::Unsigned => "token signature is invalid: signing method none is invalid".into(),
        VerifyError::Algorithm(algorithm) if algorithm.parse::<Algorithm>().is_err() => {
            "token is unverifiable: signing method (alg) is unavailable".into()
        }
        VerifyError::Algorithm(algorithm) => {
            format!("token signature is invalid: signing method {algorithm} is invalid")
        }
        VerifyError::NoKey { kid, alg } => format!(
            "token is unverifiable: error while executing keyfunc: unrecognized JWT kid {} for algorithm {alg}",
            kid.as_deref().unwrap_or("<nil>"),
        ),
        VerifyError::Signature => "token signature is invalid: signature is invalid".into(),
        VerifyError::Claim(ClaimError::Expired) => "token has invalid claims: token is expired".into(),
        VerifyError::Claim(ClaimError::NotYetValid) => {
            "token has invalid claims: token is not valid yet".into()
        }
        VerifyError::Claim(ClaimError::NotANumber(name)) => {
            format!("token is malformed: could not JSON decode claim: could not parse NumericData: {name}")
        }
        VerifyError::Claim(other) => format!("token has invalid claims: {other}"),
    }
}

/// Where Go's decoder gives up: at the first byte that is not base64url, else behind the last whole group.
fn bad_byte(text: &str) -> usize {
    let foreign = |byte: u8| !(byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    text.bytes().position(foreign).unwrap_or(text.len() / 4 * 4)
}

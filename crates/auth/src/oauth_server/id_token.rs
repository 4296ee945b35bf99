//! ID tokens: who somebody is, for the application they signed in to. Newer than 2.180.

use serde::Serialize;
use tokens::Algorithm;
use uuid::Uuid;

use super::claims::Claims;
use crate::State;
use crate::error::{Cause, Error, Result};
use crate::json::{self, Timestamp};
use crate::user::User;

/// An hour, whatever access tokens have.
const LIFETIME: i64 = 3600;

#[derive(Serialize)]
struct Payload<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    iss: &'a str,
    sub: Uuid,
    aud: [Uuid; 1],
    exp: i64,
    iat: i64,
    auth_time: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    nonce: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number_verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<i64>,
    client_id: Uuid,
}

/// Signs a token about a user for a client.
///
/// Applications verify it with our public keys: where tokens are signed with the shared secret there is none to give out.
pub(crate) fn issue(
    state: &State,
    user: &User,
    client_id: Uuid,
    granted: &str,
    nonce: &str,
) -> Result<String> {
    const FAILURE: &str = "Error generating ID token";
    let keys = state.keys().keys();
    if keys.signing_key().is_none_or(|key| key.algorithm() == Algorithm::HS256) {
        let reason = "HS256 is not supported for ID token signing";
        return Err(Error::internal(FAILURE).because(Cause::Other(reason.into())));
    }
    let now = Timestamp::now();
    let claims = Claims::of(user, granted);
    let profile = claims.profile.as_ref();
    let payload = Payload {
        iss: &state.config().jwt.issuer,
        sub: user.id,
        aud: [client_id],
        exp: now.unix() + LIFETIME,
        iat: now.unix(),
        auth_time: user.last_sign_in_at.unwrap_or(now).unix(),
        nonce,
        email: claims.email,
        email_verified: claims.email_verified.filter(|verified| *verified),
        phone_number: claims.phone,
        phone_number_verified: claims.phone_verified.filter(|verified| *verified),
        name: profile.and_then(|profile| profile.name),
        picture: profile.and_then(|profile| profile.picture),
        preferred_username: profile.and_then(|profile| profile.preferred_username),
        updated_at: profile.map(|profile| profile.updated_at),
        client_id,
    };
    state
        .keys()
        .sign_payload(json::to_string(&payload).as_bytes())
        .map_err(|error| Error::internal(FAILURE).because(Cause::Other(error.into())))
}

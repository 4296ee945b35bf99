//! Access tokens: their claims, in the order PyJWT and others see them.

use database::Connection;
use serde::Serialize;
use uuid::Uuid;

use super::Session;
use crate::State;
use crate::error::{Cause, Error, Result};
use crate::hooks;
use crate::json::{self, Object, Timestamp};
use crate::user::User;

#[derive(Serialize)]
struct Claims<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    iss: &'a str,
    sub: Uuid,
    aud: &'a str,
    exp: i64,
    iat: i64,
    email: &'a str,
    phone: &'a str,
    app_metadata: &'a Object,
    user_metadata: &'a Object,
    role: &'a str,
    aal: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    amr: Vec<Amr<'a>>,
    session_id: Uuid,
    is_anonymous: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<Uuid>,
}

#[derive(Serialize)]
struct Amr<'a> {
    method: &'a str,
    timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
}

/// A signed token for a user's session and the second at which it expires. `method` is how the user proved to be who they are
/// in this very request; a hook that rewrites the claims is told.
pub(super) async fn issue(
    db: &mut Connection,
    state: &State,
    user: &User,
    session: &Session,
    method: &str,
) -> Result<(String, i64)> {
    let jwt = &state.config().jwt;
    let issued_at = Timestamp::now().unix();
    let expires_at = issued_at + jwt.exp;
    let claims = Claims {
        iss: &jwt.issuer,
        sub: user.id,
        aud: &user.aud,
        exp: expires_at,
        iat: issued_at,
        email: &user.email,
        phone: &user.phone,
        app_metadata: &user.app_metadata,
        user_metadata: &user.user_metadata,
        role: &user.role,
        aal: session.aal_of_methods().as_str(),
        amr: amr(user, session),
        session_id: session.id,
        is_anonymous: user.is_anonymous,
        client_id: session.oauth_client_id.filter(|id| !id.is_nil()),
    };
    let payload = if state.config().hooks.custom_access_token.enabled {
        json::to_string(&hooks::custom_access_token(state, db, user.id, &claims, method).await?)
    } else {
        json::to_string(&claims)
    };
    let token = state
        .keys()
        .sign_payload(payload.as_bytes())
        .map_err(|error| Error::internal("error generating jwt token").because(Cause::Other(error.into())))?;
    Ok((token, expires_at))
}

fn amr<'a>(user: &'a User, session: &'a Session) -> Vec<Amr<'a>> {
    session
        .amr
        .iter()
        .map(|used| Amr {
            method: &used.method,
            timestamp: used.at.unix(),
            provider: if used.method == "sso/saml" { sso_provider(user) } else { None },
        })
        .collect()
}

/// The provider of a user who has one identity, and that by single sign-on.
fn sso_provider(user: &User) -> Option<&str> {
    match user.identities.as_deref() {
        Some([identity]) => identity.provider.strip_prefix("sso:"),
        _ => None,
    }
}

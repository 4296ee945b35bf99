//! `GET /oauth/userinfo`: what an application may know of the person whose token it has. Newer than 2.180.

use axum::extract;
use axum::response::Response;
use serde::Serialize;
use uuid::Uuid;

use crate::State;
use crate::error::{Result, Step};
use crate::http::Caller;
use crate::json::{self, Object};
use crate::oauth_server::{Claims, require_enabled};
use crate::store::oauth_authorizations;

/// Keys are sorted, as the original's are.
#[derive(Serialize)]
struct Person<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<&'a str>,
    sub: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_metadata: Option<&'a Object>,
}

pub(super) async fn get(extract::State(state): extract::State<State>, caller: Caller) -> Result<Response> {
    require_enabled(&state)?;
    let client = caller.session.as_ref().and_then(|session| session.oauth_client_id);
    // The original keeps the scopes in a column of the session that GoTrue 2.180 does not bear: here they are those that the
    // person has agreed to for this application. Whose token is no application's learns no more than the subject.
    let granted = match client.filter(|id| !id.is_nil()) {
        Some(client) => {
            let mut db = state.database().await?;
            oauth_authorizations::consent(&mut db, caller.user.id, client)
                .await
                .step("Database error finding consent")?
        }
        None => None,
    };
    let claims = Claims::of(&caller.user, granted.as_deref().unwrap_or_default());
    let profile = claims.profile.as_ref();
    Ok(json::ok(&Person {
        email: claims.email,
        email_verified: claims.email_verified.filter(|verified| *verified),
        name: profile.and_then(|profile| profile.name),
        phone: claims.phone,
        phone_verified: claims.phone_verified.filter(|verified| *verified),
        picture: profile.and_then(|profile| profile.picture),
        preferred_username: profile.and_then(|profile| profile.preferred_username),
        sub: caller.user.id,
        updated_at: profile.map(|profile| profile.updated_at),
        user_metadata: profile.map(|_| &caller.user.user_metadata),
    }))
}

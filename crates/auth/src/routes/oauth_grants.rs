//! `/user/oauth/grants`: the applications somebody agreed to, and the end of such an agreement. Newer than 2.180.

use axum::extract;
use axum::response::{IntoResponse, Response};
use database::TransactionOptions;
use http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use super::oauth_consent::ShownClient;
use crate::State;
use crate::audit::{self, Action, traits};
use crate::error::{Error, ErrorCode, Result, Step};
use crate::http::{Caller, Context};
use crate::json::{self, Timestamp};
use crate::oauth_server::{require_enabled, scopes};
use crate::store::{oauth_authorizations, oauth_clients};

#[derive(Serialize)]
struct Grant<'a> {
    client: ShownClient<'a>,
    scopes: Vec<&'a str>,
    granted_at: Timestamp,
}

pub(super) async fn get(extract::State(state): extract::State<State>, caller: Caller) -> Result<Response> {
    require_enabled(&state)?;
    let mut db = state.database().await?;
    let grants = oauth_authorizations::grants(&mut db, caller.user.id).await;
    let mut found = Vec::new();
    for (client_id, agreed, since) in grants.step("Error fetching OAuth grants")? {
        let client = oauth_clients::find(&mut db, client_id).await.step("Error fetching client details")?;
        found.extend(client.map(|client| (client, agreed, since)));
    }
    let shown: Vec<Grant<'_>> = found
        .iter()
        .map(|(client, agreed, since)| Grant {
            client: client.into(),
            scopes: scopes(agreed),
            granted_at: *since,
        })
        .collect();
    Ok(json::ok(&shown))
}

pub(super) async fn delete(
    extract::State(state): extract::State<State>,
    request: Context,
    caller: Caller,
) -> Result<Response> {
    require_enabled(&state)?;
    const FAILURE: &str = "Error revoking grant";
    let client_id = match request.query.get("client_id") {
        "" => return Err(Error::invalid("client_id query parameter is required")),
        id => id.parse::<Uuid>().map_err(|_| Error::invalid("invalid client_id format"))?,
    };
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    if !oauth_authorizations::revoke(db, caller.user.id, client_id).await.step(FAILURE)? {
        return Err(Error::not_found(
            ErrorCode::OAuthConsentNotFound,
            "No active grant found for this client",
        ));
    }
    let revoked =
        traits([("oauth_client_id", client_id.to_string().into()), ("action", "revoke_oauth_grant".into())]);
    audit::record(db, &state, &request, &caller.user, Action::TokenRevoked, revoked).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

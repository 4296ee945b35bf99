//! `/admin/oauth/clients` and `POST /oauth/clients/register`: applications that people sign in to.

use axum::extract::{self, Path};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use crate::State;
use crate::error::{Error, ErrorCode, Result, Step};
use crate::http::{Admin, Body, Context, Page};
use crate::json;
use crate::oauth_server::client::Shown;
use crate::oauth_server::{Changes, Client, Registration, require_enabled};
use crate::rate_limit::Limit;
use crate::store::oauth_clients;

#[derive(Serialize)]
struct Listed<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    clients: Vec<Shown<'a>>,
}

async fn find(state: &State, id: &str) -> Result<Client> {
    let id: Uuid = id.parse().map_err(|_| Error::invalid("invalid client_id format"))?;
    let mut db = state.database().await?;
    let client = oauth_clients::find(&mut db, id).await.step("Error loading OAuth client")?;
    client.ok_or_else(|| Error::not_found(ErrorCode::OAuthClientNotFound, "OAuth client not found"))
}

async fn register(state: &State, body: &Body, is_dynamic: bool) -> Result<Response> {
    let registration: Registration =
        body.read_first().map_err(|_| Error::bad_request(ErrorCode::BadJson, "Invalid JSON body"))?;
    // The original shows the status within the message.
    let mut client =
        registration.check(is_dynamic).map_err(|reason| Error::invalid(format!("400: {reason}")))?;
    let secret = if client.is_public { String::new() } else { client.renew_secret() };
    let mut db = state.database().await?;
    oauth_clients::put(&mut db, &client).await.step("failed to create OAuth client")?;
    Ok(json::response(StatusCode::CREATED, &client.shown(&secret)))
}

pub(super) async fn create(
    extract::State(state): extract::State<State>,
    _: Admin,
    body: Body,
) -> Result<Response> {
    require_enabled(&state)?;
    register(&state, &body, false).await
}

pub(super) async fn register_dynamically(
    extract::State(state): extract::State<State>,
    request: Context,
    body: Body,
) -> Result<Response> {
    require_enabled(&state)?;
    state.limits().check(Limit::ClientRegistration, &request, state.config()).await?;
    if !state.config().oauth_server.allow_dynamic_registration {
        return Err(Error::forbidden(
            ErrorCode::OAuthDynamicClientRegistrationDisabled,
            "Dynamic client registration is not enabled",
        ));
    }
    register(&state, &body, true).await
}

pub(super) async fn list(
    extract::State(state): extract::State<State>,
    request: Context,
    _: Admin,
) -> Result<Response> {
    require_enabled(&state)?;
    let page = Page::from_query(&request.query)?;
    let mut db = state.database().await?;
    let (clients, total) = oauth_clients::page(&mut db, page.limit()?, page.offset())
        .await
        .step("Error listing OAuth clients")?;
    let mut response = json::ok(&Listed { clients: clients.iter().map(|client| client.shown("")).collect() });
    page.mark(response.headers_mut(), &request, total);
    Ok(response)
}

pub(super) async fn get(
    extract::State(state): extract::State<State>,
    _: Admin,
    Path(id): Path<String>,
) -> Result<Response> {
    require_enabled(&state)?;
    Ok(json::ok(&find(&state, &id).await?.shown("")))
}

pub(super) async fn update(
    extract::State(state): extract::State<State>,
    _: Admin,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response> {
    require_enabled(&state)?;
    let mut client = find(&state, &id).await?;
    let changes: Changes =
        body.read_first().map_err(|_| Error::bad_request(ErrorCode::BadJson, "Invalid JSON body"))?;
    if changes.is_empty() {
        return Err(Error::invalid("No fields provided for update"));
    }
    changes.apply(&mut client).map_err(Error::invalid)?;
    let mut db = state.database().await?;
    oauth_clients::put(&mut db, &client).await.step("Error updating OAuth client")?;
    Ok(json::ok(&client.shown("")))
}

pub(super) async fn delete(
    extract::State(state): extract::State<State>,
    _: Admin,
    Path(id): Path<String>,
) -> Result<Response> {
    require_enabled(&state)?;
    let client = find(&state, &id).await?;
    let mut db = state.database().await?;
    oauth_clients::delete(&mut db, client.id).await.step("Error deleting OAuth client")?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn regenerate_secret(
    extract::State(state): extract::State<State>,
    _: Admin,
    Path(id): Path<String>,
) -> Result<Response> {
    require_enabled(&state)?;
    let mut client = find(&state, &id).await?;
    if client.is_public {
        return Err(Error::invalid("Cannot regenerate secret for public client"));
    }
    let secret = client.renew_secret();
    client.updated_at = json::Timestamp::now_stored();
    let mut db = state.database().await?;
    oauth_clients::put(&mut db, &client).await.step("Error regenerating OAuth client secret")?;
    Ok(json::ok(&client.shown(&secret)))
}

//! `/oauth/authorizations/{authorization_id}`: somebody sees what an application asks for, and answers.

use axum::extract::{self, Path};
use axum::response::Response;
use database::{Connection, TransactionOptions};
use serde::Serialize;
use uuid::Uuid;

use super::oauth_authorize::{error_url, with};
use crate::State;
use crate::error::{Error, ErrorCode, Result, Step};
use crate::http::{Body, Caller, Context, Form, is_allowed};
use crate::json::{self, params};
use crate::oauth_server::{Client, require_enabled, scopes};
use crate::store::oauth_authorizations::{self, Authorization};
use crate::store::oauth_clients;
use crate::user::User;

params! {
    "ConsentRequest",
    /// What `POST` accepts.
    struct Params { action: String }
}

#[derive(Serialize)]
struct Details<'a> {
    authorization_id: &'a str,
    redirect_uri: &'a str,
    client: ShownClient<'a>,
    user: ShownUser<'a>,
    scope: &'a str,
}

/// A client in the words of 2.180 and in those of later releases, which dropped the prefix.
#[derive(Serialize)]
pub(super) struct ShownClient<'a> {
    client_id: Uuid,
    id: Uuid,
    #[serde(skip_serializing_if = "str::is_empty")]
    client_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    client_uri: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    uri: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    logo_uri: &'a str,
}

#[derive(Serialize)]
struct ShownUser<'a> {
    id: Uuid,
    #[serde(skip_serializing_if = "str::is_empty")]
    email: &'a str,
}

#[derive(Serialize)]
struct Redirect {
    redirect_url: String,
}

impl<'a> From<&'a Client> for ShownClient<'a> {
    fn from(client: &'a Client) -> Self {
        Self {
            client_id: client.id,
            id: client.id,
            client_name: &client.name,
            name: &client.name,
            client_uri: &client.uri,
            uri: &client.uri,
            logo_uri: &client.logo_uri,
        }
    }
}

/// Browsers say which page asks: it must be one that people are sent to.
fn check_origin(state: &State, request: &Context) -> Result<()> {
    match request.header("origin") {
        "" => Ok(()),
        origin if is_allowed(origin, state.config()) => Ok(()),
        _ => Err(Error::invalid("unauthorized request origin")),
    }
}

fn not_found() -> Error {
    Error::not_found(ErrorCode::OAuthAuthorizationNotFound, "authorization not found")
}

/// A request that waits for an answer. One that is over is closed for good.
async fn pending(db: &mut Connection, public_id: &str, closed: &mut bool) -> Result<Authorization> {
    let asked = oauth_authorizations::lock(db, public_id).await.step("error finding authorization")?;
    let asked = asked.ok_or_else(not_found)?;
    if asked.status != "pending" {
        return Err(Error::invalid("authorization request cannot be processed"));
    }
    if asked.is_expired() {
        oauth_authorizations::close(db, asked.id, "expired").await.step("error finding authorization")?;
        *closed = true;
        return Err(not_found());
    }
    Ok(asked)
}

pub(super) async fn get(
    extract::State(state): extract::State<State>,
    request: Context,
    caller: Caller,
    Path(public_id): Path<String>,
) -> Result<Response> {
    require_enabled(&state)?;
    check_origin(&state, &request)?;
    let user = &caller.user;
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let mut closed = false;
    let asked = match pending(db, &public_id, &mut closed).await {
        Ok(asked) => asked,
        Err(error) if closed => {
            transaction.commit().await?;
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    match asked.user_id {
        Some(owner) if owner != user.id => return Err(not_found()),
        Some(_) => {}
        None => {
            const FAILURE: &str = "error setting user and checking consent";
            oauth_authorizations::set_user(db, asked.id, user.id).await.step(FAILURE)?;
            let agreed = oauth_authorizations::consent(db, user.id, asked.client_id).await.step(FAILURE)?;
            let covers = agreed.is_some_and(|agreed| {
                let agreed = scopes(&agreed);
                scopes(&asked.scope).iter().all(|scope| agreed.contains(scope))
            });
            if covers {
                let code = oauth_authorizations::approve(db, asked.id).await.step(FAILURE)?;
                transaction.commit().await?;
                return Ok(json::ok(&Redirect { redirect_url: success_url(&asked, &code)? }));
            }
        }
    }
    let client = oauth_clients::find(db, asked.client_id).await.step("error finding authorization")?;
    let client = client.ok_or_else(not_found)?;
    transaction.commit().await?;
    Ok(json::ok(&details(&asked, &client, user)))
}

fn details<'a>(asked: &'a Authorization, client: &'a Client, user: &'a User) -> Details<'a> {
    Details {
        authorization_id: &asked.public_id,
        redirect_uri: &asked.redirect_uri,
        client: client.into(),
        user: ShownUser { id: user.id, email: &user.email },
        scope: &asked.scope,
    }
}

pub(super) async fn post(
    extract::State(state): extract::State<State>,
    request: Context,
    caller: Caller,
    Path(public_id): Path<String>,
    body: Body,
) -> Result<Response> {
    require_enabled(&state)?;
    check_origin(&state, &request)?;
    let params: Params =
        body.read_first().map_err(|_| Error::bad_request(ErrorCode::BadJson, "invalid JSON body"))?;
    if !matches!(params.action.as_str(), "approve" | "deny") {
        return Err(Error::invalid("action must be 'approve' or 'deny'"));
    }
    let user_id = caller.user.id;
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let mut closed = false;
    let asked = match pending(db, &public_id, &mut closed).await {
        Ok(asked) if asked.user_id == Some(user_id) => asked,
        Ok(_) => return Err(not_found()),
        Err(error) if closed => {
            transaction.commit().await?;
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    let redirect_url = if params.action == "approve" {
        let code = oauth_authorizations::approve(db, asked.id).await.step("error approving authorization")?;
        let agreed = scopes(&asked.scope).join(" ");
        oauth_authorizations::grant(db, user_id, asked.client_id, &agreed)
            .await
            .step("error storing consent")?;
        success_url(&asked, &code)?
    } else {
        oauth_authorizations::close(db, asked.id, "denied").await.step("error denying authorization")?;
        error_url(&asked.redirect_uri, "access_denied", "User denied the request", &asked.state)?
    };
    transaction.commit().await?;
    Ok(json::ok(&Redirect { redirect_url }))
}

fn success_url(asked: &Authorization, code: &str) -> Result<String> {
    let mut form = Form::default();
    form.set("code", code);
    with(&asked.redirect_uri, &form, &asked.state)
}

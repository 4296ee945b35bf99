//! `POST /oauth/token`: an application exchanges a code, or refreshes what it got.

use axum::extract;
use axum::response::Response;
use database::TransactionOptions;
use serde::Serialize;

use crate::State;
use crate::audit::{self, Action, traits};
use crate::error::{ApiError, Error, Result, Step};
use crate::http::{Body, Context, Form};
use crate::json::{self, params};
use crate::oauth_server::client::Credentials;
use crate::oauth_server::{Client, authenticate, id_token, require_enabled, scopes};
use crate::pkce;
use crate::session::{Method, Session, TokenResponse, refresh, sign_in_with};
use crate::store::{oauth_authorizations, users};

params! {
    "OAuthTokenParams",
    /// What the route accepts.
    struct Params {
        grant_type: String,
        code: String,
        refresh_token: String,
        redirect_uri: String,
        client_id: String,
        client_secret: String,
        code_verifier: String,
        resource: String,
    }
}

#[derive(Serialize)]
struct Tokens<'a> {
    access_token: &'a str,
    expires_in: i64,
    refresh_token: &'a str,
    token_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
}

impl<'a> From<&'a TokenResponse> for Tokens<'a> {
    fn from(tokens: &'a TokenResponse) -> Self {
        Self {
            access_token: &tokens.access_token,
            expires_in: tokens.expires_in,
            refresh_token: &tokens.refresh_token,
            token_type: tokens.token_type,
            id_token: None,
        }
    }
}

fn refused(error: &'static str, description: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::OAuth { error, description: description.into() }
}

pub(super) async fn post(
    extract::State(state): extract::State<State>,
    request: Context,
    mut body: Body,
) -> Result<Response> {
    require_enabled(&state)?;
    let params = read(&request, &mut body)?;
    let credentials = match Credentials::of_header(&request)? {
        Some(credentials) => credentials,
        None => Credentials { id: params.client_id.clone(), secret: params.client_secret.clone() },
    };
    let client = authenticate(&state, &credentials).await?;
    if params.grant_type.is_empty() {
        return Err(refused("invalid_request", "grant_type is required"));
    }
    if !client.grant_types.contains(&params.grant_type) {
        let description = format!("Client is not allowed to use grant type: {}", params.grant_type);
        return Err(refused("unsupported_grant_type", description));
    }
    match params.grant_type.as_str() {
        "authorization_code" => exchange(&state, &request, &client, &params).await,
        "refresh_token" if params.refresh_token.is_empty() => {
            Err(refused("invalid_request", "refresh_token is required for refresh_token grant"))
        }
        "refresh_token" => {
            let tokens = refresh(&state, &request, &params.refresh_token, Some(client.id)).await?;
            Ok(json::ok(&Tokens::from(&tokens)))
        }
        other => Err(refused("unsupported_grant_type", format!("Unsupported grant type: {other}"))),
    }
}

fn read(request: &Context, body: &mut Body) -> Result<Params> {
    if request.header("content-type").contains("application/json") {
        return body.read_first().map_err(|_| refused("invalid_request", "Invalid JSON body"));
    }
    let form = body.take_form();
    let value = |name: &str| {
        let form: &Form = if form.has(name) { &form } else { &request.query };
        form.get(name).to_owned()
    };
    Ok(Params {
        grant_type: value("grant_type"),
        code: value("code"),
        refresh_token: value("refresh_token"),
        redirect_uri: value("redirect_uri"),
        client_id: value("client_id"),
        client_secret: value("client_secret"),
        code_verifier: value("code_verifier"),
        resource: value("resource"),
    })
}

async fn exchange(state: &State, request: &Context, client: &Client, params: &Params) -> Result<Response> {
    if params.code.is_empty() {
        return Err(refused("invalid_request", "code is required for authorization_code grant"));
    }
    let invalid = |description: &'static str| refused("invalid_grant", description);
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    // Locked: of two exchanges of one code the second finds it gone.
    let asked = oauth_authorizations::lock_code(db, &params.code)
        .await
        .step("Error finding authorization code")?
        .ok_or_else(|| invalid("Invalid authorization code"))?;
    if asked.is_expired() {
        return Err(invalid("Authorization code has expired"));
    }
    if asked.client_id != client.id {
        return Err(invalid("Authorization code was not issued for this client"));
    }
    if !params.resource.is_empty() && params.resource != asked.resource {
        return Err(invalid("Authorization code resource does not match the resource parameter"));
    }
    if !params.redirect_uri.is_empty() && params.redirect_uri != asked.redirect_uri {
        return Err(invalid("Invalid redirect_uri"));
    }
    check_verifier(&asked, &params.code_verifier)?;
    let user_id = asked.user_id.ok_or_else(|| invalid("Authorization code has no associated user"))?;
    let user = users::by_id(db, user_id)
        .await
        .step("Error finding user")?
        .ok_or_else(|| invalid("User not found for authorization code"))?;
    if user.is_banned() {
        return Err(refused("access_denied", "User is banned"));
    }
    const FAILURE: &str = "Error exchanging authorization code";
    let exchanged = traits([
        ("provider_type", "oauth_provider_authorization_code".into()),
        ("client_id", client.id.to_string().into()),
    ]);
    audit::record(db, state, request, &user, Action::Login, exchanged).await.step(FAILURE)?;
    let mut session = Session::new(user.id);
    session.oauth_client_id = Some(client.id);
    let tokens = sign_in_with(db, state, request, user, Method::OAuthServer, session).await?;
    oauth_authorizations::delete(db, asked.id).await.step(FAILURE)?;
    let id_token = match scopes(&asked.scope).contains(&"openid") {
        true => Some(id_token::issue(state, &tokens.user, client.id, &asked.scope, &asked.nonce)?),
        false => None,
    };
    transaction.commit().await?;
    Ok(json::ok(&Tokens { id_token, ..Tokens::from(&tokens) }))
}

fn check_verifier(asked: &oauth_authorizations::Authorization, verifier: &str) -> Result<()> {
    let failed = |reason: &str| refused("invalid_grant", format!("PKCE verification failed: {reason}"));
    if asked.challenge.is_empty() {
        return Ok(());
    }
    if verifier.is_empty() {
        return Err(failed("code_verifier is required when PKCE challenge is present"));
    }
    pkce::verify(&asked.challenge, &asked.challenge_method, verifier).map_err(|error| match &error {
        Error::Api(api) => failed(message(api)),
        _ => failed("unknown"),
    })
}

fn message(error: &ApiError) -> &str {
    &error.message
}

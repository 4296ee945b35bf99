//! `POST /sso`: the way to the sign-in page of a company.

use axum::extract;
use axum::response::Response;
use chrono::Utc;
use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::State;
use crate::error::{Cause, Error, ErrorCode, Result, Step};
use crate::http::{Body, Context, see};
use crate::json::{self, Field, Mismatch, Timestamp, params};
use crate::rate_limit::Limit;
use crate::saml::{IdentityProvider, Request, ServiceProvider};
use crate::session::Method;
use crate::store::flow_states;
use crate::store::relay_states::{self, RelayState};
use crate::store::sso_providers::{self, SsoProvider};
use crate::{captcha, pkce};

/// An id that is looked at later.
#[derive(Debug, Default)]
struct Id(Option<String>);

impl Field for Id {
    fn store(&mut self, value: Value) -> Result<(), Mismatch> {
        let mut text = String::new();
        text.store(value).map_err(|mismatch| Mismatch { into: "uuid.UUID", ..mismatch })?;
        self.0 = Some(text);
        Ok(())
    }

    fn clear(&mut self) {
        self.0 = None;
    }
}

params! {
    "SingleSignOnParams",
    /// What a request may contain.
    struct Params {
        provider_id: Id,
        domain: String,
        redirect_to: String,
        skip_http_redirect: bool,
        code_challenge: String,
        code_challenge_method: String,
    }
}

/// Ourselves as a service provider, where SAML is switched on.
pub(super) fn service(state: &State) -> Result<&ServiceProvider> {
    state.saml().ok_or_else(|| Error::not_found(ErrorCode::SamlProviderDisabled, "SAML 2.0 is disabled"))
}

/// The answer below `/sso` where nothing is.
pub(super) async fn nothing(extract::State(state): extract::State<State>) -> Error {
    match service(&state) {
        Ok(_) => Error::RouteNotFound,
        Err(disabled) => disabled,
    }
}

pub(super) async fn method_not_allowed(extract::State(state): extract::State<State>) -> Error {
    match service(&state) {
        Ok(_) => Error::MethodNotAllowed,
        Err(disabled) => disabled,
    }
}

pub(super) fn refuse_disabled(provider: &SsoProvider, message: &'static str) -> Result<()> {
    match provider.is_disabled() {
        true => Err(Error::not_found(ErrorCode::SsoProviderDisabled, message)),
        false => Ok(()),
    }
}

pub(super) async fn post(
    extract::State(state): extract::State<State>,
    request: Context,
    body: Body,
) -> Result<Response> {
    let service = service(&state)?;
    state.limits().check(Limit::Sso, &request, state.config()).await?;
    captcha::check(&state, &request, &body).await?;
    let params: Params = body.read()?;
    let provider = provider(&state, &params).await?;
    refuse_disabled(&provider, "SSO Provider is currently disabled")?;
    let challenge = pkce::parse(&params.code_challenge_method, &params.code_challenge)?;

    let described = IdentityProvider::parse(provider.metadata_xml.as_bytes()).map_err(|error| {
        Error::internal("Error parsing SAML Metadata for SAML provider").because(Cause::Other(error.into()))
    })?;
    let failed = |reason: &'static str| {
        Error::internal("Error creating SAML Authentication Request").because(Cause::Other(reason.into()))
    };
    if described.sign_in_url.is_empty() {
        return Err(failed("the provider's metadata names no address for the HTTP-Redirect binding"));
    }
    let question = Request::new(provider.name_id_format.as_deref());
    let mut db = state.database().await?;
    let flow_state_id = match &challenge {
        Some(challenge) => {
            let method = challenge.stored_method()?;
            let name = Method::Sso.as_str();
            Some(flow_states::insert(&mut db, None, name, Method::Sso, &challenge.challenge, method).await?)
        }
        None => None,
    };
    let relay_state = RelayState {
        provider_id: provider.id,
        request_id: question.id.clone(),
        redirect_to: params.redirect_to,
        flow_state_id,
        created_at: Timestamp(Utc::now()),
    };
    let relay_state = relay_states::insert(&mut db, &relay_state)
        .await
        .step("Error creating SAML relay state from sign up")?;
    drop(db);
    let url = question
        .url(service, &described.sign_in_url, &relay_state.to_string())
        .ok_or_else(|| failed("the request cannot be signed"))?;
    if params.skip_http_redirect {
        return Ok(json::ok(&json!({"url": url})));
    }
    see(StatusCode::SEE_OTHER, &url, &request.method)
}

async fn provider(state: &State, params: &Params) -> Result<SsoProvider> {
    let id = match params.provider_id.0.as_deref() {
        None => Uuid::nil(),
        Some(text) => Uuid::try_parse(text).map_err(|_| {
            let reason = match text.len() {
                32 | 34 | 36 | 38 | 41 | 43 | 45 => format!("uuid: incorrect UUID format in string {text:?}"),
                length => format!("uuid: incorrect UUID length {length} in string {text:?}"),
            };
            let message = format!("Could not parse request body as JSON: {reason}");
            Error::bad_request(ErrorCode::BadJson, message)
        })?,
    };
    let missing = |message: &'static str| move || Error::not_found(ErrorCode::SsoProviderNotFound, message);
    match (id.is_nil(), params.domain.as_str()) {
        (false, "") => {
            let mut db = state.database().await?;
            let found = sso_providers::by_id(&mut db, id).await.step("Unable to find SSO provider by ID")?;
            found.ok_or_else(missing("No such SSO provider"))
        }
        (false, _) => Err(Error::invalid("Only one of provider_id or domain supported")),
        (true, "") => Err(Error::invalid("A provider_id or domain needs to be provided")),
        (true, domain) => {
            let mut db = state.database().await?;
            let found = sso_providers::by_domain(&mut db, domain).await;
            let found = found.step("Unable to find SSO provider by domain")?;
            found.ok_or_else(missing("No SSO provider assigned for this domain"))
        }
    }
}

//! `POST /sso/saml/acs`: back from the sign-in page of a company, with its word for who somebody is.

use axum::extract;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::Utc;
use database::{Connection, TransactionOptions};
use http::StatusCode;
use uuid::Uuid;

use super::callback::failed;
use super::sso::{refuse_disabled, service};
use crate::State;
use crate::error::{Cause, Error, ErrorCode, Result};
use crate::external::{Admitted, admit, ask_before_creating};
use crate::http::{Body, Context, Form, GoUrl, is_allowed, request_audience, see};
use crate::json::Timestamp;
use crate::rate_limit::Limit;
use crate::saml::{Assertion, Expected, IdentityProvider, NoProfile, accept, fetch, peek_issuer};
use crate::session::{Method, Session, sign_in_with};
use crate::store::flow_states::{self, Told};
use crate::store::relay_states;
use crate::store::sso_providers::{self, SsoProvider};

const DISABLED: &str = "SSO Provider assigned for this domain is currently disabled";

/// What began the sign-in, and how it goes on.
struct Begun {
    entity_id: String,
    redirect_to: String,
    /// The request that has to be answered; none where the provider began.
    request_id: Option<String>,
    flow_state_id: Option<Uuid>,
}

pub(super) async fn post(
    extract::State(state): extract::State<State>,
    request: Context,
    mut body: Body,
) -> Result<Response> {
    service(&state)?;
    state.limits().check(Limit::Assertion, &request, state.config()).await?;
    let form = body.take_form();
    match finish(&state, &request, &form).await {
        Ok(url) => see(StatusCode::FOUND, &url, &request.method),
        Err(error) => {
            let url = failed(&request, &state.config().site_url, error, false)?;
            see(StatusCode::SEE_OTHER, &url, &request.method)
        }
    }
}

async fn finish(state: &State, request: &Context, form: &Form) -> Result<String> {
    let begun = begun(state, form).await?;
    if !form.get("SAMLart").is_empty() {
        return Err(Error::invalid("SAML Artifact responses are not supported"));
    }
    let provider = find(state, &begun.entity_id).await?;
    let assertion = assertion(state, form, &begun, &provider).await?;
    let profile = provider.mapping.profile(&assertion, &provider.entity_id).map_err(no_profile)?;

    let name = format!("sso:{}", provider.id);
    let aud = request_audience(request, state);
    ask_before_creating(state, request, &profile, &name, &aud).await?;
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    if !relay_states::spend(db, provider.id, &assertion.id).await? {
        return Err(not_valid("it was used before"));
    }
    let user = match admit(db, state, request, &profile, &name, false, &aud).await? {
        Admitted::User(user) => *user,
        Admitted::NotYet(error) => {
            transaction.commit().await?;
            return Err(error);
        }
    };
    let target = match is_allowed(&begun.redirect_to, state.config()) {
        true => begun.redirect_to,
        false => state.config().site_url.clone(),
    };
    let url = match begun.flow_state_id {
        Some(flow_id) => {
            let code = go_on(db, flow_id, user.id, provider.id, &assertion).await?;
            let mut url = GoUrl::parse(&target)
                .ok_or_else(|| Error::Unexpected(Cause::Other("the redirect target is not a URL".into())))?;
            let mut query = url.query();
            query.set("code", code);
            url.set_query(&query);
            url.to_string()
        }
        None => {
            let session =
                Session { not_after: assertion.session_end.map(Timestamp), ..Session::new(user.id) };
            let tokens = sign_in_with(db, state, request, user, Method::Sso, session).await?;
            format!("{target}#{}", tokens.in_fragment(Form::default()))
        }
    };
    transaction.commit().await?;
    Ok(url)
}

/// Gives a PKCE flow its user; the session begins, and learns its end, when the code is exchanged.
async fn go_on(
    db: &mut Connection,
    flow_id: Uuid,
    user_id: Uuid,
    provider_id: Uuid,
    assertion: &Assertion,
) -> Result<String> {
    let told = Told { user_id, access_token: "", refresh_token: "" };
    let code = flow_states::fulfil(db, flow_id, told).await?.ok_or_else(|| {
        Error::unprocessable(ErrorCode::FlowStateAlreadyUsed, "Flow state has already been used")
    })?;
    if let Some(end) = assertion.session_end {
        relay_states::keep_end(db, provider_id, flow_id, end).await?;
    }
    Ok(code)
}

async fn begun(state: &State, form: &Form) -> Result<Begun> {
    let value = form.get("RelayState");
    let id = Uuid::try_parse(value).ok().filter(|id| !id.is_nil());
    let Some(id) = id else {
        let is_url =
            || GoUrl::parse(value).is_some_and(|url| !url.scheme().is_empty() || value.starts_with('/'));
        if !value.is_empty() && !is_url() {
            return Err(Error::invalid("SAML RelayState is not a valid UUID or URL"));
        }
        return begun_by_provider(form);
    };
    let mut db = state.database().await?;
    let missing = || {
        let message = "SAML RelayState does not exist, try logging in again?";
        Error::not_found(ErrorCode::SamlRelayStateNotFound, message)
    };
    let relay_state = relay_states::take(&mut db, id).await?.ok_or_else(missing)?;
    if Timestamp::now() >= relay_state.created_at.plus(state.config().saml.relay_state_validity) {
        return Err(Error::unprocessable(
            ErrorCode::SamlRelayStateExpired,
            "SAML RelayState has expired. Try logging in again?",
        ));
    }
    let provider = sso_providers::by_id(&mut db, relay_state.provider_id).await?;
    let provider =
        provider.ok_or_else(|| Error::internal("Unable to find SSO Provider from SAML RelayState"))?;
    refuse_disabled(&provider, DISABLED)?;
    Ok(Begun {
        entity_id: provider.entity_id,
        redirect_to: relay_state.redirect_to,
        request_id: Some(relay_state.request_id),
        flow_state_id: relay_state.flow_state_id,
    })
}

/// A sign-in that nobody asked us for: its answer says whom to look for, and its relay state where to go.
fn begun_by_provider(form: &Form) -> Result<Begun> {
    if !form.get("SAMLart").is_empty() {
        return Err(Error::invalid("SAML Artifact response can only be used with SP initiated flow"));
    }
    let response = form.get("SAMLResponse");
    if response.is_empty() {
        return Err(Error::invalid("SAMLResponse is missing"));
    }
    let xml = decode(response).ok_or_else(|| Error::invalid("SAMLResponse is not a valid Base64 string"))?;
    let entity_id =
        peek_issuer(&xml).ok_or_else(|| Error::invalid("SAMLResponse is not a valid XML SAML assertion"))?;
    Ok(Begun {
        entity_id,
        redirect_to: form.get("RelayState").to_owned(),
        request_id: None,
        flow_state_id: None,
    })
}

/// Base64; browsers' forms may break its lines.
fn decode(text: &str) -> Option<Vec<u8>> {
    let packed: String = text.chars().filter(|char| !matches!(char, '\r' | '\n')).collect();
    BASE64_STANDARD.decode(packed).ok()
}

async fn find(state: &State, entity_id: &str) -> Result<SsoProvider> {
    let mut db = state.database().await?;
    let provider = sso_providers::by_entity_id(&mut db, entity_id).await?.ok_or_else(|| {
        let message = "A SAML connection has not been established with this Identity Provider";
        Error::not_found(ErrorCode::SamlIdpNotFound, message)
    })?;
    refuse_disabled(&provider, DISABLED)?;
    Ok(provider)
}

async fn assertion(state: &State, form: &Form, begun: &Begun, provider: &SsoProvider) -> Result<Assertion> {
    let xml = decode(form.get("SAMLResponse")).ok_or_else(|| not_valid("it is not base64"))?;
    let described = described(state, provider).await?;
    let expected = Expected {
        service: service(state)?,
        issuer: &provider.entity_id,
        request_id: begun.request_id.as_deref(),
        now: Utc::now(),
    };
    accept(&xml, &described, &expected).map_err(|refused| {
        tracing::warn!(provider = %provider.id, "a SAML response was refused: {refused}");
        not_valid(refused)
    })
}

/// The provider as its metadata describes it, which is fetched again where it is old.
async fn described(state: &State, provider: &SsoProvider) -> Result<IdentityProvider> {
    let stored = IdentityProvider::parse(provider.metadata_xml.as_bytes())
        .map_err(|error| Error::Unexpected(Cause::Other(error.into())))?;
    let now = Utc::now();
    let Some(url) = provider.metadata_url.as_deref().filter(|url| !url.is_empty()) else {
        let soon = now + chrono::TimeDelta::days(30);
        if let Some(until) = stored.valid_until.filter(|until| *until <= soon) {
            tracing::warn!(provider = %provider.id, %until, "metadata of an identity provider ends soon: update it");
        }
        return Ok(stored);
    };
    if !stored.is_stale(provider.metadata_at.0, now) || !state.metadata_attempts().may_try(provider.id) {
        return Ok(stored);
    }
    match renewed(state, provider, url).await {
        Ok(fresh) => Ok(fresh),
        Err(reason) => {
            let id = provider.id;
            tracing::warn!(provider = %id, "metadata of an identity provider stays as it is: {reason}");
            Ok(stored)
        }
    }
}

async fn renewed(state: &State, provider: &SsoProvider, url: &str) -> Result<IdentityProvider, String> {
    let xml = fetch(state.strangers(), url).await.map_err(|error| error.to_string())?;
    let fresh = IdentityProvider::parse(&xml).map_err(|error| error.to_string())?;
    if fresh.entity_id != provider.entity_id {
        return Err("it describes another provider now".into());
    }
    let text = String::from_utf8_lossy(&xml);
    let mut db = state.database().await.map_err(|error| error.to_string())?;
    sso_providers::renew_metadata(&mut db, provider.id, &text).await.map_err(|error| error.to_string())?;
    Ok(fresh)
}

fn not_valid(reason: impl std::fmt::Display) -> Error {
    Error::invalid("SAML Assertion is not valid").because(Cause::Other(reason.to_string().into()))
}

fn no_profile(reason: NoProfile) -> Error {
    match reason {
        NoProfile::NoUserId => Error::bad_request(
            ErrorCode::SamlAssertionNoUserId,
            "SAML Assertion did not contain a persistent Subject Identifier attribute or Subject NameID uniquely \
             identifying this user",
        ),
        NoProfile::NoEmail => Error::bad_request(
            ErrorCode::SamlAssertionNoEmail,
            "SAML Assertion does not contain an email address",
        ),
        NoProfile::WrongType => {
            Error::internal("Mapped claims from provider could not be deserialized from JSON")
        }
    }
}

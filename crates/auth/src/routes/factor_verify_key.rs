//! The answer of a security key to the challenge of a factor.

use axum::response::Response;
use database::TransactionOptions;
use serde_json::Value;

use super::factor_verify::{Params, session_of};
use crate::State;
use crate::error::{Cause, Error, Result, Step};
use crate::factors::relying_party::{self, Shape};
use crate::factors::{self, challenge};
use crate::http::{Caller, Context};
use crate::json;
use crate::store::{self, challenges};
use crate::user::Factor;
use crate::webauthn::{
    AssertionResponse, CreationResponse, Credential, RelyingParty, SessionData, WebAuthnError,
};

/// An answer, understood.
enum Answer {
    Created(Box<CreationResponse>),
    Asserted(Box<AssertionResponse>),
}

pub(super) async fn verify(
    state: &State,
    request: &Context,
    caller: Caller,
    factor: Factor,
    params: Params,
) -> Result<Response> {
    let (party, answer) = read(state, &factor, &params)?;
    let user_id = caller.user.id.to_string();
    let session_id = session_of(&caller)?;
    let mut connection = state.database().await?;
    let challenge = challenge::open(&mut connection, state, request, &factor, params.challenge_id.0).await?;
    // Used up whatever comes of it, and by one request only.
    let first = challenges::delete(&mut connection, challenge.id).await;
    if !first.step("Database error deleting challenge")? {
        return Err(Error::unprocessable(
            crate::error::ErrorCode::MfaFactorNotFound,
            "MFA factor with the provided challenge ID not found",
        ));
    }
    let session: SessionData = challenge
        .session_data
        .and_then(|text| serde_json::from_str(&text).ok())
        .ok_or_else(|| Error::Unexpected(Cause::Other("the challenge is not a security key's".into())))?;
    let stored = store::factors::credentials(&mut connection, caller.user.id).await?;
    let credentials: Vec<Credential> = stored.iter().map(|(_, credential)| credential.clone()).collect();
    let credential = match &answer {
        Answer::Created(response) => party
            .finish_creation(&session, &user_id, response)
            .map_err(|error| Error::Unexpected(Cause::Other(error.into())))?,
        Answer::Asserted(response) => {
            party.finish_use(&session, &user_id, &credentials, response).map_err(|error: WebAuthnError| {
                Error::internal("Failed to validate WebAuthn MFA response")
                    .because(Cause::Other(error.into()))
            })?
        }
    };
    // The factor that the used key belongs to; a new one belongs to the factor that is enrolled.
    let owner = stored.iter().find(|(_, known)| known.id == credential.id).map_or(factor.id, |(id, _)| *id);

    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    factors::record_success(db, state, request, &caller.user, &factor, challenge.id).await?;
    if !factor.is_verified() {
        store::factors::verify(db, factor.id).await?;
    }
    store::factors::set_credential(db, owner, &credential).await?;
    let tokens = factors::succeed(db, state, request, caller.user.id, session_id, &factor).await?;
    transaction.commit().await?;
    factors::tell_of_new(state, request, &caller.user, &factor);
    Ok(json::ok(&tokens))
}

fn read(state: &State, factor: &Factor, params: &Params) -> Result<(RelyingParty, Answer)> {
    let shape = relying_party::shape_of(&params.web_authn, &params.webauthn);
    let object = match shape {
        Shape::Old => params.web_authn.0.as_ref(),
        Shape::New => params.webauthn.0.as_ref(),
    };
    let object = object.ok_or_else(|| Error::invalid("WebAuthn config required"))?;
    let there = |name: &str| object.get(name).filter(|value| !value.is_null());
    let (response, malformed): (&Value, &'static str) = match shape {
        Shape::Old if factor.is_verified() => (
            there("assertion_response")
                .ok_or_else(|| Error::invalid("creation_response required to login"))?,
            "Invalid credential_request_response",
        ),
        Shape::Old => (
            there("creation_response")
                .ok_or_else(|| Error::invalid("assertion_response required to login"))?,
            "Invalid credential_creation_response",
        ),
        Shape::New => {
            let kind = there("type").and_then(Value::as_str).unwrap_or_default();
            if !matches!(kind, "create" | "request") {
                return Err(Error::invalid("WebAuthn type must be create or request"));
            }
            let response =
                there("credential_response").ok_or_else(|| Error::invalid("credential_response required"))?;
            // A key that was never enrolled proves nothing, and an enrolled one is not enrolled again.
            if (kind == "request") != factor.is_verified() {
                return Err(Error::invalid("Invalid credential_response"));
            }
            (response, "Invalid credential_response")
        }
    };
    let party = relying_party::named(state, shape, Some(object))?
        .ok_or_else(|| Error::invalid("WebAuthn config required"))?;
    let answer = if factor.is_verified() {
        AssertionResponse::parse(response).map(|answer| Answer::Asserted(Box::new(answer)))
    } else {
        CreationResponse::parse(response).map(|answer| Answer::Created(Box::new(answer)))
    };
    Ok((party, answer.ok_or_else(|| Error::invalid(malformed))?))
}

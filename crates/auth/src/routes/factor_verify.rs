//! `POST /factors/{factor_id}/verify`: the answer to a challenge, for tokens at aal2.

use axum::extract::{self, Path};
use axum::response::Response;
use database::TransactionOptions;
use serde_json::Value;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::factor_verify_key;
use crate::State;
use crate::error::{Cause, Error, ErrorCode, Result, Step};
use crate::factors::attempt::{Attempt, attempted};
use crate::factors::relying_party::WebAuthnParams;
use crate::factors::{self, FactorType, asked_for, challenge, totp};
use crate::http::{Body, Caller, Context};
use crate::json::{self, Mismatch, Timestamp, params};
use crate::rate_limit::Limit;
use crate::store::{self, challenges};
use crate::verification;

params! {
    "VerifyFactorParams",
    /// What the route accepts.
    pub(super) struct Params {
        challenge_id: ChallengeId,
        code: String,
        web_authn: WebAuthnParams,
        webauthn: WebAuthnParams,
    }
}

/// An id as the original's JSON reads it.
#[derive(Debug, Default)]
pub(super) struct ChallengeId(pub(super) Uuid);

impl json::Field for ChallengeId {
    fn store(&mut self, value: Value) -> std::result::Result<(), Mismatch> {
        let mut text = String::new();
        text.store(value)?;
        self.0 = text.parse().map_err(|_| Mismatch { value: "string", into: "uuid.UUID" })?;
        Ok(())
    }
}

pub(super) async fn post(
    extract::State(state): extract::State<State>,
    request: Context,
    caller: Caller,
    Path(factor_id): Path<String>,
    body: Body,
) -> Result<Response> {
    let (factor, kind) = asked_for(&state, &request, &caller, &factor_id, Limit::FactorVerify).await?;
    let params: Params = body.read()?;
    if params.code.is_empty() && kind != FactorType::WebAuthn {
        return Err(Error::invalid("Code needs to be non-empty"));
    }
    kind.require_verify(&state, true)?;
    if kind == FactorType::WebAuthn {
        return factor_verify_key::verify(&state, &request, caller, factor, params).await;
    }
    let user = &caller.user;
    let mut outdated = None;
    let (challenge, mut valid) = {
        let mut db = state.database().await?;
        let challenge = challenge::open(&mut db, &state, &request, &factor, params.challenge_id.0).await?;
        let valid = match kind {
            FactorType::Totp => {
                let secret = store::factors::secret(&mut db, factor.id)
                    .await
                    .step("Database error verifying MFA TOTP secret")?;
                let secret = state.encryption().open(factor.id, &secret).map_err(|error| {
                    Error::internal("Database error verifying MFA TOTP secret")
                        .because(Cause::Other(error.into()))
                })?;
                let valid = totp::is_valid(&params.code, &secret.text, Timestamp::now().unix());
                outdated = secret.is_outdated.then_some(secret.text);
                valid
            }
            _ => {
                let expected = state.encryption().open(challenge.id, &challenge.otp_code)?.text;
                !expected.is_empty() && bool::from(expected.as_bytes().ct_eq(params.code.as_bytes()))
            }
        };
        (challenge, valid)
    };
    if kind == FactorType::Phone
        && verification::check_elsewhere(&state, "sms", &factor.phone, &params.code).await?
    {
        valid = true;
    }
    attempted(&state, &request, Attempt::new(user, &factor, kind.as_str(), valid)).await?;
    if !valid {
        let message = match kind {
            FactorType::Totp => "Invalid TOTP code entered",
            _ => "Invalid MFA Phone code entered",
        };
        return Err(Error::unprocessable(ErrorCode::MfaVerificationFailed, message));
    }
    let session = session_of(&caller)?;
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    factors::record_success(db, &state, &request, user, &factor, challenge.id).await?;
    // Of two answers with one code only one is good.
    if !challenges::close(db, challenge.id).await? {
        return Err(Error::unprocessable(
            ErrorCode::MfaIpAddressMismatch,
            "Challenge and verify IP addresses mismatch.",
        ));
    }
    if !factor.is_verified() {
        store::factors::verify(db, factor.id).await?;
    }
    if let Some(secret) = outdated {
        store::factors::set_secret(db, factor.id, &state.encryption().seal(factor.id, &secret)?).await?;
    }
    let tokens = factors::succeed(db, &state, &request, user.id, session, &factor).await?;
    transaction.commit().await?;
    factors::tell_of_new(&state, &request, user, &factor);
    Ok(json::ok(&tokens))
}

/// The session to take to aal2.
pub(super) fn session_of(caller: &Caller) -> Result<Uuid> {
    caller
        .session
        .as_ref()
        .map(|session| session.id)
        .ok_or_else(|| Error::internal("Cannot read SessionId claim as UUID"))
}

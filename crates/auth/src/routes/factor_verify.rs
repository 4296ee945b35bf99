//! `POST /factors/{factor_id}/verify`: the answer to a challenge, for tokens at aal2.

use axum::extract::{self, Path};
use axum::response::Response;
use database::TransactionOptions;
use serde_json::Value;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::factor_verify_key;
use crate::State;
use crate::error::{Error, ErrorCode, Result, Step};
use crate::factors::attempt::{Attempt, attempted};
use crate::factors::relying_party::WebAuthnParams;
use crate::factors::{self, FactorType, challenge, find_own, totp};
use crate::http::{Body, Caller, Context};
use crate::json::{self, Mismatch, Timestamp, params};
use crate::rate_limit::Limit;
use crate::store::{self, challenges};

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
    caller.require_named()?;
    let factor = find_own(&caller, &factor_id)?;
    state.limits().check(Limit::FactorVerify, &request, state.config())?;
    let params: Params = body.read()?;
    let kind = FactorType::parse(&factor.factor_type)?;
    if params.code.is_empty() && kind != FactorType::WebAuthn {
        return Err(Error::invalid("Code needs to be non-empty"));
    }
    kind.require_verify(&state, true)?;
    if kind == FactorType::WebAuthn {
        return factor_verify_key::verify(&state, &request, caller, factor, params).await;
    }
    let user = &caller.user;
    let (challenge, valid) = {
        let mut db = state.database().await?;
        let challenge = challenge::open(&mut db, &state, &request, &factor, params.challenge_id.0).await?;
        let valid = match kind {
            FactorType::Totp => {
                let secret = store::factors::secret(&mut db, factor.id)
                    .await
                    .step("Database error verifying MFA TOTP secret")?;
                totp::is_valid(&params.code, &secret, Timestamp::now().unix())
            }
            _ => {
                let expected = challenge.otp_code.as_bytes();
                !expected.is_empty() && bool::from(expected.ct_eq(params.code.as_bytes()))
            }
        };
        (challenge, valid)
    };
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
    let tokens = factors::succeed(db, &state, &request, user.id, session, &factor).await?;
    transaction.commit().await?;
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

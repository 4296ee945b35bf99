//! A challenge that somebody answers: still open, from the same address, not too old.

use std::time::Duration;

use database::Connection;
use uuid::Uuid;

use crate::State;
use crate::error::{Error, ErrorCode, Result, Step};
use crate::http::RequestContext;
use crate::json::Timestamp;
use crate::store::challenges::{self, Challenge};
use crate::user::Factor;

/// When a challenge ends, in seconds since 1970.
pub(crate) fn expires_at(state: &State, created_at: Timestamp) -> Timestamp {
    created_at.plus(lifetime(state))
}

fn lifetime(state: &State) -> Duration {
    state.config().mfa.challenge_expiry
}

/// The challenge of a factor, if it may be answered now from here.
pub(crate) async fn open(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    factor: &Factor,
    id: Uuid,
) -> Result<Challenge> {
    let challenge = challenges::find(db, factor.id, id)
        .await
        .step("Database error finding Challenge")?
        .ok_or_else(|| {
            Error::unprocessable(
                ErrorCode::MfaFactorNotFound,
                "MFA factor with the provided challenge ID not found",
            )
        })?;
    if challenge.is_verified || challenge.ip_address != request.ip {
        return Err(Error::unprocessable(
            ErrorCode::MfaIpAddressMismatch,
            "Challenge and verify IP addresses mismatch.",
        ));
    }
    if Timestamp::now() > expires_at(state, challenge.created_at) {
        challenges::delete(db, challenge.id).await.step("Database error deleting challenge")?;
        return Err(Error::unprocessable(
            ErrorCode::MfaChallengeExpired,
            format!(
                "MFA challenge {id} has expired, verify against another challenge or create a new challenge."
            ),
        ));
    }
    Ok(challenge)
}

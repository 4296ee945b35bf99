//! Second factors: who may enroll one, what a verified one is worth, what remains when one goes.

pub(crate) mod attempt;
pub(crate) mod challenge;
pub(crate) mod relying_party;
pub(crate) mod totp;

use database::Connection;
use uuid::Uuid;

use crate::State;
use crate::audit::{self, Action, traits};
use crate::error::{Error, ErrorCode, Result, Step};
use crate::http::{Caller, RequestContext};
use crate::mail::MessageKind;
use crate::news;
use crate::rate_limit::Limit;
use crate::session::{self, Method, Session, TokenResponse};
use crate::store::{factors, sessions, users};
use crate::user::{Factor, User};

/// The kinds of factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FactorType {
    Totp,
    Phone,
    WebAuthn,
}

impl FactorType {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Phone => "phone",
            Self::WebAuthn => "webauthn",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        match text {
            "totp" => Ok(Self::Totp),
            "phone" => Ok(Self::Phone),
            "webauthn" => Ok(Self::WebAuthn),
            _ => Err(Error::invalid("factor_type needs to be totp, phone, or webauthn")),
        }
    }

    /// What its use is recorded as.
    pub(crate) const fn method(self) -> Method {
        match self {
            Self::Totp => Method::Totp,
            Self::Phone => Method::MfaPhone,
            Self::WebAuthn => Method::MfaWebAuthn,
        }
    }

    /// Whether new ones may be enrolled.
    pub(crate) fn require_enroll(self, state: &State) -> Result<()> {
        let mfa = &state.config().mfa;
        let (enabled, code, name) = match self {
            Self::Totp => (mfa.totp.enroll_enabled, ErrorCode::MfaTotpEnrollNotEnabled, "TOTP"),
            Self::Phone => (mfa.phone.enroll_enabled, ErrorCode::MfaPhoneEnrollNotEnabled, "Phone"),
            Self::WebAuthn => {
                (mfa.web_authn.enroll_enabled, ErrorCode::MfaWebAuthnEnrollNotEnabled, "WebAuthn")
            }
        };
        if enabled {
            return Ok(());
        }
        Err(Error::unprocessable(code, format!("MFA enroll is disabled for {name}")))
    }

    /// Whether they may be used. The original answers the verification of a security key with the code for enrolling.
    pub(crate) fn require_verify(self, state: &State, verifying: bool) -> Result<()> {
        let mfa = &state.config().mfa;
        let (enabled, code, name) = match self {
            Self::Totp => (mfa.totp.verify_enabled, ErrorCode::MfaTotpVerifyNotEnabled, "TOTP"),
            Self::Phone => (mfa.phone.verify_enabled, ErrorCode::MfaPhoneVerifyNotEnabled, "Phone"),
            Self::WebAuthn if verifying => {
                (mfa.web_authn.verify_enabled, ErrorCode::MfaWebAuthnEnrollNotEnabled, "WebAuthn")
            }
            Self::WebAuthn => {
                (mfa.web_authn.verify_enabled, ErrorCode::MfaWebAuthnVerifyNotEnabled, "WebAuthn")
            }
        };
        if enabled {
            return Ok(());
        }
        Err(Error::unprocessable(code, format!("MFA verification is disabled for {name}")))
    }
}

/// The factor of a caller who is somebody and does not ask too often.
pub(crate) async fn asked_for(
    state: &State,
    request: &RequestContext,
    caller: &Caller,
    id: &str,
    limit: Limit,
) -> Result<(Factor, FactorType)> {
    caller.require_named()?;
    let factor = find_own(caller, id)?;
    state.limits().check(limit, request, state.config()).await?;
    let kind = FactorType::parse(&factor.factor_type)?;
    Ok((factor, kind))
}

/// A factor of the caller's, by the id in a path.
pub(crate) fn find_own(caller: &Caller, id: &str) -> Result<Factor> {
    let id: Uuid =
        id.parse().map_err(|_| Error::not_found(ErrorCode::ValidationFailed, "factor_id must be an UUID"))?;
    caller
        .user
        .factors
        .iter()
        .find(|factor| factor.id == id)
        .cloned()
        .ok_or_else(|| Error::not_found(ErrorCode::MfaFactorNotFound, "Factor not found"))
}

/// Whether a user may have another factor of this name.
pub(crate) async fn check_enrollment(
    db: &mut Connection,
    state: &State,
    user: &mut User,
    name: &str,
    session: &Session,
) -> Result<()> {
    let mfa = &state.config().mfa;
    factors::delete_expired(db, mfa.factor_expiry).await?;
    user.factors = factors::of_user(db, user.id).await?;
    if user.factors.iter().any(|factor| factor.friendly_name == name) {
        return Err(Error::unprocessable(
            ErrorCode::MfaFactorNameConflict,
            format!("A factor with the friendly name {name:?} for this user already exists"),
        ));
    }
    let verified = user.factors.iter().filter(|factor| factor.is_verified()).count();
    if user.factors.len() >= mfa.max_enrolled_factors || verified >= mfa.max_verified_factors {
        return Err(Error::unprocessable(
            ErrorCode::TooManyEnrolledMfaFactors,
            "Maximum number of verified factors reached, unenroll to continue",
        ));
    }
    if verified > 0 && !session.is_aal2() {
        return Err(Error::forbidden(ErrorCode::InsufficientAal, "AAL2 required to enroll a new factor"));
    }
    Ok(())
}

/// What a proved factor is worth: the session reaches aal2 with new tokens, the user's sessions below that end, and
/// enrollments of the kind that were never finished go.
pub(crate) async fn succeed(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    user_id: Uuid,
    session_id: Uuid,
    factor: &Factor,
) -> Result<TokenResponse> {
    let kind = FactorType::parse(&factor.factor_type)?;
    let user =
        users::by_id(db, user_id).await?.ok_or_else(|| Error::internal("Database error finding user"))?;
    let tokens = session::step_up(db, state, request, user, session_id, factor.id, kind.method()).await?;
    sessions::delete_below_aal2(db, user_id).await.step("Failed to update sessions.")?;
    factors::delete_unverified(db, user_id, kind).await.step("Error removing unverified factors.")?;
    Ok(tokens)
}

/// Records that a factor was tried with success.
pub(crate) async fn record_success(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    user: &User,
    factor: &Factor,
    challenge_id: Uuid,
) -> Result<()> {
    let tried = traits([
        ("factor_id", factor.id.to_string().into()),
        ("challenge_id", challenge_id.to_string().into()),
        ("factor_type", factor.factor_type.as_str().into()),
    ]);
    audit::record_from(db, state, request, user, Action::VerificationAttempted, tried, &request.ip).await
}

/// Tells somebody of a factor that was just verified for the first time.
pub(crate) fn tell_of_new(state: &State, request: &RequestContext, user: &User, factor: &Factor) {
    if !factor.is_verified() {
        let about = [("FactorType", factor.factor_type.as_str())];
        news::tell(state, request, user, MessageKind::FactorEnrolled, &user.email, &about);
    }
}

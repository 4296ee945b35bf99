//! `POST /passkeys/registration/options` and `…/verify`: a user adds a passkey.

use axum::extract;
use axum::response::Response;
use database::TransactionOptions;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::State;
use crate::audit::{self, Action, traits};
use crate::error::{Cause, Error, ErrorCode, Result, Step};
use crate::http::{Body, Caller, Context};
use crate::json::{self, Mismatch, Timestamp, params};
use crate::session::Session;
use crate::store::passkeys;
use crate::user::User;
use crate::webauthn::{CreationOptions, CreationResponse, Descriptor, Person, RelyingParty};

params! {
    "PasskeyRegistrationVerifyParams",
    /// What `verify` accepts.
    pub(super) struct Params { challenge_id: String, credential: Raw }
}

/// Any JSON; none for null.
#[derive(Debug, Default)]
pub(super) struct Raw(pub(super) Option<Value>);

impl json::Field for Raw {
    fn store(&mut self, value: Value) -> std::result::Result<(), Mismatch> {
        self.0 = Some(value);
        Ok(())
    }
}

#[derive(Serialize)]
struct Begun {
    challenge_id: Uuid,
    options: CreationOptions,
    expires_at: i64,
}

#[derive(Serialize)]
struct Registered<'a> {
    id: Uuid,
    #[serde(skip_serializing_if = "str::is_empty")]
    friendly_name: &'a str,
    created_at: Timestamp,
}

/// Passkeys exist only where they are switched on.
pub(super) fn require_enabled(state: &State) -> Result<()> {
    if state.config().passkey.enabled {
        return Ok(());
    }
    Err(Error::not_found(ErrorCode::PasskeyDisabled, "Passkeys are disabled"))
}

/// Who has a second factor must have used it to change passkeys.
pub(super) fn require_aal2(user: &User, session: Option<&Session>) -> Result<()> {
    if !user.has_verified_factor() || session.is_some_and(Session::is_aal2) {
        return Ok(());
    }
    Err(Error::forbidden(
        ErrorCode::InsufficientAal,
        "AAL2 session is required to manage passkeys when MFA is enabled",
    ))
}

pub(super) fn party(state: &State) -> Result<RelyingParty> {
    let rp = &state.config().webauthn;
    RelyingParty::new(&rp.rp_id, rp.display_name(), &rp.rp_origins).map_err(|reason| {
        Error::internal("Failed to initialize WebAuthn").because(Cause::Other(reason.into()))
    })
}

fn require_own_account(user: &User) -> Result<()> {
    if user.is_sso_user {
        return Err(Error::unprocessable(ErrorCode::ValidationFailed, "SSO users cannot register passkeys"));
    }
    Ok(())
}

pub(super) async fn options(
    extract::State(state): extract::State<State>,
    caller: Caller,
) -> Result<Response> {
    require_enabled(&state)?;
    let user = &caller.user;
    require_own_account(user)?;
    require_aal2(user, caller.session.as_ref())?;
    let config = state.config();
    let mut db = state.database().await?;
    let existing = passkeys::of_user(&mut db, user.id).await.step("Database error loading passkeys")?;
    if existing.len() >= config.passkey.max_per_user {
        return Err(too_many());
    }
    let descriptors =
        existing.iter().map(|passkey| Descriptor::new(&passkey.credential.id.0, Vec::new())).collect();
    let user_id = user.id.to_string();
    let name = if user.email.is_empty() { &user.phone } else { &user.email };
    let shown = user.user_metadata.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
    let person = Person::new(name, shown.unwrap_or(name), &user_id);
    let (options, session) = party(&state)?.begin_passkey(person, &user_id, descriptors);
    let lifetime = config.webauthn.challenge_expiry;
    let (challenge_id, expires_at) =
        passkeys::begin(&mut db, Some(user.id), "registration", &session, lifetime)
            .await
            .step("Database error storing challenge")?;
    Ok(json::ok(&Begun { challenge_id, options, expires_at: expires_at.unix() }))
}

pub(super) async fn verify(
    extract::State(state): extract::State<State>,
    request: Context,
    caller: Caller,
    body: Body,
) -> Result<Response> {
    require_enabled(&state)?;
    let user = &caller.user;
    require_own_account(user)?;
    require_aal2(user, caller.session.as_ref())?;
    let (challenge_id, answer) = read(&body)?;
    let mut connection = state.database().await?;
    let consumed = passkeys::consume(&mut connection, challenge_id, "registration", Some(user.id)).await;
    let Some((session, expires_at)) = consumed.step("Database error consuming challenge")? else {
        return Err(challenge_not_found());
    };
    if Timestamp::now() > expires_at {
        return Err(challenge_expired());
    }
    let answer = CreationResponse::parse(&answer).ok_or_else(|| refused("Invalid credential response"))?;
    let credential = party(&state)?
        .finish_creation(&session, &user.id.to_string(), &answer)
        .map_err(|error| refused("Credential verification failed").because(Cause::Other(error.into())))?;

    const FAILURE: &str = "Database error creating passkey";
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    passkeys::lock_owner(db, user.id).await.step(FAILURE)?;
    let existing = passkeys::of_user(db, user.id).await.step(FAILURE)?;
    if existing.len() >= state.config().passkey.max_per_user {
        return Err(too_many());
    }
    let name = friendly_name(credential.aaguid());
    let passkey = passkeys::insert(db, user.id, &credential, name).await.map_err(|error| {
        if error.as_db().is_some_and(|db| db.code == "23505") {
            return Error::unprocessable(
                ErrorCode::WebAuthnCredentialExists,
                "This credential is already registered",
            );
        }
        Error::internal(FAILURE).because(error)
    })?;
    let created = traits([("passkey_id", passkey.id.to_string().into())]);
    audit::record_from(db, &state, &request, user, Action::PasskeyCreated, created, &request.ip).await?;
    transaction.commit().await?;
    Ok(json::ok(&Registered {
        id: passkey.id,
        friendly_name: &passkey.friendly_name,
        created_at: passkey.created_at,
    }))
}

/// The two parts of an answer to a ceremony.
pub(super) fn read(body: &Body) -> Result<(Uuid, Value)> {
    let params: Params = body.read()?;
    if params.challenge_id.is_empty() {
        return Err(Error::invalid("challenge_id is required"));
    }
    let credential = params.credential.0.ok_or_else(|| Error::invalid("credential is required"))?;
    let id = params.challenge_id.parse().map_err(|_| Error::invalid("challenge_id must be a valid UUID"))?;
    Ok((id, credential))
}

pub(super) fn challenge_not_found() -> Error {
    Error::bad_request(ErrorCode::WebAuthnChallengeNotFound, "Challenge not found or already used")
}

pub(super) fn challenge_expired() -> Error {
    Error::bad_request(ErrorCode::WebAuthnChallengeExpired, "Challenge has expired")
}

pub(super) fn refused(message: &'static str) -> Error {
    Error::bad_request(ErrorCode::WebAuthnVerificationFailed, message)
}

fn too_many() -> Error {
    Error::unprocessable(ErrorCode::TooManyPasskeys, "Maximum number of passkeys reached")
}

/// What people call the makers of the authenticators that most passkeys are on.
fn friendly_name(aaguid: Option<Uuid>) -> &'static str {
    const NAMES: [(u128, &str); 9] = [
        (0xea9b8d66_4d01_1d21_3ce4_b6b48cb575d4, "Google Password Manager"),
        (0xadce0002_35bc_c60a_648b_0b25f1f05503, "Chrome on Mac"),
        (0x08987058_cadc_4b81_b6e1_30de50dcbe96, "Windows Hello"),
        (0x9ddd1817_af5a_4672_a2b9_3e3dd95000a9, "Windows Hello"),
        (0x6028b017_b1d4_4c02_b4b3_afcdafc96bb2, "Windows Hello"),
        (0xfbfc3007_154e_4ecc_8c0b_6e020557d7bd, "Apple Passwords"),
        (0xbada5566_a7aa_401f_bd96_45619a55120d, "1Password"),
        (0xd548826e_79b4_db40_a3d8_11116f7e8349, "Bitwarden"),
        (0x531126d6_e717_415c_9320_3d9aa6981239, "Dashlane"),
    ];
    let known = aaguid.and_then(|id| NAMES.iter().find(|(known, _)| id.as_u128() == *known));
    known.map_or("Passkey", |(_, name)| name)
}

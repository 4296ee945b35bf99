//! What happened, who did it: rows for administrators and log lines for operators.

use database::Connection;
use serde_json::Value;
use uuid::Uuid;

use crate::State;
use crate::error::Result;
use crate::http::RequestContext;
use crate::json::{self, Object};
use crate::store;
use crate::store::batch::Batch;
use crate::user::User;

/// What somebody did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Login,
    Logout,
    UserSignedUp,
    UserInvited,
    UserDeleted,
    UserModified,
    UserRecoveryRequested,
    UserReauthenticateRequested,
    UserConfirmationRequested,
    UserRepeatedSignup,
    UserUpdatedPassword,
    TokenRevoked,
    TokenRefreshed,
    FactorInProgress,
    FactorUnenrolled,
    ChallengeCreated,
    VerificationAttempted,
    FactorDeleted,
    FactorUpdated,
    IdentityUnlinked,
    PasskeyCreated,
    PasskeyUpdated,
    PasskeyDeleted,
    InviteAccepted,
}

impl Action {
    /// The action's name and the group it is in.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Login => ("login", "account"),
            Self::Logout => ("logout", "account"),
            Self::UserSignedUp => ("user_signedup", "team"),
            Self::UserInvited => ("user_invited", "team"),
            Self::UserDeleted => ("user_deleted", "team"),
            Self::UserModified => ("user_modified", "user"),
            Self::UserRecoveryRequested => ("user_recovery_requested", "user"),
            Self::UserReauthenticateRequested => ("user_reauthenticate_requested", ""),
            Self::UserConfirmationRequested => ("user_confirmation_requested", "user"),
            Self::UserRepeatedSignup => ("user_repeated_signup", "user"),
            Self::UserUpdatedPassword => ("user_updated_password", "user"),
            Self::TokenRevoked => ("token_revoked", "token"),
            Self::TokenRefreshed => ("token_refreshed", "token"),
            Self::FactorInProgress => ("factor_in_progress", "factor"),
            Self::FactorUnenrolled => ("factor_unenrolled", "factor"),
            Self::ChallengeCreated => ("challenge_created", "factor"),
            Self::VerificationAttempted => ("verification_attempted", "factor"),
            Self::FactorDeleted => ("factor_deleted", "factor"),
            Self::FactorUpdated => ("factor_updated", "factor"),
            Self::IdentityUnlinked => ("identity_unlinked", ""),
            Self::PasskeyCreated => ("passkey_created", "user"),
            Self::PasskeyUpdated => ("passkey_updated", "user"),
            Self::PasskeyDeleted => ("passkey_deleted", "user"),
            Self::InviteAccepted => ("invite_accepted", "account"),
        }
    }
}

/// Who did it.
pub(crate) struct Actor<'a> {
    id: Uuid,
    via_sso: bool,
    username: &'a str,
    name: Option<&'a Value>,
}

impl<'a> From<&'a User> for Actor<'a> {
    fn from(user: &'a User) -> Self {
        Self {
            id: user.id,
            via_sso: user.is_sso_user,
            username: user.audit_name(),
            name: user.user_metadata.get("full_name"),
        }
    }
}

impl<'a> Actor<'a> {
    /// An administrator, who is no user: known by the role of the token.
    pub(crate) fn admin(role: &'a str) -> Self {
        Self { id: Uuid::nil(), via_sso: false, username: role, name: None }
    }
}

/// Traits of an entry.
pub(crate) fn traits<const N: usize>(pairs: [(&str, Value); N]) -> Option<Object> {
    Some(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Records an action in the caller's transaction and in the log.
pub(crate) async fn record<'a>(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    actor: impl Into<Actor<'a>>,
    action: Action,
    traits: Option<Object>,
) -> Result<()> {
    record_from(db, state, request, actor, action, traits, "").await
}

/// As [`record`], with the address that some entries carry.
pub(crate) async fn record_from<'a>(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    actor: impl Into<Actor<'a>>,
    action: Action,
    traits: Option<Object>,
    ip_address: &str,
) -> Result<()> {
    let mut batch = Batch::default();
    note_from(&mut batch, state, request, actor, action, traits, ip_address);
    Ok(batch.run(db).await?)
}

/// As [`record`], among other writes.
pub(crate) fn note<'a>(
    batch: &mut Batch,
    state: &State,
    request: &RequestContext,
    actor: impl Into<Actor<'a>>,
    action: Action,
    traits: Option<Object>,
) {
    note_from(batch, state, request, actor, action, traits, "");
}

fn note_from<'a>(
    batch: &mut Batch,
    state: &State,
    request: &RequestContext,
    actor: impl Into<Actor<'a>>,
    action: Action,
    traits: Option<Object>,
    ip_address: &str,
) {
    let actor = actor.into();
    let id = Uuid::new_v4();
    let (name, group) = action.names();
    let mut payload = Object::new();
    payload.insert("actor_id".into(), actor.id.to_string().into());
    payload.insert("actor_via_sso".into(), actor.via_sso.into());
    payload.insert("actor_username".into(), actor.username.into());
    payload.insert("action".into(), name.into());
    payload.insert("log_type".into(), group.into());
    if let Some(full_name) = actor.name {
        payload.insert("actor_name".into(), full_name.clone());
    }
    if let Some(traits) = traits {
        payload.insert("traits".into(), Value::Object(traits));
    }
    tracing::info!(
        auth_audit_event = json::to_string(&payload),
        audit_log_id = %id,
        request_id = %request.id,
        ip_address,
        user_agent = %request.user_agent,
        "audit_event"
    );
    if !state.config().audit_log_disable_postgres {
        store::audit::insert(batch, id, &payload, ip_address);
    }
}

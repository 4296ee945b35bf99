//! Refresh tokens: rotation, reuse and its detection.
//!
//! Each refresh revokes the presented token and hands out its successor in the same session. The
//! token's and the session's rows are locked while that happens, without waiting: who finds them
//! locked lets go of its connection and tries again a little later. Of several requests with one
//! token the first rotates it; the others then present the parent of the active token and are given
//! that active token, so that a client whose answer was lost, or that refreshed twice, goes on.

use std::time::Duration;

use database::{Connection, TransactionOptions};
use rand::RngExt;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Expiry, Session, TokenResponse};
use crate::State;
use crate::audit::{self, Action};
use crate::error::{Error, ErrorCode, Result};
use crate::http::RequestContext;
use crate::json::Timestamp;
use crate::random;
use crate::store;
use crate::store::batch::Batch;
use crate::store::refresh_tokens::RefreshToken;
use crate::store::users::Column;
use crate::user::User;

/// How long a request waits for others with the same token or session.
const PATIENCE: Duration = Duration::from_secs(5);

/// A try at refreshing.
enum Attempt {
    Done(Box<TokenResponse>),
    /// Somebody else holds a row that is needed.
    Busy,
}

/// Exchanges a refresh token for new tokens. `client` is the application that asks: a session belongs to one or to none.
pub(crate) async fn refresh(
    state: &State,
    request: &RequestContext,
    token: &str,
    client: Option<Uuid>,
) -> Result<TokenResponse> {
    if token.is_empty() {
        return Err(Error::OAuth { error: "invalid_request", description: "refresh_token required".into() });
    }
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match attempt(state, request, token, client).await? {
            Attempt::Done(response) => return Ok(*response),
            Attempt::Busy => {
                let pause = rand::rng().random_range(10..30);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
    }
    Err(Error::new(
        http::StatusCode::CONFLICT,
        ErrorCode::Conflict,
        "Too many concurrent token refresh requests on the same session or refresh token",
    ))
}

async fn attempt(
    state: &State,
    request: &RequestContext,
    presented: &str,
    client: Option<Uuid>,
) -> Result<Attempt> {
    let config = state.config();
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();

    let Some(token) = store::refresh_tokens::find_and_lock(db, presented).await? else {
        return match store::refresh_tokens::find(db, presented).await? {
            Some(_) => Ok(Attempt::Busy),
            None => Err(not_found()),
        };
    };
    let user_id: Uuid = token.user_id.parse().map_err(|_| not_found())?;
    let user = store::users::by_id(db, user_id).await?.ok_or_else(not_found)?;
    if user.is_banned() {
        return Err(Error::bad_request(ErrorCode::UserBanned, "Invalid Refresh Token: User Banned"));
    }
    let found = match token.session_id.filter(|id| !id.is_nil()) {
        Some(id) => store::sessions::with_methods_locked(db, id).await?,
        None => None,
    };
    let Some((session, is_locked)) = found else {
        store::refresh_tokens::delete(db, token.id).await?;
        transaction.commit().await?;
        return Err(Error::bad_request(
            ErrorCode::SessionNotFound,
            "Invalid Refresh Token: No Valid Session Found",
        ));
    };
    let now = Timestamp::now();
    session.check(&config.sessions, now, Some(token.updated_at), user.highest_aal()).map_err(expired)?;
    if !is_locked {
        return Ok(Attempt::Busy);
    }
    check_client(session.oauth_client_id.filter(|id| !id.is_nil()), client)?;
    if config.sessions.single_per_user {
        if !store::users::try_lock(db, user.id).await? {
            return Ok(Attempt::Busy);
        }
        refuse_if_superseded(db, state, &user, &session, &token, now).await?;
    }

    let successor = match token.revoked {
        false => None,
        true => match reuse(db, state, &session, &token).await? {
            Reuse::Active(active) => Some(active),
            Reuse::WithinInterval => None,
            Reuse::Abuse => {
                if config.security.refresh_token_rotation_enabled {
                    store::refresh_tokens::revoke_family(db, session.id).await?;
                }
                transaction.commit().await?;
                tracing::warn!(token_id = token.id, user_id = %user.id, "possible abuse: a revoked refresh token was used again");
                return Err(Error::bad_request(
                    ErrorCode::RefreshTokenAlreadyUsed,
                    "Invalid Refresh Token: Already Used",
                ));
            }
        },
    };

    let mut batch = Batch::default();
    audit::note(&mut batch, state, request, &user, Action::TokenRefreshed, None);
    let (user, successor) = match successor {
        Some(active) => (user, active),
        None => swap(&mut batch, state, request, user, &session, &token),
    };
    let (agent, ip) = (request.user_agent(), request.ip());
    store::sessions::update_refresh(&mut batch, session.id, Timestamp::now(), agent, ip);
    if config.hooks.custom_access_token.enabled {
        // A function of the database sees what was written before it.
        std::mem::take(&mut batch).run(db).await?;
    }
    let response = TokenResponse::new(db, state, user, &session, successor, "token_refresh").await?;
    batch.commit(transaction).await?;
    Ok(Attempt::Done(Box::new(response)))
}

/// An application refreshes its own sessions, and nobody else's.
fn check_client(owner: Option<Uuid>, client: Option<Uuid>) -> Result<()> {
    let description = match (owner, client) {
        (Some(owner), Some(client)) if owner == client => return Ok(()),
        (None, None) => return Ok(()),
        (Some(_), None) => "Client authentication required for OAuth session",
        (Some(_), Some(_)) => "Client does not match the session's OAuth client",
        (None, Some(_)) => "Client authentication not allowed for non-OAuth session",
    };
    Err(Error::OAuth { error: "invalid_client", description: description.into() })
}

/// Revokes a token and writes its successor.
pub(super) fn swap(
    batch: &mut Batch,
    state: &State,
    request: &RequestContext,
    mut user: User,
    session: &Session,
    token: &RefreshToken,
) -> (User, String) {
    audit::note(batch, state, request, &user, Action::TokenRevoked, None);
    store::refresh_tokens::revoke(batch, token.id);
    let successor = random::refresh_token();
    store::refresh_tokens::insert(batch, &successor, user.id, Some(&token.token), session.id);
    store::users::update_in(batch, &mut user, &[Column::LastSignInAt]);
    (user, successor)
}

/// What the use of a revoked token means.
enum Reuse {
    /// It is the parent of the active token, which is handed out again.
    Active(String),
    /// It was revoked only a moment ago.
    WithinInterval,
    /// Neither: two parties hold the same token.
    Abuse,
}

async fn reuse(db: &mut Connection, state: &State, session: &Session, token: &RefreshToken) -> Result<Reuse> {
    if let Some(active) = store::refresh_tokens::active(db, session.id).await?
        && active.parent == token.token
    {
        return Ok(Reuse::Active(active.token));
    }
    let until = token.updated_at.plus_seconds(state.config().security.refresh_token_reuse_interval);
    Ok(if Timestamp::now() > until { Reuse::Abuse } else { Reuse::WithinInterval })
}

/// Of a user's valid sessions with one tag only the one refreshed last goes on.
async fn refuse_if_superseded(
    db: &mut Connection,
    state: &State,
    user: &User,
    session: &Session,
    token: &RefreshToken,
    now: Timestamp,
) -> Result<()> {
    let limits = &state.config().sessions;
    let ours = session.last_refreshed_at(Some(token.updated_at));
    let superseded = store::sessions::of_user(db, user.id).await?.iter().any(|other| {
        other.id != session.id
            && other.check(limits, now, None, user.highest_aal()).is_ok()
            && other.tag(&limits.tags) == session.tag(&limits.tags)
            && other.last_refreshed_at(None) > ours
    });
    if superseded {
        return Err(Error::bad_request(
            ErrorCode::SessionExpired,
            "Invalid Refresh Token: Session Expired (Revoked by Newer Login)",
        ));
    }
    Ok(())
}

fn not_found() -> Error {
    Error::bad_request(ErrorCode::RefreshTokenNotFound, "Invalid Refresh Token: Refresh Token Not Found")
}

fn expired(expiry: Expiry) -> Error {
    let message = match expiry {
        Expiry::Over => "Invalid Refresh Token: Session Expired",
        Expiry::Inactive => "Invalid Refresh Token: Session Expired (Inactivity)",
        Expiry::LowAal => "Invalid Refresh Token: Session Expired (Low AAL: User Needs MFA Verification)",
    };
    Error::bad_request(ErrorCode::SessionExpired, message)
}

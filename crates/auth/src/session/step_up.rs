//! A session in which a second factor was proved.

use database::Connection;
use uuid::Uuid;

use super::{Method, TokenResponse, refresh};
use crate::State;
use crate::error::{Error, Result};
use crate::http::RequestContext;
use crate::store;
use crate::store::batch::Batch;
use crate::user::User;

/// Takes a session to aal2 by a factor and replaces its tokens.
///
/// The original replaces the session's oldest token, which may leave two that work; here it is the active one.
pub(crate) async fn step_up(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    user: User,
    session_id: Uuid,
    factor_id: Uuid,
    method: Method,
) -> Result<TokenResponse> {
    let mut batch = Batch::default();
    store::amr::add(&mut batch, session_id, method);
    batch.run(db).await?;
    let missing = || Error::internal("Database error finding session");
    let mut session = store::sessions::with_methods(db, session_id).await?.ok_or_else(missing)?;
    let token = store::refresh_tokens::current(db, session_id).await?.ok_or_else(missing)?;
    let mut batch = Batch::default();
    let (user, successor) = refresh::swap(&mut batch, state, request, user, &session, &token);
    batch.run(db).await?;
    store::sessions::reach_aal2(db, session_id, factor_id).await?;
    session.aal = Some("aal2".into());
    TokenResponse::new(db, state, user, &session, successor, method.as_str()).await
}

//! The beginning of a session.

use database::Connection;
use serde::Serialize;

use super::{Method, MethodUsed, Session, access_token};
use crate::State;
use crate::error::{Result, Step, WeakPassword};
use crate::http::{Form, RequestContext};
use crate::json::Timestamp;
use crate::random;
use crate::store;
use crate::store::batch::Batch;
use crate::store::users::Column;
use crate::user::User;

/// The answer to every sign-in and refresh. Fields are in the order of the answer.
#[derive(Debug, Serialize)]
pub(crate) struct TokenResponse {
    pub(crate) access_token: String,
    pub(crate) token_type: &'static str,
    pub(crate) expires_in: i64,
    pub(crate) expires_at: i64,
    pub(crate) refresh_token: String,
    pub(crate) user: User,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) provider_token: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) provider_refresh_token: String,
    /// Only the password grant mentions it, as null where the password is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) weak_password: Option<Option<WeakPassword>>,
}

impl TokenResponse {
    /// The tokens beside what else is in a fragment.
    pub(crate) fn in_fragment(&self, mut fragment: Form) -> String {
        fragment.set("access_token", self.access_token.as_str());
        fragment.set("token_type", self.token_type);
        fragment.set("expires_in", self.expires_in.to_string());
        fragment.set("expires_at", self.expires_at.to_string());
        fragment.set("refresh_token", self.refresh_token.as_str());
        fragment.encode()
    }

    pub(super) async fn new(
        db: &mut Connection,
        state: &State,
        user: User,
        session: &Session,
        refresh_token: String,
        method: &str,
    ) -> Result<Self> {
        let (access_token, expires_at) = access_token::issue(db, state, &user, session, method).await?;
        Ok(Self {
            access_token,
            token_type: "bearer",
            expires_in: state.config().jwt.exp,
            expires_at,
            refresh_token,
            user,
            provider_token: String::new(),
            provider_refresh_token: String::new(),
            weak_password: None,
        })
    }
}

/// Begins a session of a user who has proved who they are. Runs in the caller's transaction.
pub(crate) async fn sign_in(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    user: User,
    method: Method,
) -> Result<TokenResponse> {
    let session = Session::new(user.id);
    sign_in_with(db, state, request, user, method, session).await
}

/// Begins a session that somebody prepared.
pub(crate) async fn sign_in_with(
    db: &mut Connection,
    state: &State,
    request: &RequestContext,
    mut user: User,
    method: Method,
    mut session: Session,
) -> Result<TokenResponse> {
    let refresh_token = random::refresh_token();
    user.last_sign_in_at = Some(Timestamp::now());
    let mut batch = Batch::default();
    store::sessions::insert(&mut batch, &session, request.user_agent(), request.ip());
    store::refresh_tokens::insert(&mut batch, &refresh_token, user.id, None, session.id);
    store::users::update_in(&mut batch, &mut user, &[Column::LastSignInAt]);
    store::amr::add(&mut batch, session.id, method);
    batch.run(db).await.step("Database error granting user")?;
    session.amr.push(MethodUsed { method: method.as_str().to_owned(), at: Timestamp::now() });
    TokenResponse::new(db, state, user, &session, refresh_token, method.as_str()).await
}

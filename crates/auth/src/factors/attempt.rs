//! The point at which a hook may have a say in an attempt at a second factor.

use uuid::Uuid;

use crate::State;
use crate::error::Result;
use crate::http::RequestContext;
use crate::user::{Factor, User};

/// A code that was tried, and whether it was right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) user_id: Uuid,
    pub(crate) factor_id: Uuid,
    pub(crate) factor_type: &'static str,
    pub(crate) valid: bool,
}

impl Attempt {
    pub(crate) fn new(user: &User, factor: &Factor, factor_type: &'static str, valid: bool) -> Self {
        Self { user_id: user.id, factor_id: factor.id, factor_type, valid }
    }
}

/// Called after every try of an app's or a phone's code, outside of any transaction and before the answer is decided. An
/// error from here is the answer.
pub(crate) async fn attempted(state: &State, request: &RequestContext, attempt: Attempt) -> Result<()> {
    tracing::debug!(
        request_id = %request.id,
        user_id = %attempt.user_id,
        factor_id = %attempt.factor_id,
        factor_type = attempt.factor_type,
        valid = attempt.valid,
        "a second factor was tried"
    );
    let Attempt { user_id, factor_id, factor_type, valid } = attempt;
    crate::hooks::mfa_verification(state, user_id, factor_id, factor_type, valid).await
}

//! `auth.mfa_amr_claims`: how a session was authenticated.

use uuid::Uuid;

use super::batch::Batch;
use crate::json::Timestamp;
use crate::session::Method;

/// Adds a method to a session, or renews it.
pub(crate) fn add(batch: &mut Batch, session_id: Uuid, method: Method) {
    batch.add(
        "insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
         values ($1, $2, $3, $3, $4)
         on conflict on constraint mfa_amr_claims_session_id_authentication_method_pkey
         do update set updated_at = excluded.updated_at",
        [
            Box::new(Uuid::new_v4()),
            Box::new(session_id),
            Box::new(Timestamp::now()),
            Box::new(method.as_str()),
        ],
    );
}

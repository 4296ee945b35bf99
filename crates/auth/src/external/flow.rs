//! What a sign-in carries through a provider: a short-lived token, signed with our own key.

use serde::{Deserialize, Serialize};
use tokens::Policy;
use uuid::Uuid;

use crate::State;
use crate::error::{Cause, Error, ErrorCode, Result};
use crate::json::{self, Timestamp};

/// Seconds that people have at the provider's page.
const LIFETIME: i64 = 300;

/// The state of a sign-in. Fields are in the order of the original's.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Flow {
    /// When it ends.
    pub(crate) exp: i64,
    pub(crate) site_url: String,
    pub(crate) id: Uuid,
    pub(crate) function_hooks: Option<serde_json::Value>,
    /// The provider, as it was asked for.
    pub(crate) provider: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) invite_token: String,
    /// Where it ends.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) referrer: String,
    /// The PKCE flow, if it is one.
    pub(crate) flow_state_id: String,
    /// The user who gets another identity.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) linking_target_id: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) email_optional: bool,
    /// Where our secret for the provider is kept, if it wants one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_state_id: Option<Uuid>,
}

impl Flow {
    /// Signs the state.
    pub(crate) fn seal(mut self, state: &State) -> Result<String> {
        self.exp = Timestamp::now().plus_seconds(LIFETIME).unix();
        self.site_url.clone_from(&state.config().site_url);
        state
            .keys()
            .sign_payload(json::to_string(&self).as_bytes())
            .map_err(|error| Error::internal("Error creating state").because(Cause::Other(error.into())))
    }

    /// Reads a state that came back.
    pub(crate) fn open(state: &State, text: &str) -> Result<Self> {
        let refused = |message: &'static str| Error::bad_request(ErrorCode::BadOAuthState, message);
        const INVALID: &str = "OAuth callback with invalid state";
        if text.is_empty() {
            return Err(Error::bad_request(ErrorCode::BadOAuthCallback, "OAuth state parameter missing"));
        }
        let verified = state
            .keys()
            .verify_with(text, &Policy::EXACT)
            .map_err(|error| refused(INVALID).because(Cause::Other(error.to_string().into())))?;
        // Our own states end; a token that does not was made for something else.
        if verified.is_foreign || verified.claims.get("exp").is_none() {
            return Err(refused(INVALID));
        }
        let flow: Self = serde_json::from_str(&verified.claims_json).map_err(|_| refused(INVALID))?;
        if flow.provider.is_empty() {
            return Err(refused("OAuth callback with invalid state (missing provider)"));
        }
        Ok(flow)
    }
}

//! For whom a security key answers, in the two shapes that clients send.
//!
//! GoTrue up to 2.180 is told under `web_authn`, with the origins in one text; from 2.181 on under `webauthn`, with a list.
//! Where the configuration names the relying party, as newer servers ask for, it decides and the request does not.

use serde_json::Value;

use crate::State;
use crate::error::{Cause, Error, Result};
use crate::json::{self, Mismatch, Object};
use crate::webauthn::RelyingParty;

/// Which shape a request speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `web_authn`, to 2.180.
    #[default]
    Old,
    /// `webauthn`, from 2.181.
    New,
}

/// The object under `web_authn` or `webauthn`.
#[derive(Debug, Default)]
pub(crate) struct WebAuthnParams(pub(crate) Option<Object>);

impl json::Field for WebAuthnParams {
    fn store(&mut self, value: Value) -> std::result::Result<(), Mismatch> {
        match value {
            Value::Object(object) => {
                self.0 = Some(object);
                Ok(())
            }
            Value::String(_) => Err(Mismatch { value: "string", into: "api.WebAuthnParams" }),
            Value::Array(_) => Err(Mismatch { value: "array", into: "api.WebAuthnParams" }),
            Value::Bool(_) => Err(Mismatch { value: "bool", into: "api.WebAuthnParams" }),
            _ => Err(Mismatch { value: "number", into: "api.WebAuthnParams" }),
        }
    }
}

/// Both keys of a request: the newer one counts when both are there.
pub(crate) fn shape_of(old: &WebAuthnParams, new: &WebAuthnParams) -> Shape {
    if new.0.is_some() || old.0.is_none() { Shape::New } else { Shape::Old }
}

/// The relying party of a request; `None` if neither the request nor the configuration names one.
pub(crate) fn named(state: &State, shape: Shape, params: Option<&Object>) -> Result<Option<RelyingParty>> {
    let configured = &state.config().webauthn;
    let unusable = |reason: String| Error::Unexpected(Cause::Other(reason.into()));
    if !configured.rp_id.is_empty() {
        return RelyingParty::new(&configured.rp_id, configured.display_name(), &configured.rp_origins)
            .map(Some)
            .map_err(unusable);
    }
    let Some(params) = params else { return Ok(None) };
    let text = |name: &str| params.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (id, origins) = match shape {
        Shape::Old => {
            let origins = text("rp_origins");
            let origins =
                if origins.is_empty() { Vec::new() } else { origins.split(',').map(str::to_owned).collect() };
            (text("rp_id"), origins)
        }
        Shape::New => {
            let list = params.get("rpOrigins").and_then(Value::as_array);
            let origins = list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
            (text("rpId"), origins)
        }
    };
    RelyingParty::new(&id, &id, &origins).map(Some).map_err(unusable)
}

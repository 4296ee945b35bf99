//! This service as the place where people sign in to other applications: OAuth 2.1.

pub(crate) mod claims;
pub(crate) mod client;
pub(crate) mod id_token;
pub(crate) mod registration;

pub(crate) use claims::{Claims, SUPPORTED_SCOPES};
pub(crate) use client::{Client, authenticate};
pub(crate) use registration::{Changes, Registration};

use crate::State;
use crate::error::{Error, Result};

/// The routes exist only where the server is switched on.
pub(crate) fn require_enabled(state: &State) -> Result<()> {
    if state.config().oauth_server.enabled { Ok(()) } else { Err(Error::RouteNotFound) }
}

/// The scopes of a text, which are separated by spaces.
pub(crate) fn scopes(text: &str) -> Vec<&str> {
    text.split(' ').map(str::trim).filter(|scope| !scope.is_empty()).collect()
}

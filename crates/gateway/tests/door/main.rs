//! The door over real connections.
#![allow(clippy::unwrap_used)]

mod behaviour;
mod hostile;
mod shutdown;
mod support;

//! Users whom others vouch for: providers, ID tokens, wallets.

pub(crate) mod account;
pub(crate) mod flow;
pub(crate) mod linking;

pub(crate) use account::{Admitted, accept_invite, admit, ask_before_creating, link_to};

//! One module a command.

pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod db;
mod detach;
pub(crate) mod keys;
pub(crate) mod licenses;
pub(crate) mod serve;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod version;

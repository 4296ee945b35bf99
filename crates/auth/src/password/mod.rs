//! Passwords: rules for new ones, hashes of stored ones.

mod foreign;
mod hasher;
mod pwned;
mod strength;
mod threads;

pub(crate) use hasher::{Hasher, check_foreign_hash};
pub(crate) use pwned::check_new;
pub(crate) use strength::MAX_LENGTH;

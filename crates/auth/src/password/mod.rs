//! Passwords: rules for new ones, hashes of stored ones.

mod hasher;
mod strength;

pub(crate) use hasher::{Hasher, check_foreign_hash};
pub(crate) use strength::{MAX_LENGTH, check};

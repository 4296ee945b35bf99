//! The command line as a script meets it: the real binary, its output and its exit codes.

#![allow(clippy::unwrap_used)]

mod auth_alone;
mod configuration;
mod keys;
mod lifecycle;
mod serving;
mod support;
mod usage;

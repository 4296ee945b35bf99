//! The service over real HTTP, on a real database and a real folder.

#![allow(clippy::unwrap_used)]

mod buckets;
mod downloads;
mod faults;
mod holes;
mod listing;
mod objects;
mod policies;
mod render;
mod service;
mod signed;
mod sweeping;
mod talks;
mod uploads;
mod webhooks;

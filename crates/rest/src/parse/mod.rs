//! From HTTP to a request tree. Pure: nothing here knows the database.

pub mod ast;
pub mod body;
mod csv;
mod filter;
mod grammar;
mod haskell;
pub mod media;
pub mod prefer;
pub mod query;
pub mod range;
pub mod request;
mod scan;
mod select;

//! Turns a plain PostgreSQL into a Supabase database, and keeps it one.

pub mod ledgers;

//! The service over real HTTP on a real database.

#![allow(clippy::unwrap_used)]

mod accounts;
mod administration;
mod authenticator;
mod cleaning_up;
mod custom_providers;
mod edges;
mod encrypted_columns;
mod factors;
mod failing_triggers;
mod hooks;
mod links;
mod mails;
mod oauth_server;
mod outside;
mod passkeys;
mod passwords;
mod phone_factors;
mod provider;
mod providers;
mod redis;
mod refreshing;
mod reloading;
mod restored_dump;
mod saml;
mod saml_administration;
mod saml_attacks;
mod saml_provider;
mod sequences;
mod service;
mod signing_out;
mod signing_up;
mod storms;
mod text_messages;
mod totp;
mod wallets;

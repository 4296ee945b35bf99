//! Users, sessions, tokens and one-time codes over HTTP: compatible with GoTrue 2.180.0.
//!
//! [`router`] answers at the root path. Each file in `routes` is one route: what it takes, what it
//! does, what it answers. The rules live beside it and know no HTTP: passwords in `password`,
//! sessions and refresh tokens in `session`, one-time tokens in `one_time`, who is who in `user` and
//! `identity`. SQL lives in `store`, one table a file; the tables are created elsewhere.
//!
//! Clients compare our answers byte by byte more often than one would think, so JSON is read and
//! written as Go does (`json`), and errors speak both of the original's dialects (`error`).

mod account;
mod addresses;
mod audit;
mod captcha;
mod cleanup;
mod config;
mod contact;
mod encryption;
mod error;
mod external;
mod factors;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod glob;
mod guesses;
mod hooks;
mod http;
mod identity;
mod json;
mod mail;
mod metadata;
mod news;
mod oauth_server;
mod one_time;
mod outbox;
mod outside;
mod password;
mod phone;
mod pkce;
mod providers;
mod random;
mod rate_limit;
mod routes;
mod saml;
mod service;
mod session;
mod signup;
mod sms;
mod state;
mod store;
mod user;
mod verification;
mod web3;
mod webauthn;

pub use addresses::AddressChecks;
pub use config::{
    Captcha, CaptchaProvider, Config, ConfigError, CustomOAuth, Environment, External, FactorSwitch, Hook,
    HookTarget, Hooks, Jwt, Mailer, MessageBird, Mfa, OAuthProvider, OAuthServer, Passkey, Password,
    PhoneFactor, Pwned, Rate, RateLimits, Reloading, Saml, Secret, Security, Sessions, Signing, Sms,
    SmsProvider, Smtp, TextLocal, Twilio, UrlPaths, Vonage, Wallet, Web3, WebAuthn, format_go_duration,
    parse_go_duration,
};
pub use encryption::Encryption;
pub use error::{ApiError, Cause, Error, ErrorCode, WeakPassword};
pub use service::Service;
pub use state::State;

/// The release whose behaviour this crate has.
pub const GOTRUE_VERSION: &str = "v2.180.0";

/// Every route, at the root path. [`Service`] does the same for a service that runs for long.
pub fn router(state: State) -> axum::Router {
    service::Live::new(state).router()
}

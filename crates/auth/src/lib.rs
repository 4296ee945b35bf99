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
mod audit;
mod config;
mod contact;
mod error;
mod external;
mod factors;
mod glob;
mod http;
mod identity;
mod json;
mod mail;
mod metadata;
mod oauth_server;
mod one_time;
mod password;
mod phone;
mod pkce;
mod providers;
mod random;
mod rate_limit;
mod routes;
mod session;
mod signup;
mod state;
mod store;
mod user;
mod verification;
mod web3;
mod webauthn;

pub use config::{
    Config, ConfigError, Environment, External, FactorSwitch, Jwt, Mailer, Mfa, OAuthProvider, OAuthServer,
    Passkey, Password, PhoneFactor, Rate, RateLimits, Security, Sessions, Signing, Sms, Smtp, UrlPaths,
    Wallet, Web3, WebAuthn, format_go_duration, parse_go_duration,
};
pub use error::{ApiError, Cause, Error, ErrorCode, WeakPassword};
pub use mail::{Deliver, Delivery, DeliveryError, Message, MessageKind, TextMessage};
pub use state::State;

/// The release whose behaviour this crate has.
pub const GOTRUE_VERSION: &str = "v2.180.0";

/// Every route, at the root path.
pub fn router(state: State) -> axum::Router {
    let routes = routes::table(state.clone());
    http::front(state, routes)
}

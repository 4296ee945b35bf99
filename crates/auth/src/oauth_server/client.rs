//! An application that people sign in to, and how it proves to be the one.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rand::RngExt;
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::State;
use crate::error::{Error, ErrorCode, Result, Step};
use crate::http::RequestContext;
use crate::json::Timestamp;
use crate::store::oauth_clients;

/// A row of `auth.oauth_clients`. Its id is the client's id.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) id: Uuid,
    pub(crate) secret_hash: String,
    pub(crate) is_public: bool,
    pub(crate) is_dynamic: bool,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) grant_types: Vec<String>,
    pub(crate) auth_method: String,
    pub(crate) name: String,
    pub(crate) uri: String,
    pub(crate) logo_uri: String,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// A client as administrators and applications see it.
#[derive(Serialize)]
pub(crate) struct Shown<'a> {
    client_id: Uuid,
    /// Only when it was just made.
    #[serde(skip_serializing_if = "str::is_empty")]
    client_secret: &'a str,
    client_type: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    redirect_uris: &'a [String],
    token_endpoint_auth_method: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    grant_types: &'a [String],
    response_types: [&'static str; 1],
    #[serde(skip_serializing_if = "str::is_empty")]
    client_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    client_uri: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    logo_uri: &'a str,
    registration_type: &'static str,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl Client {
    pub(crate) fn shown<'a>(&'a self, secret: &'a str) -> Shown<'a> {
        Shown {
            client_id: self.id,
            client_secret: secret,
            client_type: if self.is_public { "public" } else { "confidential" },
            redirect_uris: &self.redirect_uris,
            token_endpoint_auth_method: &self.auth_method,
            grant_types: &self.grant_types,
            response_types: ["code"],
            client_name: &self.name,
            client_uri: &self.uri,
            logo_uri: &self.logo_uri,
            registration_type: if self.is_dynamic { "dynamic" } else { "manual" },
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }

    /// Gives the client another secret and returns it. Only its hash is kept.
    pub(crate) fn renew_secret(&mut self) -> String {
        let bytes: [u8; 32] = rand::rng().random();
        let secret = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        self.secret_hash = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(secret.as_bytes()));
        secret
    }

    fn has_secret(&self, secret: &str) -> bool {
        let hash = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(secret.as_bytes()));
        bool::from(hash.as_bytes().ct_eq(self.secret_hash.as_bytes()))
    }
}

/// A client's id and secret, from the header or from the body.
pub(crate) struct Credentials {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Credentials {
    /// Those of the header, if there are some.
    pub(crate) fn of_header(request: &RequestContext) -> Result<Option<Self>> {
        let Some(encoded) = request.header("authorization").strip_prefix("Basic ") else { return Ok(None) };
        let refused = |reason: &str| {
            let message = format!("Invalid client credentials: {reason}");
            Error::bad_request(ErrorCode::InvalidCredentials, message)
        };
        let decoded = BASE64_STANDARD
            .decode(encoded)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| refused("invalid basic auth encoding"))?;
        let (id, secret) = decoded.split_once(':').ok_or_else(|| refused("invalid basic auth format"))?;
        Ok(Some(Self { id: id.to_owned(), secret: secret.to_owned() }))
    }
}

/// The client that presents these credentials.
pub(crate) async fn authenticate(state: &State, credentials: &Credentials) -> Result<Client> {
    let refused = |message: &'static str| Error::bad_request(ErrorCode::InvalidCredentials, message);
    if credentials.id.is_empty() {
        return Err(refused("Invalid client credentials: client_id is required"));
    }
    let id: Uuid = credentials.id.parse().map_err(|_| refused("Invalid client_id format"))?;
    let mut db = state.database().await?;
    let client = oauth_clients::find(&mut db, id)
        .await
        .step("Error validating client credentials")?
        .ok_or_else(|| refused("Invalid client credentials"))?;
    match (client.is_public, credentials.secret.is_empty()) {
        (true, true) => Ok(client),
        (true, false) => Err(refused("public clients must not provide client_secret")),
        (false, true) => Err(refused("confidential clients must provide client_secret")),
        (false, false) if client.has_secret(&credentials.secret) => Ok(client),
        (false, false) => Err(refused("invalid client credentials")),
    }
}

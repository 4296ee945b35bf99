//! `POST /token?grant_type=web3`: a message that a wallet signed for tokens of ours.

use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::Utc;
use database::TransactionOptions;
use serde_json::json;

use crate::State;
use crate::audit::{self, Action, traits};
use crate::config::Wallet;
use crate::error::{Error, ErrorCode, Result};
use crate::external::{Admitted, admit, ask_before_creating};
use crate::http::{Body, GoUrl, RequestContext, is_allowed, request_audience};
use crate::json::{self, params};
use crate::providers::Profile;
use crate::session::{Method, sign_in};
use crate::web3::{Chain, Message};

params! {
    "Web3GrantParams",
    /// What the grant accepts.
    struct Params { message: String, signature: String, chain: String }
}

fn refused(description: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::OAuth { error: "invalid_grant", description: description.into() }
}

pub(super) async fn grant(state: &State, request: &RequestContext, body: &Body) -> Result<Response> {
    let web3 = &state.config().external.web3;
    let disabled = |message: &'static str| Error::unprocessable(ErrorCode::Web3ProviderDisabled, message);
    if !web3.solana.enabled && !web3.ethereum.enabled {
        return Err(disabled("Web3 provider is disabled"));
    }
    let params: Params = body.read()?;
    let (chain, wallet) = match params.chain.as_str() {
        "solana" if !web3.solana.enabled => return Err(disabled("Solana Web3 provider is disabled")),
        "ethereum" if !web3.ethereum.enabled => return Err(disabled("Ethereum Web3 provider is disabled")),
        "solana" => (Chain::Solana, &web3.solana),
        "ethereum" => (Chain::Ethereum, &web3.ethereum),
        _ => return Err(Error::bad_request(ErrorCode::Web3UnsupportedChain, "Unsupported chain")),
    };
    if params.message.len() < 64 {
        return Err(Error::invalid("message is too short"));
    }
    if params.message.len() > 20 * 1024 {
        return Err(Error::invalid("message must not exceed 20KB"));
    }
    let signature = match chain {
        Chain::Solana => base64_signature(&params.signature)?,
        Chain::Ethereum => hex_signature(&params.signature)?,
    };
    let message = Message::parse(chain, &params.message).map_err(Error::invalid)?;
    if !message.is_signed(&signature) {
        return Err(refused("Signature does not match address in message"));
    }
    check(state, chain, wallet, &message)?;
    let profile = profile(chain, &message);

    let aud = request_audience(request, state);
    ask_before_creating(state, request, &profile, "web3", &aud).await?;
    let mut connection = state.database().await?;
    let mut transaction = connection.begin(TransactionOptions::default()).await?;
    let db = transaction.connection();
    let user = match admit(db, state, request, &profile, "web3", true, &aud).await? {
        Admitted::User(user) => *user,
        Admitted::NotYet(error) => {
            transaction.commit().await?;
            return Err(error);
        }
    };
    let used = traits([
        ("provider", "web3".into()),
        ("chain", chain.as_str().into()),
        ("network", message.network.as_str().into()),
        ("address", message.address.as_str().into()),
        ("domain", message.domain.as_str().into()),
        ("uri", message.uri.as_str().into()),
    ]);
    audit::record(db, state, request, &user, Action::Login, used).await?;
    let tokens = sign_in(db, state, request, user, Method::Web3).await?;
    transaction.commit().await?;
    Ok(json::ok(&tokens))
}

/// 64 bytes in either alphabet, with or without padding.
fn base64_signature(text: &str) -> Result<Vec<u8>> {
    if !matches!(text.len(), 86 | 88) {
        return Err(Error::invalid("signature must be 64 bytes encoded as base64 with or without padding"));
    }
    let text = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    BASE64_URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| Error::invalid("signature does not contain valid base64 characters"))
}

/// 65 bytes. What is no hexadecimal is a failure of the original's.
fn hex_signature(text: &str) -> Result<Vec<u8>> {
    let wrong = || {
        Error::invalid("signature must be 65 bytes long, encoded as a 130 character-long hexadecimal string")
    };
    let hex = text.strip_prefix("0x").unwrap_or(text);
    if hex.len() != 130 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).map_err(|_| wrong()))
        .collect()
}

/// Whether the message was signed for us, and just now.
fn check(state: &State, chain: Chain, wallet: &Wallet, message: &Message) -> Result<()> {
    let config = state.config();
    let name = chain.name();
    let uri = GoUrl::parse(&message.uri).ok_or_else(|| refused("the URI of the message is not valid"))?;
    let is_local = uri.hostname() == "localhost";
    if uri.scheme() != "https" && !is_local {
        return Err(refused(format!("Signed {name} message is using URI which does not use HTTPS")));
    }
    if !is_allowed(&message.uri, config) {
        return Err(refused(format!(
            "Signed {name} message is using URI which is not allowed on this server, message was signed for another app"
        )));
    }
    let domain = format!("https://{}/", message.domain);
    if !is_local && (uri.host_with_port() != message.domain || !is_allowed(&domain, config)) {
        return Err(refused(format!(
            "Signed {name} message is using a Domain that does not match the one in URI which is not allowed on this server"
        )));
    }
    let now = Utc::now();
    if message.not_before.is_some_and(|start| now < start) {
        return Err(refused(format!("Signed {name} message becomes valid in the future")));
    }
    if message.expires_at.is_some_and(|end| now > end) {
        return Err(refused(format!("Signed {name} message is expired")));
    }
    let validity = chrono::Duration::from_std(wallet.maximum_validity).unwrap_or(chrono::Duration::MAX);
    let age = now - message.issued_at;
    if age > validity {
        return Err(refused(format!("{name} message was issued too long ago")));
    }
    if -age > validity {
        return Err(refused(format!("{name} message was issued too far in the future")));
    }
    Ok(())
}

fn profile(chain: Chain, message: &Message) -> Profile {
    let claims = json!({
        "sub": format!("web3:{}:{}", chain.as_str(), message.address),
        "email_verified": false,
        "phone_verified": false,
        "custom_claims": {
            "address": message.address,
            "chain": chain.as_str(),
            "network": message.network,
            "domain": message.domain,
            "statement": message.statement,
        },
    });
    Profile { emails: Vec::new(), claims: claims.as_object().cloned().unwrap_or_default() }
}

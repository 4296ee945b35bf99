//! Signing in with a wallet, with real signatures.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k256::ecdsa::SigningKey;
use serde_json::{Value, json};
use sha3::{Digest, Keccak256};

use crate::service::{Answer, Service, config};

async fn start() -> Service {
    let mut config = config();
    config.external.web3.solana.enabled = true;
    config.external.web3.ethereum.enabled = true;
    config.site_url = "https://app.example.com".into();
    Service::start_with(config).await
}

fn message(chain: &str, address: &str, network: &str, more: &str) -> String {
    let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    format!(
        "app.example.com wants you to sign in with your {chain} account:\n{address}\n\nLet me in\n\n\
         URI: https://app.example.com/login\nVersion: 1\nChain ID: {network}\nNonce: 12345678\nIssued At: {now}{more}"
    )
}

async fn grant(service: &Service, chain: &str, message: &str, signature: String) -> Answer {
    let body = json!({"chain": chain, "message": message, "signature": signature});
    service.post("/token?grant_type=web3", body).newer().send().await
}

struct Ethereum(SigningKey);

impl Ethereum {
    fn new(seed: u8) -> Self {
        Self(SigningKey::from_slice(&[seed; 32]).unwrap())
    }

    fn address(&self) -> String {
        let point = self.0.verifying_key().to_sec1_point(false);
        let hash = Keccak256::digest(&point.as_bytes()[1..]);
        format!("0x{}", hex(&hash[12..]))
    }

    fn sign(&self, message: &str) -> String {
        let text = format!("\x19Ethereum Signed Message:\n{}{message}", message.len());
        let hash = Keccak256::digest(text.as_bytes());
        let (signature, id) = self.0.sign_prehash_recoverable(&hash);
        format!("0x{}{:02x}", hex(&signature.to_bytes()), id.to_byte() + 27)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base58(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut digits: Vec<u8> = Vec::new();
    for byte in bytes {
        let mut carry = usize::from(*byte);
        for digit in &mut digits {
            carry += usize::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    digits.extend(bytes.iter().take_while(|byte| **byte == 0).map(|_| 0));
    digits.iter().rev().map(|digit| char::from(ALPHABET[usize::from(*digit)])).collect()
}

#[tokio::test]
async fn an_ethereum_wallet_signs_in_and_is_known_again() {
    let service = start().await;
    let wallet = Ethereum::new(7);
    let mut users = Vec::new();
    for _ in 0..2 {
        let text = message("Ethereum", &wallet.address(), "1", "");
        let answer = grant(&service, "ethereum", &text, wallet.sign(&text)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        users.push(answer.json()["user"].clone());
    }
    assert_eq!(users[0]["id"], users[1]["id"]);
    let identity = &users[1]["identities"][0];
    assert_eq!(identity["id"], format!("web3:ethereum:{}", wallet.address()));
    assert_eq!(
        identity["identity_data"]["custom_claims"],
        json!({"address": wallet.address(), "chain": "ethereum", "network": "1", "domain": "app.example.com",
            "statement": "Let me in"})
    );
    assert_eq!(users[1]["email"], "");
}

#[tokio::test]
async fn a_solana_wallet_signs_in_directly_or_through_hardware() {
    let service = start().await;
    let key = Ed25519KeyPair::generate().unwrap();
    let address = base58(key.public_key().as_ref());
    let text = message("Solana", &address, "solana:mainnet", "");
    let signature = BASE64_STANDARD.encode(key.sign(text.as_bytes()));
    let answer = grant(&service, "solana", &text, signature).await;
    assert_eq!(answer.status, 200, "{}", answer.body);

    let mut domain = [0_u8; 32];
    domain[..15].copy_from_slice(b"app.example.com");
    let mut envelope = b"\xffsolana offchain\x00".to_vec();
    envelope.extend(domain);
    envelope.extend([0, 1]);
    envelope.extend(key.public_key().as_ref());
    envelope.extend((text.len() as u16).to_le_bytes());
    envelope.extend(text.as_bytes());
    let signature = BASE64_STANDARD.encode(key.sign(&envelope));
    let answer = grant(&service, "solana", &text, signature).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn what_was_not_signed_for_us_just_now_is_refused() {
    let service = start().await;
    let wallet = Ethereum::new(7);
    let good = message("Ethereum", &wallet.address(), "1", "");
    let told = async |text: &str, signature: String| -> Value {
        let answer = grant(&service, "ethereum", text, signature).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        answer.json()
    };
    let forged = told(&good, Ethereum::new(8).sign(&good)).await;
    assert_eq!(
        forged,
        json!({"error": "invalid_grant", "error_description": "Signature does not match address in message"})
    );
    for (from, to, description) in [
        (
            "URI: https://app.example.com/login",
            "URI: https://other.example/login",
            "Signed Ethereum message is using URI which is not allowed on this server, message was signed for another app",
        ),
        (
            "URI: https://app.example.com/login",
            "URI: http://app.example.com/login",
            "Signed Ethereum message is using URI which does not use HTTPS",
        ),
        (
            "app.example.com wants",
            "www.example.com wants",
            "Signed Ethereum message is using a Domain that does not match the one in URI which is not allowed on this server",
        ),
    ] {
        let text = good.replace(from, to);
        assert_eq!(told(&text, wallet.sign(&text)).await["error_description"], description);
    }
    let old = good.replace(&good[good.find("Issued At: ").unwrap()..], "Issued At: 2020-01-01T00:00:00Z");
    assert_eq!(
        told(&old, wallet.sign(&old)).await["error_description"],
        "Ethereum message was issued too long ago"
    );
    let expired = message(
        "Ethereum",
        &wallet.address(),
        "1",
        "\nExpiration Time: 2999-01-01T00:00:00Z\nNot Before: 2998-01-01T00:00:00Z",
    );
    assert_eq!(
        told(&expired, wallet.sign(&expired)).await["error_description"],
        "Signed Ethereum message becomes valid in the future"
    );
    let short = told("short", wallet.sign("short")).await;
    assert_eq!(short["message"], "message is too short");
    let unsigned = told(&good, format!("0x{}", "zz".repeat(65))).await;
    assert_eq!(unsigned["code"], "validation_failed");
}

//! A security key in software: P-256, self attestation or none.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) struct Authenticator {
    key: EcdsaKeyPair,
    id: [u8; 16],
    count: u32,
    origin: String,
    /// Who the credential is for, as the options said it.
    user_handle: String,
}

impl Authenticator {
    pub(crate) fn new(origin: &str) -> Self {
        Self {
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
            id: *uuid::Uuid::new_v4().as_bytes(),
            count: 0,
            origin: origin.into(),
            user_handle: String::new(),
        }
    }

    fn data(&mut self, rp_id: &str, flags: u8) -> Vec<u8> {
        self.count += 1;
        [Sha256::digest(rp_id.as_bytes()).as_slice(), &[flags], &self.count.to_be_bytes()].concat()
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        json!({"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": false})
            .to_string()
            .into_bytes()
    }

    fn sign(&self, data: &[u8], client_data: &[u8]) -> Vec<u8> {
        let signed = [data, Sha256::digest(client_data).as_slice()].concat();
        self.key.sign(&SystemRandom::new(), &signed).unwrap().as_ref().to_vec()
    }

    /// `navigator.credentials.create`.
    pub(crate) fn create(&mut self, options: &Value) -> Value {
        self.user_handle = options["user"]["id"].as_str().unwrap().to_owned();
        let mut data = self.data(options["rp"]["id"].as_str().unwrap(), 0x45);
        data.extend([0; 16]);
        data.extend(16_u16.to_be_bytes());
        data.extend(self.id);
        let point = self.key.public_key().as_ref();
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&point[33..]);
        let client_data = self.client_data("webauthn.create", options);
        let signature = self.sign(&data, &client_data);
        let mut object = vec![0xa3, 0x63];
        object.extend(b"fmt");
        object.extend([0x66]);
        object.extend(b"packed");
        object.extend([0x67]);
        object.extend(b"attStmt");
        object.extend([0xa2, 0x63]);
        object.extend(b"alg");
        object.extend([0x26, 0x63]);
        object.extend(b"sig");
        object.extend([0x58, signature.len() as u8]);
        object.extend(&signature);
        object.extend([0x68]);
        object.extend(b"authData");
        object.extend([0x58, data.len() as u8]);
        object.extend(&data);
        json!({"id": encode(&self.id), "rawId": encode(&self.id), "type": "public-key", "response": {
            "clientDataJSON": encode(&client_data), "attestationObject": encode(&object),
            "transports": ["internal"]
        }})
    }

    /// `navigator.credentials.get`.
    pub(crate) fn get(&mut self, options: &Value) -> Value {
        let data = self.data(options["rpId"].as_str().unwrap(), 0x05);
        let client_data = self.client_data("webauthn.get", options);
        let signature = self.sign(&data, &client_data);
        json!({"id": encode(&self.id), "rawId": encode(&self.id), "type": "public-key", "response": {
            "clientDataJSON": encode(&client_data), "authenticatorData": encode(&data),
            "signature": encode(&signature), "userHandle": self.user_handle
        }})
    }
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

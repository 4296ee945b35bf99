//! ID tokens: whose they are, for whom, and what they tell.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::oidc::is_public_cloud;
use super::profile::{self, claims, email};
use super::{Profile, ProviderError};
use crate::config::Config;
use crate::json::Object;

/// Claims that are texts, of whoever issues them.
pub(crate) const CLAIMS_OF_TEXT: [&str; 22] = [
    "iss",
    "sub",
    "name",
    "family_name",
    "given_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "updated_at",
    "email",
    "phone",
    "full_name",
    "avatar_url",
    "slug",
    "provider_id",
];

pub(super) const LINKEDIN: &str = "https://www.linkedin.com/oauth";
const KAKAO: &str = "https://kauth.kakao.com";
const VERCEL: &str = "https://marketplace.vercel.com";
const FACEBOOK: &str = "https://www.facebook.com";
const SNAPCHAT: &str = "https://accounts.snapchat.com/accounts/oauth2/token";

/// A token whose signature, times and issuer were checked.
pub(crate) struct IdToken {
    claims: Object,
}

/// The issuer that a token names, unchecked.
pub(crate) fn peek_issuer(token: &str) -> Option<String> {
    let mut parts = token.split('.');
    let payload = parts.nth(1)?;
    (parts.count() == 1).then_some(())?;
    let payload: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Some(payload.get("iss").and_then(Value::as_str).unwrap_or_default().to_owned())
}

pub(crate) fn is_apple(issuer: &str) -> bool {
    matches!(issuer, "https://appleid.apple.com" | "https://account.apple.com")
}

/// The provider that the `id_token` grant means by a name or an issuer; `None` for an issuer of nobody we know.
pub(crate) fn issuer_named(config: &Config, provider: &str, issuer: &str) -> Option<&'static str> {
    let keycloak = config.external.providers.get("keycloak");
    let is_keycloak = keycloak.is_some_and(|own| own.enabled && !own.url.is_empty() && own.url == issuer);
    Some(match () {
        () if provider == "apple" || is_apple(issuer) => "apple",
        () if provider == "google" || issuer == super::description::GOOGLE => "google",
        () if provider == "azure" || is_public_cloud(issuer) => "azure",
        () if provider == "facebook" || issuer == FACEBOOK => "facebook",
        () if provider == "keycloak" || is_keycloak => "keycloak",
        () if provider == "kakao" || issuer == KAKAO => "kakao",
        () if provider == "vercel_marketplace" || issuer == VERCEL => "vercel_marketplace",
        () if provider == "snapchat" || issuer == SNAPCHAT => "snapchat",
        () => return None,
    })
}

/// The issuer of a provider that has one of its own.
pub(crate) fn fixed_issuer(provider: &str) -> &'static str {
    match provider {
        "google" => super::description::GOOGLE,
        "facebook" => FACEBOOK,
        "kakao" => KAKAO,
        "vercel_marketplace" => VERCEL,
        "snapchat" => SNAPCHAT,
        _ => "",
    }
}

impl IdToken {
    pub(super) fn new(claims: Object) -> Self {
        Self { claims }
    }

    pub(super) fn into_claims(self) -> Object {
        self.claims
    }

    fn text(&self, name: &str) -> &str {
        self.claims.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn subject(&self) -> &str {
        self.text("sub")
    }

    pub(crate) fn nonce(&self) -> &str {
        self.text("nonce")
    }

    /// For whom it is.
    pub(crate) fn audience(&self) -> Vec<&str> {
        audience(&self.claims)
    }

    pub(crate) fn is_for(&self, client_id: &str) -> bool {
        !client_id.is_empty() && self.audience().contains(&client_id)
    }

    /// An access token that came along has the hash that the ID token states, if it states one.
    pub(crate) fn check_access_token(&self, access_token: &str) -> Result<(), ProviderError> {
        let stated = self.text("at_hash");
        if stated.is_empty() || access_token.is_empty() {
            return Ok(());
        }
        let hash = Sha256::digest(access_token.as_bytes());
        let expected = BASE64_URL_SAFE_NO_PAD.encode(&hash[..16]);
        if bool::from(stated.as_bytes().ct_eq(expected.as_bytes())) {
            return Ok(());
        }
        Err("the access token is not the one the ID token was issued with".into())
    }

    /// What it tells of its user, in each provider's way.
    pub(crate) fn profile(&self) -> Result<Profile, ProviderError> {
        let issuer = self.text("iss");
        let (sub, name, picture) = (self.subject(), self.text("name"), self.text("picture"));
        let address = self.text("email");
        let verified = self.claims.get("email_verified").is_some_and(profile::is_true);
        let of = |verified, pairs: &[(&str, &str)]| {
            let mut told = claims(pairs);
            told.insert("iss".into(), issuer.into());
            Profile { emails: email(address, verified), claims: told }
        };
        Ok(match issuer {
            super::description::GOOGLE => {
                let verified = verified || self.claims.get("verified_email").is_some_and(profile::is_true);
                let mut told = of(
                    verified,
                    &[
                        ("sub", sub),
                        ("name", name),
                        ("picture", picture),
                        ("avatar_url", picture),
                        ("full_name", name),
                        ("provider_id", sub),
                    ],
                );
                if let Some(hosted) =
                    self.claims.get("hd").filter(|hd| hd.as_str().is_some_and(|hd| !hd.is_empty()))
                {
                    let custom: Object = [("hd".to_owned(), hosted.clone())].into_iter().collect();
                    told.claims.insert("custom_claims".into(), custom.into());
                }
                told
            }
            LINKEDIN => {
                let verified = self
                    .claims
                    .get("email_verified")
                    .ok_or("LinkedIn does not say whether the address is verified")?;
                let (given, family) = (self.text("given_name"), self.text("family_name"));
                let name = format!("{given} {family}");
                of(
                    profile::is_true(verified),
                    &[
                        ("sub", sub),
                        ("name", name.trim()),
                        ("given_name", given),
                        ("family_name", family),
                        ("locale", self.text("locale")),
                        ("picture", picture),
                        ("provider_id", sub),
                    ],
                )
            }
            KAKAO => {
                let nickname = self.text("nickname");
                of(
                    true,
                    &[
                        ("sub", sub),
                        ("name", nickname),
                        ("preferred_username", nickname),
                        ("provider_id", sub),
                        ("picture", picture),
                    ],
                )
            }
            VERCEL => {
                let global = self.text("global_user_id");
                let subject =
                    if global.is_empty() { sub.to_owned() } else { format!("global_user_id:{global}") };
                let mut told = of(
                    true,
                    &[
                        ("sub", &subject),
                        ("provider_id", &subject),
                        ("name", self.text("user_name")),
                        ("picture", self.text("user_avatar_url")),
                    ],
                );
                told.emails = email(self.text("user_email"), true);
                told
            }
            FACEBOOK => of(true, &[("sub", sub), ("name", name), ("picture", picture), ("provider_id", sub)]),
            SNAPCHAT => Profile { emails: email(address, true), claims: known_claims(&self.claims) },
            _ if is_public_cloud(issuer) => self.azure(),
            _ if is_apple(issuer) => self.apple(),
            _ => Profile { emails: email(address, verified), claims: known_claims(&self.claims) },
        })
    }

    fn azure(&self) -> Profile {
        /// What says nothing of the user, or is told elsewhere.
        const LEFT_OUT: [&str; 16] = [
            "aud",
            "iss",
            "iat",
            "nbf",
            "exp",
            "c_hash",
            "at_hash",
            "aio",
            "nonce",
            "rh",
            "uti",
            "jti",
            "ver",
            "sub",
            "name",
            "preferred_username",
        ];
        let verified = match self.claims.get("xms_edov") {
            None | Some(Value::Null) => true,
            Some(Value::Bool(verified)) => *verified,
            Some(Value::String(text)) => matches!(text.as_str(), "1" | "true"),
            Some(_) => false,
        };
        let mut told = claims(&[
            ("iss", self.text("iss")),
            ("sub", self.subject()),
            ("provider_id", self.subject()),
            ("preferred_username", self.text("preferred_username")),
            ("full_name", self.text("name")),
        ]);
        let mut custom = self.claims.clone();
        custom.retain(|name, _| !LEFT_OUT.contains(&name.as_str()));
        if !custom.is_empty() {
            told.insert("custom_claims".into(), custom.into());
        }
        Profile { emails: email(self.text("email"), verified), claims: told }
    }

    fn apple(&self) -> Profile {
        let mut told =
            claims(&[("iss", self.text("iss")), ("sub", self.subject()), ("provider_id", self.subject())]);
        let mut custom = Object::new();
        if let Some(private) = self.claims.get("is_private_email") {
            custom.insert("is_private_email".into(), profile::is_true(private).into());
        }
        for name in ["auth_time", "transfer_sub"] {
            if let Some(value) = self.claims.get(name).filter(|value| !value.is_null()) {
                custom.insert(name.into(), value.clone());
            }
        }
        if !custom.is_empty() {
            told.insert("custom_claims".into(), custom.into());
        }
        Profile { emails: email(self.text("email"), true), claims: told }
    }
}

/// The claims that any issuer may use, as they are.
pub(super) fn known_claims(raw: &Object) -> Object {
    let text = |name: &str| raw.get(name).and_then(Value::as_str).unwrap_or_default();
    let pairs: Vec<(&str, &str)> =
        CLAIMS_OF_TEXT.iter().chain(&["user_name"]).map(|name| (*name, text(name))).collect();
    let mut told = claims(&pairs);
    for name in ["iat", "exp"] {
        if let Some(number) = raw.get(name).and_then(Value::as_f64).filter(|number| *number != 0.0) {
            told.insert(name.into(), number.into());
        }
    }
    let audience = audience(raw);
    if !audience.is_empty() {
        told.insert("aud".into(), audience.into());
    }
    if raw.get("phone_verified").is_some_and(profile::is_true) {
        told.insert("phone_verified".into(), true.into());
    }
    if let Some(custom) = raw.get("custom_claims").filter(|custom| custom.is_object()) {
        told.insert("custom_claims".into(), custom.clone());
    }
    told
}

fn audience(claims: &Object) -> Vec<&str> {
    match claims.get("aud") {
        Some(Value::String(aud)) => vec![aud],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

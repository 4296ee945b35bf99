//! A provider's attributes as claims: what an administrator mapped, under the names that other providers' claims have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Assertion;
use crate::json::{Field, Mismatch, Object};
use crate::providers::{CLAIMS_OF_TEXT, Email, Profile};

/// Which attributes become which claims.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mapping {
    #[serde(default, skip_serializing_if = "is_none_or_empty")]
    pub(crate) keys: Option<BTreeMap<String, Mapped>>,
}

/// Where a claim comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Mapped {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    /// Further names, in the order in which they are looked for.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_none")]
    names: Vec<String>,
    #[serde(skip_serializing_if = "Value::is_null")]
    default: Value,
    /// All values, and not only the first.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    array: bool,
}

/// Why an assertion tells of nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoProfile {
    NoUserId,
    NoEmail,
    /// A claim that has to be a text, or true or false, is mapped to something else.
    WrongType,
}

fn is_none_or_empty(keys: &Option<BTreeMap<String, Mapped>>) -> bool {
    keys.as_ref().is_none_or(BTreeMap::is_empty)
}

fn null_is_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Field for Mapping {
    fn store(&mut self, value: Value) -> Result<(), Mismatch> {
        let kind = match &value {
            Value::Object(_) => "object",
            Value::Array(_) => "array",
            Value::String(_) => "string",
            Value::Number(_) => "number",
            _ => "bool",
        };
        *self = serde_json::from_value(value)
            .map_err(|_| Mismatch { value: kind, into: "models.SAMLAttributeMapping" })?;
        Ok(())
    }
}

impl Mapping {
    fn claims(&self, assertion: &Assertion) -> Object {
        let mut claims = Object::new();
        for (claim, mapped) in self.keys.iter().flatten() {
            let names = Some(&mapped.name).filter(|name| !name.is_empty()).into_iter().chain(&mapped.names);
            let values = names
                .map(|name| {
                    assertion.values(name).filter(|value| !value.is_empty()).map(Value::from).collect()
                })
                .find(|values: &Vec<Value>| !values.is_empty());
            let value = match values {
                Some(values) if mapped.array => Value::from(values),
                Some(mut values) => values.swap_remove(0),
                None if mapped.default.is_null() => continue,
                None => mapped.default.clone(),
            };
            claims.insert(claim.clone(), value);
        }
        claims
    }

    /// Who an assertion of this provider tells of.
    pub(crate) fn profile(&self, assertion: &Assertion, issuer: &str) -> Result<Profile, NoProfile> {
        let id = assertion.user_id().ok_or(NoProfile::NoUserId)?;
        let mut rest = self.claims(assertion);
        let mapped = rest.get("email").and_then(Value::as_str).filter(|email| !email.is_empty());
        let email = mapped.or_else(|| assertion.email()).ok_or(NoProfile::NoEmail)?.to_owned();
        let mut claims = Object::new();
        // In lower case everywhere, as in the original.
        for (name, text) in [("iss", issuer), ("sub", &id), ("email", &email.to_lowercase())] {
            rest.insert(name.to_owned(), text.into());
        }
        for name in CLAIMS_OF_TEXT.into_iter().chain(["user_name"]) {
            match rest.get(name) {
                Some(Value::String(text)) if text.is_empty() => {}
                Some(Value::String(_)) => claims.extend(rest.remove_entry(name)),
                Some(_) => return Err(NoProfile::WrongType),
                None => {}
            }
        }
        for name in ["email_verified", "phone_verified"] {
            let value = rest.remove(name).unwrap_or(Value::Bool(false));
            let flag = value.as_bool().ok_or(NoProfile::WrongType)?;
            claims.insert(name.to_owned(), flag.into());
        }
        for name in ["iat", "exp"] {
            match rest.get(name) {
                Some(Value::Number(_)) => claims.extend(rest.remove_entry(name)),
                Some(_) => return Err(NoProfile::WrongType),
                None => {}
            }
        }
        match rest.remove("aud") {
            Some(Value::String(one)) => {
                claims.insert("aud".into(), Value::from(vec![one]));
            }
            Some(Value::Array(all)) if all.iter().all(Value::is_string) => {
                claims.insert("aud".into(), Value::from(all));
            }
            Some(_) => return Err(NoProfile::WrongType),
            None => {}
        }
        rest.remove("custom_claims");
        // The provider vouches for its people's addresses.
        claims.insert("email_verified".into(), true.into());
        claims.insert("custom_claims".into(), rest.into());
        Ok(Profile { emails: vec![Email { address: email, verified: true, primary: true }], claims })
    }
}

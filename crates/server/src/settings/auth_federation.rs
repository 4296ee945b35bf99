//! `[auth.external]`, `[auth.web3]` and `[auth.saml]` → GoTrue's settings.

use std::collections::BTreeMap;

/// The settings of other places to sign in at.
pub(super) fn variables(section: &config::file::Auth, public_url: &str) -> BTreeMap<String, String> {
    let own = section.external_url.clone().unwrap_or_else(|| format!("{public_url}/auth/v1"));
    let mut values = BTreeMap::from([
        ("GOTRUE_EXTERNAL_WEB3_SOLANA_ENABLED".to_owned(), section.web3.solana.enabled.to_string()),
        ("GOTRUE_EXTERNAL_WEB3_ETHEREUM_ENABLED".to_owned(), section.web3.ethereum.enabled.to_string()),
        ("GOTRUE_RATE_LIMIT_WEB3".to_owned(), section.rate_limit.web3.to_string()),
    ]);
    for (name, provider) in section.external.iter() {
        let word = name.to_uppercase();
        let mut set = |part: &str, value: String| {
            values.insert(format!("GOTRUE_EXTERNAL_{word}_{part}"), value);
        };
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        set("ENABLED", provider.enabled.to_string());
        set("CLIENT_ID", provider.client_id.clone().unwrap_or_default());
        set("SECRET", provider.secret.expose().to_owned());
        set("REDIRECT_URI", given(&provider.redirect_uri).unwrap_or_else(|| format!("{own}/callback")));
        set("SKIP_NONCE_CHECK", provider.skip_nonce_check.to_string());
        set("EMAIL_OPTIONAL", provider.email_optional.to_string());
        if let Some(url) = given(&provider.url) {
            set("URL", url);
        }
    }
    let saml = &section.saml;
    // The front door takes what providers' pages post without a key, and that at its root.
    let root = own.strip_suffix("/auth/v1").unwrap_or(&own).to_owned();
    let external_url = saml.external_url.clone().filter(|url| !url.is_empty()).unwrap_or(root);
    for (name, value) in [
        ("ENABLED", saml.enabled.to_string()),
        ("PRIVATE_KEY", saml.private_key.expose().to_owned()),
        ("ALLOW_ENCRYPTED_ASSERTIONS", saml.allow_encrypted_assertions.to_string()),
        ("RELAY_STATE_VALIDITY_PERIOD", saml.relay_state_validity_period.to_string()),
        ("EXTERNAL_URL", external_url),
        ("RATE_LIMIT_ASSERTION", saml.rate_limit_assertion.to_string()),
    ] {
        values.insert(format!("GOTRUE_SAML_{name}"), value);
    }
    values
}

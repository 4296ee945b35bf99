//! `[auth.external]` and `[auth.web3]` → GoTrue's settings.

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
    values
}

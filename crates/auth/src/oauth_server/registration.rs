//! What an application may say of itself when it registers.

use uuid::Uuid;

use super::Client;
use crate::http::GoUrl;
use crate::json::{Pointer, Timestamp, params};

params! {
    "OAuthServerClientRegisterParams",
    /// A new client, as the request says it.
    pub(crate) struct Registration {
        redirect_uris: Vec<String>,
        client_type: String,
        token_endpoint_auth_method: String,
        grant_types: Vec<String>,
        client_name: String,
        client_uri: String,
        logo_uri: String,
    }
}

params! {
    "OAuthServerClientUpdateParams",
    /// What becomes different of a client; absent parts stay.
    pub(crate) struct Changes {
        redirect_uris: Option<Vec<String>>,
        token_endpoint_auth_method: Pointer,
        grant_types: Option<Vec<String>>,
        client_name: Pointer,
        client_uri: Pointer,
        logo_uri: Pointer,
    }
}

type Checked<T> = Result<T, String>;

const METHODS: [&str; 3] = ["none", "client_secret_basic", "client_secret_post"];

impl Registration {
    /// The client, if everything said of it may be.
    pub(crate) fn check(self, is_dynamic: bool) -> Checked<Client> {
        if self.redirect_uris.is_empty() {
            return Err("redirect_uris is required".into());
        }
        check_redirects(&self.redirect_uris)?;
        check_grants(&self.grant_types)?;
        check_texts(&self.client_name, &self.client_uri, &self.logo_uri)?;
        let (kind, method) = (self.client_type.as_str(), self.token_endpoint_auth_method.as_str());
        if !matches!(kind, "" | "public" | "confidential") {
            return Err("client_type must be 'public' or 'confidential'".into());
        }
        if !method.is_empty() && !METHODS.contains(&method) {
            return Err(format!("token_endpoint_auth_method must be one of: [{}]", METHODS.join(" ")));
        }
        let meant = if method == "none" { "public" } else { "confidential" };
        if !kind.is_empty() && !method.is_empty() && kind != meant {
            return Err(format!(
                "client_type '{kind}' is inconsistent with token_endpoint_auth_method '{method}' (expected client_type '{meant}')"
            ));
        }
        let is_public = if kind.is_empty() { method == "none" } else { kind == "public" };
        let auth_method = match method {
            "" if is_public => "none",
            "" => "client_secret_basic",
            method => method,
        };
        let now = Timestamp::now_stored();
        Ok(Client {
            id: Uuid::new_v4(),
            secret_hash: String::new(),
            is_public,
            is_dynamic,
            auth_method: auth_method.to_owned(),
            redirect_uris: self.redirect_uris,
            grant_types: match self.grant_types {
                none if none.is_empty() => vec!["authorization_code".into(), "refresh_token".into()],
                some => some,
            },
            name: self.client_name,
            uri: self.client_uri,
            logo_uri: self.logo_uri,
            created_at: now,
            updated_at: now,
        })
    }
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.redirect_uris.is_none()
            && self.token_endpoint_auth_method.is_none()
            && self.grant_types.is_none()
            && self.client_name.is_none()
            && self.client_uri.is_none()
            && self.logo_uri.is_none()
    }

    /// Changes a client, if every part may be so.
    pub(crate) fn apply(self, client: &mut Client) -> Checked<()> {
        if let Some(uris) = self.redirect_uris {
            if uris.is_empty() {
                return Err("redirect_uris cannot be empty".into());
            }
            check_redirects(&uris)?;
            client.redirect_uris = uris;
        }
        if let Some(grants) = self.grant_types {
            if grants.is_empty() {
                return Err("grant_types cannot be empty".into());
            }
            check_grants(&grants)?;
            client.grant_types = grants;
        }
        for (part, new) in [
            (&mut client.name, self.client_name),
            (&mut client.uri, self.client_uri),
            (&mut client.logo_uri, self.logo_uri),
        ] {
            if let Some(new) = new {
                *part = new;
            }
        }
        check_texts(&client.name, &client.uri, &client.logo_uri)?;
        if let Some(method) = self.token_endpoint_auth_method {
            let (kind, valid): (_, &[&str]) = match client.is_public {
                true => ("public", &["none"]),
                false => ("confidential", &["client_secret_basic", "client_secret_post"]),
            };
            if !valid.contains(&method.as_str()) {
                return Err(format!(
                    "token_endpoint_auth_method '{method}' is not valid for client_type '{kind}'; valid methods: [{}]",
                    valid.join(" ")
                ));
            }
            client.auth_method = method;
        }
        client.updated_at = Timestamp::now_stored();
        Ok(())
    }
}

fn check_redirects(uris: &[String]) -> Checked<()> {
    if uris.len() > 10 {
        return Err("redirect_uris cannot exceed 10 items".into());
    }
    for uri in uris {
        check_redirect(uri).map_err(|reason| format!("invalid redirect_uri '{uri}': {reason}"))?;
    }
    Ok(())
}

/// `https`, an application's own scheme, or `http` on this machine. A comma would be read as two addresses, because the
/// column is a list in a text.
fn check_redirect(uri: &str) -> Result<(), &'static str> {
    const DANGEROUS: [&str; 6] = ["javascript", "data", "file", "vbscript", "about", "blob"];
    if uri.is_empty() {
        return Err("redirect URI cannot be empty");
    }
    let url = GoUrl::parse(uri).ok_or("invalid URL format")?;
    if url.scheme().is_empty() || url.host_with_port().is_empty() || uri.contains(',') {
        return Err("must have scheme and host");
    }
    if DANGEROUS.contains(&url.scheme()) {
        return Err("scheme is not allowed for security reasons");
    }
    if url.scheme() == "http" && !matches!(url.hostname(), "localhost" | "127.0.0.1" | "::1") {
        return Err("HTTP scheme only allowed for localhost");
    }
    if uri.contains('#') {
        return Err("fragment not allowed in redirect URI");
    }
    Ok(())
}

fn check_grants(grants: &[String]) -> Checked<()> {
    if grants.iter().all(|grant| matches!(grant.as_str(), "authorization_code" | "refresh_token")) {
        return Ok(());
    }
    Err("grant_types must only contain 'authorization_code' and/or 'refresh_token'".into())
}

fn check_texts(name: &str, uri: &str, logo_uri: &str) -> Checked<()> {
    if name.len() > 1024 {
        return Err("client_name cannot exceed 1024 characters".into());
    }
    for (what, uri) in [("client_uri", uri), ("logo_uri", logo_uri)] {
        if uri.len() > 2048 {
            return Err(format!("{what} cannot exceed 2048 characters"));
        }
        let is_url = || GoUrl::parse(uri).is_some_and(|url| !url.scheme().is_empty() || uri.starts_with('/'));
        if !uri.is_empty() && !is_url() {
            return Err(format!("{what} must be a valid URL"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_secure_or_local() {
        for good in
            ["https://a.example/x?y", "http://localhost:3000/cb", "http://127.0.0.1/cb", "myapp://callback"]
        {
            assert_eq!(check_redirect(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "a",
            "http://a.example/",
            "https://a.example/#x",
            "javascript://x/%0aalert(1)",
            "https://a,https://b",
        ] {
            assert!(check_redirect(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_client_is_follows_from_how_it_authenticates() {
        let registration = |kind: &str, method: &str| Registration {
            redirect_uris: vec!["https://a.example/".into()],
            client_type: kind.into(),
            token_endpoint_auth_method: method.into(),
            ..Registration::default()
        };
        let shown = |kind, method| {
            registration(kind, method).check(true).map(|client| (client.is_public, client.auth_method))
        };
        assert_eq!(shown("", ""), Ok((false, "client_secret_basic".into())));
        assert_eq!(shown("", "none"), Ok((true, "none".into())));
        assert_eq!(shown("public", ""), Ok((true, "none".into())));
        assert!(shown("public", "client_secret_post").is_err());
    }
}

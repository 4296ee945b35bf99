//! `[auth.third_party]`: others whose tokens every service takes. Their keys are fetched at the start and again from time to
//! time, so that theirs can change; while they cannot be fetched, the last known ones stay.

use std::time::Duration;

use serde::Deserialize;
use tokens::{Issuer, KeyRing};

/// How often keys are looked at again, and how soon after a failure.
const AGAIN: Duration = Duration::from_secs(600);
const SOON: Duration = Duration::from_secs(15);
/// How long an issuer may take, and how much it may say.
const PATIENCE: Duration = Duration::from_secs(10);
const LARGEST: usize = 1 << 20;

/// The addresses of the configured issuers. The text names what is missing.
pub(crate) fn configured(section: &config::file::ThirdParty) -> Result<Vec<String>, String> {
    let needed = |value: &Option<String>, name: &str| {
        let given = value.clone().filter(|value| !value.is_empty());
        given.ok_or_else(|| format!("auth.third_party.{name} is required"))
    };
    let mut issuers = Vec::new();
    if section.firebase.enabled {
        let project = needed(&section.firebase.project_id, "firebase.project_id")?;
        issuers.push(format!("https://securetoken.google.com/{project}"));
    }
    if section.auth0.enabled {
        let tenant = needed(&section.auth0.tenant, "auth0.tenant")?;
        let region = section.auth0.tenant_region.as_deref().filter(|region| !region.is_empty());
        issuers.push(match region {
            Some(region) => format!("https://{tenant}.{region}.auth0.com"),
            None => format!("https://{tenant}.auth0.com"),
        });
    }
    if section.aws_cognito.enabled {
        let pool = needed(&section.aws_cognito.user_pool_id, "aws_cognito.user_pool_id")?;
        let region = needed(&section.aws_cognito.user_pool_region, "aws_cognito.user_pool_region")?;
        issuers.push(format!("https://cognito-idp.{region}.amazonaws.com/{pool}"));
    }
    if section.clerk.enabled {
        let domain = needed(&section.clerk.domain, "clerk.domain")?;
        issuers.push(format!("https://{domain}"));
    }
    if section.workos.enabled {
        issuers.push(needed(&section.workos.issuer_url, "workos.issuer_url")?);
    }
    Ok(issuers)
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// Keeps the ring's trusted issuers up to date for as long as it is not dropped.
pub(crate) async fn keep(ring: KeyRing, addresses: Vec<String>) {
    let client = match ::outgoing::builder().timeout(PATIENCE).build() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "the keys of trusted issuers cannot be fetched");
            return;
        }
    };
    // What each last said, as it said it: the name in its tokens and its key set.
    let mut known: Vec<Option<(String, String)>> = vec![None; addresses.len()];
    loop {
        let mut all = true;
        let mut changed = false;
        for (address, known) in addresses.iter().zip(&mut known) {
            match fetch(&client, address).await {
                Ok(said) if known.as_ref() == Some(&said) => {}
                Ok(said) => {
                    tracing::info!(issuer = %said.0, "the keys of a trusted issuer were read");
                    *known = Some(said);
                    changed = true;
                }
                Err(error) => {
                    tracing::warn!(%address, %error, "the keys of a trusted issuer cannot be read");
                    all = false;
                }
            }
        }
        if changed {
            let issuers = known.iter().flatten().filter_map(|(name, jwks)| match Issuer::new(name, jwks) {
                Ok(issuer) => Some(issuer),
                Err(error) => {
                    tracing::warn!(issuer = %name, %error, "the keys of a trusted issuer cannot be used");
                    None
                }
            });
            ring.trust(issuers.collect());
        }
        tokio::time::sleep(if all { AGAIN } else { SOON }).await;
    }
}

async fn fetch(client: &reqwest::Client, address: &str) -> Result<(String, String), String> {
    let base = address.trim_end_matches('/');
    let text = get(client, &format!("{base}/.well-known/openid-configuration")).await?;
    let discovery: Discovery =
        serde_json::from_str(&text).map_err(|_| "the discovery document is malformed".to_owned())?;
    // Auth0 writes its own name with a slash; what stands in tokens is what it calls itself.
    if discovery.issuer.trim_end_matches('/') != base {
        return Err(format!("it calls itself {:?}", discovery.issuer));
    }
    let jwks = get(client, &discovery.jwks_uri).await?;
    Ok((discovery.issuer, jwks))
}

async fn get(client: &reqwest::Client, url: &str) -> Result<String, String> {
    let told = |error: reqwest::Error| error.without_url().to_string();
    let mut answer =
        client.get(url).send().await.and_then(reqwest::Response::error_for_status).map_err(told)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(told)? {
        if body.len() + chunk.len() > LARGEST {
            return Err("the answer is too long".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| "the answer is no text".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use config::file::{Auth0, Clerk, Cognito, Firebase, ThirdParty, WorkOs};
    use serde_json::json;
    use tokens::KeySet;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn each_kind_has_its_address() {
        let mut section = ThirdParty {
            firebase: Firebase { enabled: false, project_id: None },
            auth0: Auth0 { enabled: false, tenant: None, tenant_region: None },
            aws_cognito: Cognito { enabled: false, user_pool_id: None, user_pool_region: None },
            clerk: Clerk { enabled: false, domain: None },
            workos: WorkOs { enabled: false, issuer_url: None },
        };
        assert_eq!(configured(&section), Ok(Vec::new()));
        section.auth0.enabled = true;
        assert_eq!(configured(&section), Err("auth.third_party.auth0.tenant is required".to_owned()));
        section.auth0.tenant = Some("mine".to_owned());
        section.auth0.tenant_region = Some("eu".to_owned());
        section.firebase.enabled = true;
        section.firebase.project_id = Some("p1".to_owned());
        let wanted = ["https://securetoken.google.com/p1", "https://mine.eu.auth0.com"];
        assert_eq!(configured(&section).unwrap(), wanted);
    }

    #[tokio::test]
    async fn the_tokens_of_an_issuer_verify_once_its_keys_were_read() {
        let key = tokens::generate::signing_jwk().unwrap();
        let theirs = KeyRing::new(KeySet::from_signing_keys(&json!([key]).to_string()).unwrap());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (jwks, name) = (theirs.jwks().to_string(), address.clone());
        let issuer = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; 4096];
                let read = stream.read(&mut head).await.unwrap();
                let body = match String::from_utf8_lossy(&head[..read]).contains("/jwks") {
                    true => jwks.clone(),
                    false => json!({"issuer": name, "jwks_uri": format!("{name}/jwks")}).to_string(),
                };
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let ring = KeyRing::new(KeySet::from_secret("ours").unwrap());
        let token = theirs.sign(&json!({"iss": address, "role": "authenticated"})).unwrap();
        let keeping = tokio::spawn(keep(ring.clone(), vec![address]));
        let read = async {
            while ring.verify(&token).is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), read).await.unwrap();
        keeping.abort();
        issuer.abort();
    }
}

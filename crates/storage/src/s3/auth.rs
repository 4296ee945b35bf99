//! Who signed a request.

use chrono::Utc;
use http::request::Parts;

use super::error::{S3Error, S3Result};
use crate::Caller;
use crate::domain::Domain;
use crate::sigv4::{Presented, SignatureError, SignedRequest, Verified, same, verify};

/// The caller that a signature stands for, once it has been verified; `None` when nothing is signed.
pub(super) fn identify(
    domain: &Domain,
    parts: &Parts,
    query: &[(String, String)],
) -> S3Result<Option<(Caller, Verified)>> {
    let Some(presented) = Presented::read(&parts.headers, query)? else { return Ok(None) };
    check_region(domain, &presented.credential.scope.region)?;
    let access_key = &presented.credential.access_key;
    let token = presented.session_token.as_deref();
    let secret = secret(domain, access_key, token)?;
    let (paths, hosts) = (signed_paths(domain, parts), signed_hosts(domain, parts));
    let request = SignedRequest {
        method: parts.method.as_str(),
        paths: &paths,
        hosts: &hosts,
        query,
        headers: &parts.headers,
    };
    let verified = verify(&presented, &secret, &request, Utc::now())?;
    Ok(Some((caller(domain, token)?, verified)))
}

/// The secret that belongs to an access key: the service's own pair, or the anonymous API key for whoever brings a token.
pub(super) fn secret(domain: &Domain, access_key: &str, token: Option<&str>) -> S3Result<String> {
    let config = domain.config();
    let found = match token {
        Some(_) if access_key == config.tenant => config.s3.anon_key.as_deref(),
        Some(_) => None,
        None => {
            let pair = config.s3.access_key.as_ref();
            pair.filter(|(id, _)| same(id, access_key)).map(|(_, secret)| secret.as_str())
        }
    };
    Ok(found.filter(|secret| !secret.is_empty()).ok_or(SignatureError::UnknownKey)?.to_owned())
}

/// Who acts: the user of the token, under policies, or the service role.
pub(super) fn caller(domain: &Domain, token: Option<&str>) -> S3Result<Caller> {
    let config = domain.config();
    let Some(token) = token else { return Ok(Caller::service(&config.service_role, None)) };
    let verified = domain.keys().verify_with(token, &tokens::Policy::EXACT).map_err(|error| match error {
        tokens::VerifyError::Claim(tokens::ClaimError::Expired) => {
            S3Error::new("ExpiredToken", 400, "The provided token has expired.")
        }
        _ => SignatureError::InvalidToken.into(),
    })?;
    Ok(Caller::of_token(&verified, token, &config.anon_role))
}

pub(super) fn check_region(domain: &Domain, region: &str) -> S3Result<()> {
    match &domain.config().s3.enforce_region {
        Some(wanted) if wanted != region => Err(SignatureError::HeaderMalformed(format!(
            "the region '{region}' is wrong; expecting '{wanted}'"
        ))
        .into()),
        _ => Ok(()),
    }
}

/// The paths under which the request may have been signed: the public one, as far as it is known, first.
fn signed_paths(domain: &Domain, parts: &Parts) -> Vec<String> {
    let config = domain.config();
    let own = parts.uri.path();
    let mut paths = Vec::new();
    let mut add = |prefix: &str| {
        let path = format!("{}{own}", prefix.trim_end_matches('/'));
        for spelling in SignedRequest::spellings(&path) {
            if !paths.contains(&spelling) {
                paths.push(spelling);
            }
        }
    };
    if config.trust_forwarded
        && let Some(prefix) = parts.headers.get("x-forwarded-prefix").and_then(|value| value.to_str().ok())
    {
        add(prefix);
    }
    if !config.s3.prefix.is_empty() {
        add(&config.s3.prefix);
    }
    add("");
    paths
}

/// The hosts under which the request may have been signed.
fn signed_hosts(domain: &Domain, parts: &Parts) -> Vec<String> {
    let config = &domain.config().s3;
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let mut hosts: Vec<String> = Vec::new();
    let mut add = |host: &str| {
        if !host.is_empty() && !hosts.iter().any(|known| known == host) {
            hosts.push(host.to_owned());
        }
    };
    if let Some(host) = text("host").or_else(|| parts.uri.authority().map(http::uri::Authority::as_str)) {
        add(host);
    }
    if config.allow_forwarded
        && let Some(forwarded) = text("forwarded")
    {
        let host = forwarded.split([';', ',']).find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            name.eq_ignore_ascii_case("host").then(|| value.trim_matches('"'))
        });
        add(host.unwrap_or_default());
    }
    if let Some(name) = &config.host_header {
        add(text(name).unwrap_or_default());
    }
    if let Some(host) = text("x-forwarded-host") {
        let host = host.split(',').next().unwrap_or_default().trim();
        match text("x-forwarded-port") {
            Some(port) if port != "80" && port != "443" && !host.contains(':') => {
                add(&format!("{host}:{port}"))
            }
            _ => add(host),
        }
        add(host);
    }
    hosts
}

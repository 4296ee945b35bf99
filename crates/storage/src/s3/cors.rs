//! Cross-origin rules of buckets: kept as they were set, and applied where no front door does.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::buckets::MAX_CONFIGURATION;
use super::dispatch::Address;
use super::error::{S3Error, S3Result};
use super::xml::{Document, Element, parse};
use super::{Call, body, empty, set, store, xml_response};
use crate::domain::Domain;

/// The most rules: S3's limit.
const MAX_RULES: usize = 100;

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Rule {
    id: Option<String>,
    origins: Vec<String>,
    methods: Vec<String>,
    headers: Vec<String>,
    exposed: Vec<String>,
    max_age: Option<u32>,
}

impl Rule {
    fn read(element: &Element) -> S3Result<Self> {
        let texts =
            |name: &str| element.all(name).map(|child| child.text.trim().to_owned()).collect::<Vec<_>>();
        let rule = Self {
            id: element.text_of("ID").map(str::to_owned),
            origins: texts("AllowedOrigin"),
            methods: texts("AllowedMethod"),
            headers: texts("AllowedHeader"),
            exposed: texts("ExposeHeader"),
            max_age: element.text_of("MaxAgeSeconds").and_then(|text| text.trim().parse().ok()),
        };
        let known = ["GET", "PUT", "POST", "DELETE", "HEAD"];
        if let Some(method) = rule.methods.iter().find(|method| !known.contains(&method.as_str())) {
            return Err(S3Error::invalid_request(format!(
                "Found unsupported HTTP method in CORS config. Unsupported method is {method}"
            )));
        }
        let stars = |text: &String| text.matches('*').count() > 1;
        if rule.origins.is_empty()
            || rule.methods.is_empty()
            || rule.origins.iter().chain(&rule.headers).any(stars)
        {
            return Err(S3Error::malformed_xml());
        }
        Ok(rule)
    }

    fn fits(&self, origin: &str, method: &str, wanted: &[String]) -> bool {
        self.origins.iter().any(|pattern| matches(pattern, origin))
            && self.methods.iter().any(|allowed| allowed == method)
            && wanted
                .iter()
                .all(|name| self.headers.iter().any(|allowed| matches(&allowed.to_ascii_lowercase(), name)))
    }
}

/// A pattern with at most one `*`.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            text.len() >= before.len() + after.len() && text.starts_with(before) && text.ends_with(after)
        }
    }
}

async fn rules(domain: &Domain, bucket: &str) -> S3Result<Option<Vec<Rule>>> {
    let rules = store::cors_rules(domain, bucket).await?;
    Ok(rules.and_then(|rules| serde_json::from_value(rules).ok()))
}

pub(super) async fn get(call: &Call) -> S3Result<Response> {
    call.domain.get_bucket(&call.context, call.bucket()).await?;
    let rules = rules(&call.domain, call.bucket()).await?.ok_or_else(|| {
        S3Error::new("NoSuchCORSConfiguration", 404, "The CORS configuration does not exist")
    })?;
    let mut document = Document::new("CORSConfiguration");
    for rule in &rules {
        document.nest("CORSRule", |entry| {
            entry.optional("ID", rule.id.as_deref());
            for (name, values) in [
                ("AllowedMethod", &rule.methods),
                ("AllowedOrigin", &rule.origins),
                ("AllowedHeader", &rule.headers),
                ("ExposeHeader", &rule.exposed),
            ] {
                for value in values {
                    entry.text(name, value);
                }
            }
            entry.optional("MaxAgeSeconds", rule.max_age.map(|seconds| seconds.to_string()).as_deref());
        });
    }
    Ok(xml_response(document.finish()))
}

/// Rules are part of a bucket: whoever may update the bucket may set them.
async fn may_update(call: &Call) -> S3Result<()> {
    let unchanged = call.domain.get_bucket(&call.context, call.bucket()).await?;
    let update = crate::domain::BucketUpdate { public: Some(unchanged.public), ..Default::default() };
    call.domain.update_bucket(&call.context, call.bucket(), &update).await.map_err(|error| match error.code {
        crate::Code::NoSuchBucket => S3Error::new("AccessDenied", 403, "Access Denied"),
        _ => error.into(),
    })
}

pub(super) async fn put(call: &Call, content: Body) -> S3Result<Response> {
    let content = body::whole(&call.headers, content, call.verified.as_ref(), MAX_CONFIGURATION).await?;
    let root = parse(&content)?;
    let rules: Vec<Rule> = root.all("CORSRule").map(Rule::read).collect::<S3Result<_>>()?;
    if root.name != "CORSConfiguration" || rules.is_empty() || rules.len() > MAX_RULES {
        return Err(S3Error::malformed_xml());
    }
    may_update(call).await?;
    let rules = serde_json::to_value(&rules).map_err(crate::Error::internal)?;
    store::set_cors_rules(&call.domain, call.bucket(), Some(&rules)).await?;
    Ok(empty(StatusCode::OK))
}

pub(super) async fn delete(call: &Call) -> S3Result<Response> {
    may_update(call).await?;
    store::set_cors_rules(&call.domain, call.bucket(), None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether a bucket has rules of its own.
pub(super) async fn is_configured(domain: &Domain, bucket: &str) -> bool {
    matches!(rules(domain, bucket).await, Ok(Some(_)))
}

/// Answers a browser's question whether it may send a request.
pub(super) async fn preflight(domain: &Domain, address: &Address, headers: &HeaderMap) -> S3Result<Response> {
    let origin = text(headers, "origin").ok_or_else(|| {
        S3Error::new("BadRequest", 400, "Insufficient information. Origin request header needed.")
    })?;
    let method = text(headers, "access-control-request-method")
        .ok_or_else(|| S3Error::new("BadRequest", 400, "Invalid Access-Control-Request-Method: null"))?;
    let forbidden = || {
        S3Error::new(
            "AccessForbidden",
            403,
            "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.",
        )
    };
    let bucket = address.bucket.as_deref().ok_or_else(forbidden)?;
    let wanted: Vec<String> = text(headers, "access-control-request-headers")
        .unwrap_or_default()
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty())
        .collect();
    let rules = rules(domain, bucket).await?.ok_or_else(forbidden)?;
    let rule = rules.iter().find(|rule| rule.fits(origin, method, &wanted)).ok_or_else(forbidden)?;
    let mut response = StatusCode::OK.into_response();
    allow(rule, origin, &mut response);
    if !wanted.is_empty() {
        set(&mut response, "access-control-allow-headers", &wanted.join(", "));
    }
    Ok(response)
}

fn allow(rule: &Rule, origin: &str, response: &mut Response) {
    let any = rule.origins.iter().any(|pattern| pattern == "*");
    set(response, "access-control-allow-origin", if any { "*" } else { origin });
    if !any {
        set(response, "access-control-allow-credentials", "true");
    }
    set(response, "access-control-allow-methods", &rule.methods.join(", "));
    if !rule.exposed.is_empty() {
        set(response, "access-control-expose-headers", &rule.exposed.join(", "));
    }
    if let Some(seconds) = rule.max_age {
        response.headers_mut().insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(seconds));
    }
    response.headers_mut().append(
        header::VARY,
        HeaderValue::from_static("Origin, Access-Control-Request-Headers, Access-Control-Request-Method"),
    );
}

/// Says on an answer which origin may read it.
pub(super) async fn annotate(
    domain: &Domain,
    bucket: &str,
    method: &Method,
    headers: &HeaderMap,
    response: &mut Response,
) {
    let Some(origin) = text(headers, "origin") else { return };
    // The method may be named by whoever asks on behalf of another.
    let method = text(headers, "access-control-request-method").unwrap_or(method.as_str());
    match rules(domain, bucket).await {
        Ok(Some(rules)) => {
            if let Some(rule) = rules.iter().find(|rule| rule.fits(origin, method, &[])) {
                allow(rule, origin, response);
            }
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(message = %error.message, "CORS rules could not be read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_one_star() {
        assert!(matches("*", "http://a"));
        assert!(matches("http://*.example.com", "http://a.example.com"));
        assert!(!matches("http://*.example.com", "http://example.com"));
        assert!(matches("a*b", "ab"));
        assert!(!matches("ab*ba", "aba"));
    }
}

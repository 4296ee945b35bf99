//! Who asks, and for what: the form in which every door hands a request to the domain. Stable.

use std::sync::Arc;

use database::{Isolation, RequestContext};
use http::request::Parts;
use serde_json::{Map, Value, json};
use tokens::Verified;

/// Who a request acts as.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The database role: the token's `role`, or `anon`.
    pub role: Arc<str>,
    /// The token's `sub`.
    pub subject: Option<Arc<str>>,
    /// The token's claims as they were signed, or `{}`.
    pub claims: Arc<str>,
    /// The token, for the setting `request.jwt`; empty without one.
    pub token: Arc<str>,
}

impl Caller {
    /// Nobody: the role `anon` without claims.
    #[must_use]
    pub fn anonymous(role: &str) -> Self {
        Self { role: role.into(), subject: None, claims: "{}".into(), token: "".into() }
    }

    /// Whoever a verified token names; `anon` is the role of a token without one.
    #[must_use]
    pub fn of_token(verified: &Verified, token: &str, anon: &str) -> Self {
        Self {
            role: verified.role().unwrap_or(anon).into(),
            subject: verified.subject().map(Into::into),
            claims: verified.claims_json.as_ref().into(),
            token: token.into(),
        }
    }

    /// Somebody for whom row level security does not hold (S3 key pairs, signed reads), who owns in the name of
    /// `subject`.
    #[must_use]
    pub fn service(role: &str, subject: Option<&str>) -> Self {
        let claims = json!({ "role": role }).to_string();
        Self { role: role.into(), subject: subject.map(Into::into), claims: claims.into(), token: "".into() }
    }

    /// The subject, when it has the form of a uuid: what the column `owner` can hold.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.subject.as_deref().filter(|subject| uuid::Uuid::try_parse(subject).is_ok())
    }
}

/// A request as the domain sees it.
#[derive(Debug, Clone)]
pub struct Context {
    /// Who asks.
    pub caller: Caller,
    /// What policies read by `storage.operation()`, such as `storage.object.upload`.
    pub operation: &'static str,
    /// The HTTP method.
    pub method: Arc<str>,
    /// The path as it was sent to this service.
    pub path: Arc<str>,
    /// The request's headers as a JSON object with lower-case names.
    pub headers: Arc<str>,
    /// The id under which the request is logged.
    pub request_id: Option<Arc<str>>,
}

impl Context {
    /// The context of a request.
    #[must_use]
    pub fn new(caller: Caller, operation: &'static str, parts: &Parts) -> Self {
        let mut headers = Map::with_capacity(parts.headers.len());
        for (name, value) in &parts.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            headers.insert(name.as_str().to_owned(), Value::from(value));
        }
        Self {
            caller,
            operation,
            method: parts.method.as_str().into(),
            path: parts.uri.path().into(),
            headers: Value::Object(headers).to_string().into(),
            request_id: parts.headers.get("x-request-id").and_then(|id| id.to_str().ok()).map(Into::into),
        }
    }

    /// The same, named by another header than `x-request-id`.
    #[must_use]
    pub fn named_by(mut self, header: &str, parts: &Parts) -> Self {
        if let Some(id) = parts.headers.get(header).and_then(|id| id.to_str().ok()) {
            self.request_id = Some(id.into());
        }
        self
    }

    /// A context for work that no request asked for.
    #[must_use]
    pub fn of_service(role: &str, operation: &'static str) -> Self {
        Self {
            caller: Caller::service(role, None),
            operation,
            method: "".into(),
            path: "".into(),
            headers: "{}".into(),
            request_id: None,
        }
    }

    /// The same request in the name of the service role, which no policy binds. Owners stay the caller's.
    #[must_use]
    pub fn elevated(&self, role: &str) -> Self {
        let caller = Caller::service(role, self.caller.subject.as_deref());
        Self { caller, ..self.clone() }
    }

    /// The settings that policies read, for one transaction under the caller's role, bounded by begin and commit.
    pub(crate) fn transaction<'a>(&'a self, search_path: &'a str) -> RequestContext<'a> {
        let caller = &self.caller;
        let mut context = RequestContext::new(&*caller.role)
            .with("search_path", search_path)
            .with("request.jwt.claim.role", &*caller.role)
            .with("request.jwt", &*caller.token)
            .with("request.jwt.claim.sub", caller.subject.as_deref().unwrap_or(""))
            .with_claims(&*caller.claims)
            .with("request.headers", &*self.headers)
            .with("request.method", &*self.method)
            .with("request.path", &*self.path)
            .with("storage.operation", self.operation);
        context.isolation = Some(Isolation::ReadCommitted);
        context
    }

    /// The same for statements that only read, in one implicit transaction.
    pub(crate) fn reading<'a>(&'a self, search_path: &'a str) -> RequestContext<'a> {
        RequestContext { isolation: None, ..self.transaction(search_path) }.read_only()
    }
}

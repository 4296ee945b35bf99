//! Under which role and with which settings a request runs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use database::{Access, End, Isolation, RequestContext};
use http::HeaderMap;

use crate::config::Config;
use crate::parse::prefer::{Preferences, TransactionEnd};

/// Who makes a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The role.
    pub role: Arc<str>,
    /// The claims, as JSON with the role in it.
    pub claims: Arc<str>,
}

/// What the transaction is told about the HTTP request.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The method.
    pub method: &'a str,
    /// The path.
    pub path: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// The context of a request's transaction.
#[derive(Debug)]
pub struct Context<'a> {
    /// Role, settings, isolation, end.
    pub request: RequestContext<'a>,
    /// Whether the role is another than the anonymous one.
    pub authenticated: bool,
}

/// What of a function matters to the transaction.
#[derive(Clone, Copy, Debug, Default)]
pub struct FunctionContext<'a> {
    /// The isolation it wants.
    pub isolation: Option<Isolation>,
    /// Its settings.
    pub settings: &'a [(String, String)],
}

impl<'a> Context<'a> {
    /// The context of a request. `search_path` is written as PostgreSQL wants it.
    pub fn new(
        config: &'a Config,
        caller: &'a Caller,
        incoming: Incoming<'a>,
        prefer: &'a Preferences,
        search_path: &'a str,
        access: Access,
        function: FunctionContext<'a>,
    ) -> Self {
        let role_settings = config.role_settings.get(&*caller.role).map_or(&[][..], Vec::as_slice);
        let mut settings: Vec<(Cow<'a, str>, Cow<'a, str>)> =
            Vec::with_capacity(8 + function.settings.len() + config.app_settings.len());
        let mut privileged = Vec::new();
        let mut isolation = function.isolation;
        let mut own_path = false;
        for (name, value) in role_settings {
            if name == "default_transaction_isolation" {
                isolation = isolation.or_else(|| Some(crate::catalog::load::isolation(value)));
            } else {
                own_path |= name == "search_path";
                privileged.push((name.into(), value.into()));
            }
        }
        // That of a role wins, since PostgREST sets it later.
        if !own_path {
            settings.push(("search_path".into(), search_path.into()));
        }
        settings.push(("request.jwt.claims".into(), (&*caller.claims).into()));
        settings.push(("request.method".into(), incoming.method.into()));
        settings.push(("request.path".into(), incoming.path.into()));
        settings.push(("request.headers".into(), headers(incoming.headers).into()));
        settings.push(("request.cookies".into(), cookies(incoming.headers)));
        if let Some(timezone) = &prefer.timezone {
            settings.push(("timezone".into(), timezone.into()));
        }
        for (name, value) in function.settings.iter().chain(&config.app_settings) {
            settings.push((name.into(), value.into()));
        }
        let rollback = match prefer.transaction {
            Some(end) => end == TransactionEnd::Rollback,
            None => config.transaction.rollback,
        };
        Self {
            request: RequestContext {
                role: Some((&*caller.role).into()),
                privileged,
                settings,
                isolation,
                access,
                end: if rollback { End::Rollback } else { End::Commit },
            },
            authenticated: config.anon_role.as_deref() != Some(&*caller.role),
        }
    }
}

fn push_member(json: &mut String, name: &str, value: &str) {
    if json.len() > 1 {
        json.push(',');
    }
    push_text(json, name);
    json.push(':');
    push_text(json, value);
}

/// A JSON string.
fn push_text(json: &mut String, text: &str) {
    // Without a way out, the loop is one that the compiler does many bytes at a time.
    let special = |b: u8| u8::from(b < b' ') | u8::from(b == b'"') | u8::from(b == b'\\');
    if text.as_bytes().iter().fold(0, |found, b| found | special(*b)) != 0 {
        json.push_str(&serde_json::Value::from(text).to_string());
    } else {
        json.push('"');
        json.push_str(text);
        json.push('"');
    }
}

fn push_header(json: &mut String, name: &http::HeaderName, value: &http::HeaderValue) {
    if *name == http::header::COOKIE {
        return;
    }
    let bytes = value.as_bytes();
    match std::str::from_utf8(bytes) {
        Ok(text) => push_member(json, name.as_str(), text),
        Err(_) => push_member(json, name.as_str(), &String::from_utf8_lossy(bytes)),
    }
}

/// All headers but the cookies, as a JSON object; of repeated ones the last.
fn headers(headers: &HeaderMap) -> String {
    let mut json = String::with_capacity(1024);
    json.push('{');
    let repeated = headers.len() != headers.keys_len();
    for (name, first) in headers.iter().filter(|_| !repeated) {
        push_header(&mut json, name, first);
    }
    for name in headers.keys().filter(|_| repeated) {
        if let Some(last) = headers.get_all(name).iter().next_back() {
            push_header(&mut json, name, last);
        }
    }
    json.push('}');
    json
}

/// The cookies, as a JSON object.
fn cookies(headers: &HeaderMap) -> Cow<'static, str> {
    let Some(line) = headers.get(http::header::COOKIE) else { return Cow::Borrowed("{}") };
    let line = String::from_utf8_lossy(line.as_bytes());
    // Of repeated ones the last counts.
    let cookies: BTreeMap<&str, &str> = line
        .split_terminator(';')
        .map(|cookie| cookie.split_once('=').unwrap_or((cookie, "")))
        .map(|(name, value)| (name.trim_start_matches(' '), value))
        .collect();
    let mut json = String::from("{");
    for (name, value) in cookies {
        push_member(&mut json, name, value);
    }
    json.push('}');
    Cow::Owned(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_role_may_have_a_search_path_of_its_own() {
        let path = vec![("search_path".to_owned(), "own".to_owned())];
        let config = Config { role_settings: [("special".to_owned(), path)].into(), ..Config::default() };
        let set = |role: &str| {
            let caller = Caller { role: role.into(), claims: "{}".into() };
            let headers = HeaderMap::new();
            let incoming = Incoming { method: "GET", path: "/", headers: &headers };
            let prefer = Preferences::default();
            let function = FunctionContext::default();
            let context =
                Context::new(&config, &caller, incoming, &prefer, "\"api\"", Access::ReadOnly, function);
            let request = context.request;
            let all = request.privileged.iter().chain(&request.settings);
            all.filter(|(name, _)| name == "search_path")
                .map(|(_, value)| value.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(set("special"), ["own"]);
        assert_eq!(set("plain"), ["\"api\""]);
    }

    #[test]
    fn headers_become_json() {
        let mut map = HeaderMap::new();
        map.insert("x-quote", HeaderValue::from_static("a\"b\\c"));
        map.append("x-twice", HeaderValue::from_static("1"));
        map.append("x-twice", HeaderValue::from_static("2"));
        map.insert("cookie", HeaderValue::from_static("c; a=1; b=x=y;a=2 ;"));
        let json: serde_json::Value = serde_json::from_str(&headers(&map)).unwrap_or_default();
        assert_eq!(json, serde_json::json!({"x-quote": "a\"b\\c", "x-twice": "2"}));
        assert_eq!(cookies(&map), r#"{"a":"2 ","b":"x=y","c":""}"#);
        assert_eq!(cookies(&HeaderMap::new()), "{}");
    }
}

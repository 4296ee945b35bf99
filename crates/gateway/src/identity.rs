//! Who is at the door: the API key of a request, and the token it stands for.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokens::{ApiKeyRole, ApiKeys, KeyRing};

use crate::error::Refusal;
use crate::query;
use crate::routes::{Access, Translate};

/// The header and query parameter that carry an API key.
pub(crate) const APIKEY: &str = "apikey";

const APIKEY_HEADER: HeaderName = HeaderName::from_static(APIKEY);
const API_KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");
const SB_API_KEY_HEADER: HeaderName = HeaderName::from_static("sb-api-key");
const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");

/// Which role names exist. A token may name any role that the database knows; asking the database is the caller's part.
pub trait Roles: Send + Sync {
    /// Whether a client may take this role.
    fn exists<'a>(&'a self, role: &'a str) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>>;
}

/// The holder of an API key, in Kong's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consumer {
    /// Clients.
    Anon,
    /// Back ends: the group `admin`.
    ServiceRole,
}

impl Consumer {
    /// The consumer's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anon => "anon",
            Self::ServiceRole => "service_role",
        }
    }

    /// The id that Kong derives from the name (UUID v5), which services and logs see.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::Anon => "cd4f782c-ac87-5081-b322-b54834d15651",
            Self::ServiceRole => "85ccc10e-91cf-50a0-a825-f251cadf3c88",
        }
    }
}

impl From<ApiKeyRole> for Consumer {
    fn from(role: ApiKeyRole) -> Self {
        match role {
            ApiKeyRole::Anon => Self::Anon,
            ApiKeyRole::ServiceRole => Self::ServiceRole,
        }
    }
}

/// An API key as it came. The header's value is shared, not copied, so that the headers may change meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    Header(HeaderValue),
    Query(Cow<'a, str>),
}

impl Presented<'_> {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            // Only values that are text become one of us.
            Self::Header(value) => value.to_str().unwrap_or(""),
            Self::Query(value) => value,
        }
    }
}

/// What decides about keys.
pub(crate) struct Keys {
    pub(crate) ring: KeyRing,
    pub(crate) api_keys: ApiKeys,
    pub(crate) roles: std::sync::Arc<dyn Roles>,
    /// Whether routes that say so are open to requests without a key.
    pub(crate) auth_without_key: bool,
}

impl Keys {
    /// The key of a request. The header is read before the query, and a key given twice in one place is an error.
    pub(crate) fn presented<'a>(
        headers: &HeaderMap,
        query: Option<&'a str>,
    ) -> Result<Option<Presented<'a>>, Refusal> {
        let mut in_header = headers.get_all(&APIKEY_HEADER).iter();
        if let Some(first) = in_header.next() {
            if in_header.next().is_some() {
                return Err(Refusal::DuplicateKey);
            }
            // A key that is not text equals no key.
            first.to_str().map_err(|_| Refusal::UnknownKey)?;
            return Ok((!first.is_empty()).then(|| Presented::Header(first.clone())));
        }
        let mut in_query = query::values(query.unwrap_or(""), APIKEY);
        let first = in_query.next();
        if first.is_some() && in_query.next().is_some() {
            return Err(Refusal::DuplicateKey);
        }
        Ok(first.filter(|key| !key.is_empty()).map(Presented::Query))
    }

    /// Whose key it is: a configured key, or a token that verifies and names a role of the database.
    pub(crate) async fn consumer(&self, key: &str) -> Option<Consumer> {
        if let Some(role) = self.api_keys.role_of(key) {
            return Some(role.into());
        }
        let verified = self.ring.verify(key).ok()?;
        match verified.role()? {
            "service_role" => Some(Consumer::ServiceRole),
            "anon" | "authenticated" => Some(Consumer::Anon),
            role => self.roles.exists(role).await.then_some(Consumer::Anon),
        }
    }

    /// Lets a request pass, or not.
    pub(crate) async fn admit(
        &self,
        access: Access,
        presented: Result<Option<&str>, Refusal>,
    ) -> Result<Option<Consumer>, Refusal> {
        if access == Access::Open {
            return Ok(None);
        }
        let Some(key) = presented? else {
            let is_welcome = access == Access::KeyOrNone && self.auth_without_key;
            return if is_welcome { Ok(None) } else { Err(Refusal::NoKey) };
        };
        let consumer = self.consumer(key).await.ok_or(Refusal::UnknownKey)?;
        if access == Access::Admin && consumer != Consumer::ServiceRole {
            return Err(Refusal::WrongGroup);
        }
        Ok(Some(consumer))
    }
}

/// The change to a request's credentials before a service sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Translation {
    /// Nothing changes.
    Keep,
    /// `Authorization` is set.
    Authorization(HeaderValue),
    /// The query parameter `apikey` and the header `x-api-key` are set.
    Websocket(String),
    /// `sb-api-key` is replaced, or only removed.
    Functions(Option<HeaderValue>),
}

/// Decides how an opaque key reaches the service: the official clients send it in `apikey` alone, or also as a Bearer
/// token, and the services understand nothing but tokens.
pub(crate) fn translate(
    rule: Translate,
    api_keys: &ApiKeys,
    headers: &HeaderMap,
    query: Option<&str>,
    key: Option<&str>,
) -> Translation {
    let token = key.and_then(|key| api_keys.jwt_for_opaque(key));
    match rule {
        Translate::No => Translation::Keep,
        Translate::AuthorizationUnlessSigned if signed(headers, query) => Translation::Keep,
        Translate::Authorization | Translate::AuthorizationUnlessSigned => {
            if headers.get(AUTHORIZATION).is_some_and(|value| !is_opaque_bearer(value)) {
                return Translation::Keep;
            }
            let value = match (token, key) {
                (Some(token), _) => bearer(token),
                // A key without a scheme is no credential to any service: such a request is anonymous.
                (None, Some(key)) => secret(key),
                (None, None) => None,
            };
            value.map_or(Translation::Keep, Translation::Authorization)
        }
        Translate::WebsocketQuery => {
            token.map_or(Translation::Keep, |token| Translation::Websocket(token.to_owned()))
        }
        Translate::FunctionsHeader => Translation::Functions(token.and_then(secret)),
    }
}

impl Translation {
    /// Applies the change to the headers; answers the new query if that changes.
    pub(crate) fn apply(self, headers: &mut HeaderMap, query: Option<&str>) -> Option<String> {
        match self {
            Self::Keep => None,
            Self::Authorization(value) => {
                headers.insert(AUTHORIZATION, value);
                None
            }
            Self::Websocket(token) => {
                if let Some(value) = secret(&token) {
                    headers.insert(API_KEY_HEADER, value);
                }
                query::replaced(query?, APIKEY, &token)
            }
            Self::Functions(value) => {
                headers.remove(&SB_API_KEY_HEADER);
                if let Some(value) = value {
                    headers.insert(SB_API_KEY_HEADER, value);
                }
                None
            }
        }
    }
}

/// Removes the key from the headers; answers the new query if it was there.
pub(crate) fn hide(headers: &mut HeaderMap, query: Option<&str>) -> Option<String> {
    headers.remove(&APIKEY_HEADER);
    query::without(query?, APIKEY)
}

/// The token of an `Authorization` header of the scheme `Bearer`.
pub(crate) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn is_opaque_bearer(value: &HeaderValue) -> bool {
    value.as_bytes().starts_with(b"Bearer sb_")
}

/// Signature version 4, in a header or in a presigned URL.
fn signed(headers: &HeaderMap, query: Option<&str>) -> bool {
    headers.get(AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"AWS4-"))
        || headers.contains_key(&AMZ_DATE)
        || query.is_some_and(|query| query.contains("X-Amz-Signature="))
}

fn bearer(token: &str) -> Option<HeaderValue> {
    secret(&format!("Bearer {token}"))
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokens::development::{ANON_KEY, PUBLISHABLE_KEY, SECRET_KEY, SERVICE_ROLE_KEY, api_keys};

    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in list {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn authorization(list: &[(&'static str, &str)], query: Option<&str>) -> Option<String> {
        let mut map = headers(list);
        let key = Keys::presented(&map, query).unwrap();
        let key = key.as_ref().map(Presented::as_str);
        translate(Translate::Authorization, &api_keys(), &map, query, key).apply(&mut map, query);
        map.get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_session_token_is_never_replaced() {
        let sent = [("apikey", PUBLISHABLE_KEY), ("authorization", "Bearer session")];
        assert_eq!(authorization(&sent, None).as_deref(), Some("Bearer session"));
    }

    #[test]
    fn an_opaque_key_becomes_the_token_it_stands_for() {
        let anon = format!("Bearer {ANON_KEY}");
        let service = format!("Bearer {SERVICE_ROLE_KEY}");
        let opaque_bearer = format!("Bearer {SECRET_KEY}");
        assert_eq!(authorization(&[("apikey", PUBLISHABLE_KEY)], None), Some(anon.clone()));
        assert_eq!(authorization(&[("apikey", SECRET_KEY)], None), Some(service.clone()));
        assert_eq!(
            authorization(&[("apikey", SECRET_KEY), ("authorization", &opaque_bearer)], None),
            Some(service)
        );
        assert_eq!(authorization(&[], Some(&format!("apikey={PUBLISHABLE_KEY}"))), Some(anon));
    }

    #[test]
    fn a_token_as_key_alone_is_no_bearer_token() {
        assert_eq!(authorization(&[("apikey", SERVICE_ROLE_KEY)], None).as_deref(), Some(SERVICE_ROLE_KEY));
    }

    #[test]
    fn signed_storage_requests_stay_as_they_are() {
        for (list, query) in [
            (vec![("authorization", "AWS4-HMAC-SHA256 Credential=x"), ("apikey", SECRET_KEY)], None),
            (vec![("apikey", SECRET_KEY)], Some("X-Amz-Signature=abc")),
        ] {
            let map = headers(&list);
            let rule = Translate::AuthorizationUnlessSigned;
            assert_eq!(translate(rule, &api_keys(), &map, query, Some(SECRET_KEY)), Translation::Keep);
        }
    }

    #[test]
    fn a_websocket_handshake_carries_the_token_in_its_query() {
        let query = format!("vsn=1.0.0&apikey={PUBLISHABLE_KEY}");
        let mut map = HeaderMap::new();
        let new =
            translate(Translate::WebsocketQuery, &api_keys(), &map, Some(&query), Some(PUBLISHABLE_KEY))
                .apply(&mut map, Some(&query));
        assert_eq!(new.unwrap(), format!("vsn=1.0.0&apikey={ANON_KEY}"));
        assert_eq!(map["x-api-key"], ANON_KEY);
    }

    #[test]
    fn functions_learn_the_key_beside_an_untouched_authorization() {
        let mut map = headers(&[("sb-api-key", "forged"), ("authorization", "Bearer sb_x")]);
        translate(Translate::FunctionsHeader, &api_keys(), &map, None, Some(SECRET_KEY))
            .apply(&mut map, None);
        assert_eq!(map["sb-api-key"], SERVICE_ROLE_KEY);
        assert_eq!(map["authorization"], "Bearer sb_x");
        let mut map = headers(&[("sb-api-key", "forged")]);
        translate(Translate::FunctionsHeader, &api_keys(), &map, None, None).apply(&mut map, None);
        assert!(!map.contains_key("sb-api-key"));
    }

    #[test]
    fn a_key_is_read_from_the_header_before_the_query() {
        let map = headers(&[("apikey", "a")]);
        assert_eq!(Keys::presented(&map, Some("apikey=b")).unwrap().unwrap().as_str(), "a");
        let none = HeaderMap::new();
        assert_eq!(Keys::presented(&none, Some("apikey=b")).unwrap().unwrap().as_str(), "b");
        assert_eq!(Keys::presented(&none, Some("apikey=")), Ok(None));
        assert_eq!(Keys::presented(&none, None), Ok(None));
    }

    #[test]
    fn a_key_given_twice_is_refused() {
        let map = headers(&[("apikey", "a"), ("apikey", "a")]);
        assert_eq!(Keys::presented(&map, None), Err(Refusal::DuplicateKey));
        assert_eq!(Keys::presented(&HeaderMap::new(), Some("apikey=a&apikey=a")), Err(Refusal::DuplicateKey));
    }
}

//! A request as a whole: what it is about, what it does, and everything it says about how.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

use bytes::Bytes;
use http::{HeaderMap, Method, header};

use super::body::{self, Payload};
use super::media::{self, MediaType};
use super::prefer::Preferences;
use super::query::Query;
use super::range::{self, RowRange};
use crate::config::{Config, OpenApiMode};
use crate::error::{Error, RangeProblem};

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// GET or HEAD of a relation.
    Read {
        /// HEAD.
        head: bool,
    },
    /// POST to a relation.
    Create,
    /// PATCH of a relation.
    Update,
    /// PUT of one row.
    Put,
    /// DELETE from a relation.
    Delete,
    /// A function call.
    Call(CallMethod),
    /// GET or HEAD of the root.
    Root {
        /// HEAD.
        head: bool,
    },
    /// OPTIONS of a relation.
    RelationInfo,
    /// OPTIONS of a function.
    RoutineInfo,
    /// OPTIONS of the root.
    RootInfo,
}

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallMethod {
    /// Arguments in the query; read only.
    Get,
    /// The same, without the body.
    Head,
    /// Arguments in the body.
    Post,
}

impl Action {
    /// Whether rows of a relation are changed.
    pub fn mutates(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Put | Self::Delete)
    }

    /// Whether arguments come in the query.
    fn takes_arguments(self) -> bool {
        matches!(self, Self::Call(CallMethod::Get | CallMethod::Head))
    }
}

/// A request that was understood.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it does.
    pub action: Action,
    /// The relation or function; empty for the root.
    pub resource: String,
    /// The schema, one of those exposed.
    pub schema: String,
    /// Whether the answer names the schema.
    pub names_schema: bool,
    /// The query string.
    pub query: Query,
    /// The rows wanted of the root.
    pub range: RowRange,
    /// The body, where one matters.
    pub payload: Option<Payload>,
    /// The columns of the body, or those given by the query.
    pub columns: BTreeSet<String>,
    /// `Prefer`.
    pub prefer: Preferences,
    /// `Accept`, best first.
    pub accept: Vec<MediaType>,
    /// `Content-Type`.
    pub content_type: MediaType,
}

enum Resource {
    Root,
    Relation(String),
    Routine(String),
}

/// The first line of a header, as text.
pub(crate) fn line<'h>(headers: &'h HeaderMap, name: &str) -> Option<Cow<'h, str>> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
}

/// `Prefer`, which is also needed when the rest of the request is not understood.
pub fn preferences(headers: &HeaderMap, config: &Config, timezones: &HashSet<Box<str>>) -> Preferences {
    let lines: Vec<_> =
        headers.get_all("prefer").iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    Preferences::parse(lines.iter().map(AsRef::as_ref), config.transaction.client_may_choose, timezones)
}

impl Request {
    /// Understands a request. The checks come in PostgREST's order, because the first failure is the answer.
    pub fn parse(
        method: &Method,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        body: Bytes,
        prefer: Preferences,
        config: &Config,
    ) -> Result<Self, Error> {
        let resource = resource(path, config)?;
        let (schema, names_schema) = schema(method, headers, config)?;
        let (action, resource) = action(method, resource)?;
        let query = Query::parse(query, action.takes_arguments())?;
        let range = root_range(method, &query, headers)?;
        let content_type =
            line(headers, "content-type").map_or(MediaType::Json, |value| MediaType::decode(&value));
        let function = matches!(action, Action::Call(_));
        let given = match action {
            Action::Create | Action::Update | Action::Call(CallMethod::Post) => query.columns.as_ref(),
            _ => None,
        };
        let payload = match action {
            Action::Create | Action::Update | Action::Put | Action::Call(CallMethod::Post) => {
                Some(body::read(body, &content_type, function, given.is_some())?)
            }
            _ => None,
        };
        let (payload, columns) = match (payload, given) {
            // Nobody asks the body for its keys any more.
            (Some(Payload::Json { raw, keys }), _) => (Some(Payload::RawJson(raw)), keys),
            (Some(Payload::Form(pairs)), _) => {
                let keys = pairs.iter().map(|(key, _)| key.clone()).collect();
                (Some(Payload::Form(pairs)), keys)
            }
            (Some(Payload::RawJson(raw)), Some(given)) => (Some(Payload::RawJson(raw)), given.clone()),
            (payload, _) => (payload, BTreeSet::new()),
        };
        let accept =
            line(headers, "accept").map_or_else(|| vec![MediaType::Any], |value| media::accept(&value));
        Ok(Self {
            action,
            resource,
            schema,
            names_schema,
            query,
            range,
            payload,
            columns,
            prefer,
            accept,
            content_type,
        })
    }
}

fn resource(path: &str, config: &Config) -> Result<Resource, Error> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let decode = |segment| percent_encoding::percent_decode_str(segment).decode_utf8_lossy();
    let segments: Vec<Cow<'_, str>> =
        if path.is_empty() { Vec::new() } else { path.split('/').map(decode).collect() };
    match segments.as_slice() {
        [] => match (config.openapi_mode, &config.root_spec) {
            (OpenApiMode::Disabled, _) => Err(Error::RootDisabled),
            (_, Some(function)) => Ok(Resource::Routine(function.name.to_string())),
            (_, None) => Ok(Resource::Root),
        },
        [relation] => Ok(Resource::Relation(relation.to_string())),
        [rpc, function] if rpc == "rpc" => Ok(Resource::Routine(function.to_string())),
        _ => Err(Error::InvalidPath),
    }
}

fn schema(method: &Method, headers: &HeaderMap, config: &Config) -> Result<(String, bool), Error> {
    let name = match *method {
        Method::POST | Method::PATCH | Method::PUT | Method::DELETE => "content-profile",
        _ => "accept-profile",
    };
    match line(headers, name) {
        None => Ok((config.default_schema().to_owned(), config.schemas.len() > 1)),
        Some(profile) if config.schemas.iter().any(|schema| *schema == profile) => {
            Ok((profile.into_owned(), true))
        }
        Some(profile) => {
            Err(Error::UnknownSchema { schema: profile.into_owned(), exposed: config.schemas.clone() })
        }
    }
}

fn action(method: &Method, resource: Resource) -> Result<(Action, String), Error> {
    let unsupported = || Error::Method(method.to_string());
    Ok(match resource {
        Resource::Routine(name) => {
            let action = match *method {
                Method::HEAD => Action::Call(CallMethod::Head),
                Method::GET => Action::Call(CallMethod::Get),
                Method::POST => Action::Call(CallMethod::Post),
                Method::OPTIONS => Action::RoutineInfo,
                _ => return Err(Error::RpcMethod(method.to_string())),
            };
            (action, name)
        }
        Resource::Relation(name) => {
            let action = match *method {
                Method::HEAD => Action::Read { head: true },
                Method::GET => Action::Read { head: false },
                Method::POST => Action::Create,
                Method::PUT => Action::Put,
                Method::PATCH => Action::Update,
                Method::DELETE => Action::Delete,
                Method::OPTIONS => Action::RelationInfo,
                _ => return Err(unsupported()),
            };
            (action, name)
        }
        Resource::Root => {
            let action = match *method {
                Method::HEAD => Action::Root { head: true },
                Method::GET => Action::Root { head: false },
                Method::OPTIONS => Action::RootInfo,
                _ => return Err(unsupported()),
            };
            (action, String::new())
        }
    })
}

fn root_range(method: &Method, query: &Query, headers: &HeaderMap) -> Result<RowRange, Error> {
    let from_header = match line(headers, header::RANGE.as_str()) {
        Some(value) if *method == Method::GET => range::from_header(&value),
        _ => RowRange::ALL,
    };
    let wanted = query.root_range.unwrap_or(RowRange::ALL);
    // The one empty window that may be asked for, and whoever asks for it gets it.
    let range = if wanted.has_limit_zero() { RowRange::LIMIT_ZERO } else { from_header.intersect(wanted) };
    if range.is_empty() && !wanted.has_limit_zero() {
        return Err(Error::InvalidRange(if from_header.is_empty() {
            RangeProblem::LowerAboveUpper
        } else {
            RangeProblem::NegativeLimit
        }));
    }
    if *method == Method::PUT && range != RowRange::ALL {
        return Err(Error::PutRange);
    }
    Ok(range)
}

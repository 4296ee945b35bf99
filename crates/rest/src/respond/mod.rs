//! From what the database answered to HTTP.

mod overrides;

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::catalog::{Catalog, Routine, Volatility};
use crate::error::{Error, RangeProblem};
use crate::execute::{Flow, Outcome};
use crate::parse::media::MediaType;
use crate::parse::prefer::{Count, Eligible, Resolution};
use crate::parse::range::content_range;
use crate::parse::request::{Action, Request};
use crate::plan::resolve;

/// An answer in the making. Headers keep their order.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Content,
}

/// Room for the headers of an answer, and for those of the next request on the same connection, for which the server
/// takes the map again: a client's and those that a gateway adds.
const HEADERS: usize = 24;

/// The body of an answer.
#[derive(Debug)]
enum Content {
    /// Neither body nor length, as with 204 and HEAD.
    Nothing,
    /// All of it.
    Whole(Bytes),
    /// On its way.
    Flow(Flow),
}

impl Answer {
    fn new(status: StatusCode) -> Self {
        Self { status, headers: Vec::with_capacity(8), body: Content::Nothing }
    }

    /// A header; a value that HTTP cannot carry is left out.
    fn header(&mut self, name: HeaderName, value: impl TryInto<HeaderValue>) {
        if let Ok(value) = value.try_into() {
            self.headers.push((name, value));
        }
    }

    fn media(&mut self, request: &Request, media: &MediaType) {
        match media {
            MediaType::Json => self.header(header::CONTENT_TYPE, JSON),
            _ => self.header(header::CONTENT_TYPE, media.content_type()),
        }
        if request.names_schema {
            self.header(HeaderName::from_static("content-profile"), request.schema.as_str());
        }
    }

    fn applied(&mut self, request: &Request, eligible: Eligible) {
        if let Some(applied) = request.prefer.applied(eligible) {
            self.header(HeaderName::from_static("preference-applied"), applied);
        }
    }

    fn into_response(self) -> Response<Body> {
        let mut headers = HeaderMap::with_capacity(HEADERS);
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        let body = match self.body {
            Content::Whole(body) => {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
                Body::from(body)
            }
            Content::Flow(flow) => {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(flow.length));
                flow.body
            }
            Content::Nothing => Body::new(Silent),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

/// No body, of which no length is announced either: that of a 204, and of the answer to HEAD.
#[derive(Debug)]
pub(crate) struct Silent;

impl http_body::Body for Silent {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> http_body::SizeHint {
        // Not exactly zero: whoever sees an exact size announces it.
        http_body::SizeHint::default()
    }
}

/// What [`MediaType::content_type`] says of JSON.
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

const CONTENT_LOCATION: HeaderName = header::CONTENT_LOCATION;

/// The status of a window of rows, and its `Content-Range`.
fn window(request: &Request, outcome: &Outcome, total: Option<i64>) -> (StatusCode, String) {
    let lower = request.range.lower;
    let upper = lower + i128::from(outcome.page) - 1;
    let status = match total {
        None => StatusCode::OK,
        Some(total) if lower > i128::from(total) => StatusCode::RANGE_NOT_SATISFIABLE,
        Some(total) if 1 + upper - lower < i128::from(total) => StatusCode::PARTIAL_CONTENT,
        Some(_) => StatusCode::OK,
    };
    (status, content_range(lower, upper, total))
}

/// The number of rows there are, as far as the client asked for it.
fn total(request: &Request, outcome: &Outcome, max_rows: Option<i64>, reads: bool) -> Option<i64> {
    match request.prefer.count {
        Some(Count::Planned) if reads => outcome.planned,
        Some(Count::Estimated) if reads && max_rows.is_none_or(|max| outcome.total > Some(max)) => {
            outcome.total.max(outcome.planned)
        }
        _ => outcome.total,
    }
}

fn out_of_bounds(request: &Request, total: Option<i64>) -> Bytes {
    let problem = RangeProblem::OutOfBounds { lower: request.range.lower, total: total.unwrap_or(0) };
    Error::InvalidRange(problem).parts().body().into()
}

/// The answer to a read.
pub(crate) fn read(
    request: &Request,
    outcome: Outcome,
    flow: Option<Flow>,
    media: &MediaType,
    max_rows: Option<i64>,
) -> Result<Response<Body>, Error> {
    let total = total(request, &outcome, max_rows, true);
    let (status, range) = window(request, &outcome, total);
    let head = request.action == Action::Read { head: true };
    let mut answer = Answer::new(status);
    answer.header(header::CONTENT_RANGE, range);
    let mut location = String::with_capacity(request.resource.len() + request.query.canonical.len() + 2);
    location.push('/');
    location.push_str(&request.resource);
    if !request.query.canonical.is_empty() {
        location.push('?');
        location.push_str(&request.query.canonical);
    }
    answer.header(CONTENT_LOCATION, location);
    answer.media(request, media);
    answer.applied(request, Eligible::default());
    if !head {
        answer.body = match flow {
            _ if status == StatusCode::RANGE_NOT_SATISFIABLE => Content::Whole(out_of_bounds(request, total)),
            Some(flow) => Content::Flow(flow),
            None => Content::Whole(outcome.body.clone()),
        };
    }
    overrides::apply(answer, &outcome).map(Answer::into_response)
}

/// The answer to a change.
pub(crate) fn change(
    request: &Request,
    catalog: &Catalog,
    outcome: Outcome,
    media: &MediaType,
) -> Result<Response<Body>, Error> {
    let representation = request.prefer.wants_representation();
    let affected = request.prefer.counts().then_some(outcome.page);
    let mut answer = Answer::new(if representation { StatusCode::OK } else { StatusCode::NO_CONTENT });
    match request.action {
        Action::Create => {
            let merged = request.prefer.resolution == Some(Resolution::MergeDuplicates);
            let none_new = merged && outcome.inserted.unwrap_or(0) <= 0;
            answer.status = if none_new { StatusCode::OK } else { StatusCode::CREATED };
            if let Some(location) = outcome.location.as_deref().and_then(location_query) {
                answer.header(header::LOCATION, format!("/{}?{location}", request.resource));
            }
            answer.header(header::CONTENT_RANGE, content_range(1, 0, affected));
            let has_target = request.query.on_conflict.is_some()
                || resolve::table(catalog, &request.schema, &request.resource)
                    .is_ok_and(|table| !table.primary_key.is_empty());
            answer.applied(
                request,
                Eligible { resolution: has_target, missing: true, representation: true, max_affected: false },
            );
            answer.body = Content::Whole(Bytes::new());
        }
        Action::Update => {
            answer.header(header::CONTENT_RANGE, content_range(0, i128::from(outcome.page) - 1, affected));
            answer.applied(
                request,
                Eligible { missing: true, representation: true, max_affected: true, ..Eligible::default() },
            );
        }
        Action::Put => {
            if representation && outcome.inserted.is_some_and(|inserted| inserted > 0) {
                answer.status = StatusCode::CREATED;
            }
            answer.applied(request, Eligible { representation: true, ..Eligible::default() });
        }
        _ => {
            answer.header(header::CONTENT_RANGE, content_range(1, 0, affected));
            answer.applied(
                request,
                Eligible { representation: true, max_affected: true, ..Eligible::default() },
            );
        }
    }
    if representation {
        answer.media(request, media);
        answer.body = Content::Whole(outcome.body.clone());
    }
    overrides::apply(answer, &outcome).map(Answer::into_response)
}

/// `column=eq.value` of each part of a primary key.
fn location_query(pairs: &str) -> Option<String> {
    const ESCAPED: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    let encode = |text: &str| percent_encoding::utf8_percent_encode(text, ESCAPED).to_string();
    let pairs: Vec<(String, Option<String>)> = serde_json::from_str(pairs).ok()?;
    let parts: Vec<String> = pairs
        .iter()
        .map(|(name, value)| match value {
            Some(value) => format!("{}=eq.{}", encode(name), encode(value)),
            None => format!("{}=is.null", encode(name)),
        })
        .collect();
    (!parts.is_empty()).then(|| parts.join("&"))
}

/// The answer to a call.
pub(crate) fn call(
    request: &Request,
    routine: &Routine,
    outcome: Outcome,
    flow: Option<Flow>,
    media: &MediaType,
) -> Result<Response<Body>, Error> {
    let (status, range) = window(request, &outcome, outcome.total);
    let void = routine.returns_void();
    let mut answer = Answer::new(if void { StatusCode::NO_CONTENT } else { status });
    answer.header(header::CONTENT_RANGE, range);
    answer.applied(request, Eligible { max_affected: true, ..Eligible::default() });
    if !void {
        answer.media(request, media);
        if request.action != Action::Call(crate::parse::request::CallMethod::Head) {
            answer.body = match flow {
                _ if status == StatusCode::RANGE_NOT_SATISFIABLE => {
                    Content::Whole(out_of_bounds(request, outcome.total))
                }
                Some(flow) => Content::Flow(flow),
                None => Content::Whole(outcome.body.clone()),
            };
        }
    }
    overrides::apply(answer, &outcome).map(Answer::into_response)
}

/// A plan.
pub(crate) fn explained(request: &Request, outcome: Outcome, media: &MediaType) -> Response<Body> {
    let mut answer = Answer::new(StatusCode::OK);
    answer.media(request, media);
    answer.body = Content::Whole(outcome.body);
    answer.into_response()
}

/// The description of the whole API.
pub(crate) fn root(request: &Request, document: String) -> Response<Body> {
    let mut answer = Answer::new(StatusCode::OK);
    answer.media(request, &MediaType::OpenApi);
    if request.action == (Action::Root { head: false }) {
        answer.body = Content::Whole(document.into());
    }
    answer.into_response()
}

fn allow(methods: &str) -> Response<Body> {
    let mut answer = Answer::new(StatusCode::OK);
    answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    answer.header(header::ALLOW, methods);
    answer.body = Content::Whole(Bytes::new());
    answer.into_response()
}

/// What can be done with a relation.
pub(crate) fn relation_methods(request: &Request, catalog: &Catalog) -> Result<Response<Body>, Error> {
    let table = resolve::table(catalog, &request.schema, &request.resource)?;
    let mut methods = String::from("OPTIONS,GET,HEAD");
    for (can, method) in [
        (table.insertable, ",POST"),
        (table.insertable && table.updatable && !table.primary_key.is_empty(), ",PUT"),
        (table.updatable, ",PATCH"),
        (table.deletable, ",DELETE"),
    ] {
        if can {
            methods.push_str(method);
        }
    }
    Ok(allow(&methods))
}

/// What can be done with a function.
pub(crate) fn routine_methods(routine: &Routine) -> Response<Body> {
    allow(if routine.volatility == Volatility::Volatile { "OPTIONS,POST" } else { "OPTIONS,GET,HEAD,POST" })
}

/// What can be done with the root.
pub(crate) fn root_methods() -> Response<Body> {
    allow("OPTIONS,GET,HEAD")
}

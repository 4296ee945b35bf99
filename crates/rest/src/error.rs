//! Everything that can go wrong, and its form on the wire.
//!
//! Each variant is one of PostgREST's documented codes. [`Error::response`] is the only place that turns one into HTTP.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::config::LogLevel;
use crate::sqlstate;

/// Why a window of rows is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeProblem {
    /// `limit` is negative, or header and parameters have no row in common.
    NegativeLimit,
    /// `Range: 5-2`
    LowerAboveUpper,
    /// The offset is beyond the last row.
    OutOfBounds {
        /// The offset.
        lower: i128,
        /// How many rows there are.
        total: i64,
    },
}

/// Why a token does not identify anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenProblem {
    /// The server has no key.
    NoSecret,
    /// No token, and nobody may come without.
    Required,
    /// The token cannot be decoded (`PGRST301`).
    Undecodable {
        /// What is wrong.
        message: String,
        /// More about it.
        details: Option<String>,
    },
    /// The token is genuine, but its claims forbid its use (`PGRST303`).
    Claims(String),
}

/// An error of this service.
#[derive(Debug)]
pub enum Error {
    /// `PGRST100`
    QuerySyntax {
        /// Which parameter, and where.
        message: String,
        /// What was unexpected.
        details: String,
    },
    /// `PGRST101`
    RpcMethod(String),
    /// `PGRST102`
    InvalidBody(String),
    /// `PGRST103`
    InvalidRange(RangeProblem),
    /// `PGRST105`
    PutFilters,
    /// `PGRST106`
    UnknownSchema {
        /// The schema that was asked for.
        schema: String,
        /// The schemas there are.
        exposed: Vec<String>,
    },
    /// `PGRST107`
    MediaType(Vec<String>),
    /// `PGRST108`
    NotEmbedded(String),
    /// `PGRST111`
    ResponseHeaders,
    /// `PGRST112`
    ResponseStatus,
    /// `PGRST114`
    PutRange,
    /// `PGRST115`
    PutPayload,
    /// `PGRST116`
    NotSingular(i64),
    /// `PGRST117`
    Method(String),
    /// `PGRST118`
    RelatedOrder {
        /// The relation that is ordered.
        origin: String,
        /// The embed it was to be ordered by.
        target: String,
    },
    /// `PGRST122`
    InvalidPreferences(Vec<String>),
    /// `PGRST123`
    AggregatesDisabled,
    /// `PGRST124`
    MaxAffected(i64),
    /// `PGRST125`
    InvalidPath,
    /// `PGRST126`
    RootDisabled,
    /// `PGRST127`
    NotImplemented(&'static str),
    /// `PGRST128`
    MaxAffectedSingle,
    /// `PGRST200`
    NoRelationship {
        /// The relation that was asked.
        parent: String,
        /// What it has no relationship with.
        child: String,
        /// The hint that was given.
        hint: Option<String>,
        /// The schema searched.
        schema: String,
        /// What was perhaps meant.
        suggestion: Option<String>,
    },
    /// `PGRST201`
    AmbiguousRelationship {
        /// The relation that was asked.
        parent: String,
        /// What it has several relationships with.
        child: String,
        /// The relationships.
        candidates: Vec<Value>,
        /// `'child!hint', …`
        hints: String,
    },
    /// `PGRST202`
    NoFunction {
        /// The whole message.
        message: String,
        /// What was searched for.
        details: String,
        /// What was perhaps meant.
        suggestion: Option<String>,
    },
    /// `PGRST203`
    AmbiguousFunction(String),
    /// `PGRST204`
    NoColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// `PGRST205`
    NoTable {
        /// The schema.
        schema: String,
        /// The table.
        table: String,
        /// What was perhaps meant.
        suggestion: Option<String>,
    },
    /// `PGRST300` to `PGRST303`
    Token(TokenProblem),
    /// `PGRST002`: the catalogue was never loaded.
    NoCatalog,
    /// What the database, or the way to it, answered.
    Database {
        /// Whether the role is another than the anonymous one.
        authenticated: bool,
        /// The error.
        error: database::Error,
    },
    /// `54011`, as PostgreSQL reports it: an embed hands up more columns than a `SELECT` can have.
    TooManyColumns,
    /// `54001`: what is asked for becomes a statement out of all proportion to the request.
    TooComplex,
    /// `21000`, as pg-safeupdate raises it: every row would be changed. Names the statement.
    RequiresWhere(&'static str),
    /// `PGRSTX00`: the database answered something that cannot be.
    Internal(String),
}

/// An error's parts on the wire.
pub(crate) struct Parts {
    pub(crate) status: StatusCode,
    pub(crate) reason: Option<String>,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) details: Value,
    pub(crate) hint: Value,
    pub(crate) headers: Vec<(String, String)>,
}

impl Parts {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            reason: None,
            code: code.to_owned(),
            message: message.into(),
            details: Value::Null,
            hint: Value::Null,
            headers: Vec::new(),
        }
    }

    pub(crate) fn details(mut self, details: impl Into<Value>) -> Self {
        self.details = details.into();
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<Value>) -> Self {
        self.hint = hint.into();
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The body.
    pub(crate) fn body(&self) -> String {
        // Spelled out, because the keys have an order.
        format!(
            "{{\"code\":{},\"details\":{},\"hint\":{},\"message\":{}}}",
            json!(self.code),
            self.details,
            self.hint,
            json!(self.message)
        )
    }
}

impl Error {
    /// Whether the database cannot be reached, so that the client should come back.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::NoCatalog) || matches!(self, Self::Database { .. } if self.parts().status == 503)
    }

    /// Whether the request names something that the catalogue does not have, which a reload may change.
    pub(crate) fn names_something_unknown(&self) -> bool {
        matches!(
            self,
            Self::NoRelationship { .. }
                | Self::NoFunction { .. }
                | Self::NoColumn { .. }
                | Self::NoTable { .. }
        )
    }

    pub(crate) fn parts(&self) -> Parts {
        let token = |status, code, message: &str, details: Option<String>| {
            let escaped = Value::from(message).to_string();
            let parts = Parts::new(status, code, message).header(
                "WWW-Authenticate",
                format!("Bearer error=\"invalid_token\", error_description={escaped}"),
            );
            match details {
                Some(details) => parts.details(details),
                None => parts,
            }
        };
        match self {
            Self::QuerySyntax { message, details } => {
                Parts::new(400, "PGRST100", message).details(details.as_str())
            }
            Self::RpcMethod(method) => {
                Parts::new(405, "PGRST101", format!("Cannot use the {method} method on RPC"))
            }
            Self::InvalidBody(message) => Parts::new(400, "PGRST102", message),
            Self::InvalidRange(problem) => {
                Parts::new(416, "PGRST103", "Requested range not satisfiable").details(match problem {
                    RangeProblem::NegativeLimit => "Limit should be greater than or equal to zero.".to_owned(),
                    RangeProblem::LowerAboveUpper => {
                        "The lower boundary must be lower than or equal to the upper boundary in the Range header."
                            .to_owned()
                    }
                    RangeProblem::OutOfBounds { lower, total } => {
                        format!("An offset of {lower} was requested, but there are only {total} rows.")
                    }
                })
            }
            Self::PutFilters => Parts::new(
                405,
                "PGRST105",
                "Filters must include all and only primary key columns with 'eq' operators",
            ),
            Self::UnknownSchema { schema, exposed } => {
                Parts::new(406, "PGRST106", format!("Invalid schema: {schema}"))
                    .hint(format!("Only the following schemas are exposed: {}", exposed.join(", ")))
            }
            Self::MediaType(types) => Parts::new(
                406,
                "PGRST107",
                format!("None of these media types are available: {}", types.join(", ")),
            ),
            Self::NotEmbedded(name) => {
                Parts::new(400, "PGRST108", format!("'{name}' is not an embedded resource in this request"))
                    .hint(format!("Verify that '{name}' is included in the 'select' query parameter."))
            }
            Self::ResponseHeaders => Parts::new(
                500,
                "PGRST111",
                "response.headers guc must be a JSON array composed of objects with a single key and a string value",
            ),
            Self::ResponseStatus => Parts::new(500, "PGRST112", "response.status guc must be a valid status code"),
            Self::PutRange => {
                Parts::new(400, "PGRST114", "limit/offset querystring parameters are not allowed for PUT")
            }
            Self::PutPayload => {
                Parts::new(400, "PGRST115", "Payload values do not match URL in primary key column(s)")
            }
            Self::NotSingular(rows) => {
                Parts::new(406, "PGRST116", "Cannot coerce the result to a single JSON object")
                    .details(format!("The result contains {rows} rows"))
            }
            Self::Method(method) => Parts::new(405, "PGRST117", format!("Unsupported HTTP method: {method}")),
            Self::RelatedOrder { origin, target } => {
                Parts::new(400, "PGRST118", format!("A related order on '{target}' is not possible")).details(
                    format!("'{origin}' and '{target}' do not form a many-to-one or one-to-one relationship"),
                )
            }
            Self::InvalidPreferences(names) => {
                Parts::new(400, "PGRST122", "Invalid preferences given with handling=strict")
                    .details(format!("Invalid preferences: {}", names.join(", ")))
            }
            Self::AggregatesDisabled => Parts::new(400, "PGRST123", "Use of aggregate functions is not allowed"),
            Self::MaxAffected(rows) => {
                Parts::new(400, "PGRST124", "Query result exceeds max-affected preference constraint")
                    .details(format!("The query affects {rows} rows"))
            }
            Self::InvalidPath => Parts::new(404, "PGRST125", "Invalid path specified in request URL"),
            Self::RootDisabled => Parts::new(404, "PGRST126", "Root endpoint metadata is disabled"),
            Self::NotImplemented(details) => {
                Parts::new(400, "PGRST127", "Feature not implemented").details(*details)
            }
            Self::MaxAffectedSingle => Parts::new(
                400,
                "PGRST128",
                "Function must return SETOF or TABLE when max-affected preference is used with handling=strict",
            ),
            Self::NoRelationship { parent, child, hint, schema, suggestion } => {
                let using = hint.as_ref().map(|hint| format!(" using the hint '{hint}'")).unwrap_or_default();
                Parts::new(
                    400,
                    "PGRST200",
                    format!("Could not find a relationship between '{parent}' and '{child}' in the schema cache"),
                )
                .details(format!(
                    "Searched for a foreign key relationship between '{parent}' and '{child}'{using} in the \
                     schema '{schema}', but no matches were found."
                ))
                .hint(suggestion.clone())
            }
            Self::AmbiguousRelationship { parent, child, candidates, hints } => Parts::new(
                300,
                "PGRST201",
                format!("Could not embed because more than one relationship was found for '{parent}' and '{child}'"),
            )
            .details(candidates.clone())
            .hint(format!(
                "Try changing '{child}' to one of the following: {hints}. Find the desired relationship in the \
                 'details' key."
            )),
            Self::NoFunction { message, details, suggestion } => {
                Parts::new(404, "PGRST202", message).details(details.as_str()).hint(suggestion.clone())
            }
            Self::AmbiguousFunction(candidates) => Parts::new(
                300,
                "PGRST203",
                format!("Could not choose the best candidate function between: {candidates}"),
            )
            .hint(
                "Try renaming the parameters or the function itself in the database so function overloading can be \
                 resolved",
            ),
            Self::NoColumn { table, column } => Parts::new(
                400,
                "PGRST204",
                format!("Could not find the '{column}' column of '{table}' in the schema cache"),
            ),
            Self::NoTable { schema, table, suggestion } => Parts::new(
                404,
                "PGRST205",
                format!("Could not find the table '{schema}.{table}' in the schema cache"),
            )
            .hint(suggestion.clone()),
            Self::Token(TokenProblem::NoSecret) => Parts::new(500, "PGRST300", "Server lacks JWT secret"),
            Self::Token(TokenProblem::Required) => {
                Parts::new(401, "PGRST302", "Anonymous access is disabled").header("WWW-Authenticate", "Bearer")
            }
            Self::Token(TokenProblem::Undecodable { message, details }) => {
                token(401, "PGRST301", message, details.clone())
            }
            Self::Token(TokenProblem::Claims(message)) => token(401, "PGRST303", message, None),
            Self::NoCatalog => Parts::new(
                503,
                "PGRST002",
                "Could not query the database for the schema cache. Retrying.",
            ),
            Self::Database { authenticated, error } => sqlstate::parts(error, *authenticated),
            Self::RequiresWhere(statement) => {
                Parts::new(400, "21000", format!("{statement} requires a WHERE clause"))
            }
            Self::TooManyColumns => {
                Parts::new(500, "54011", "target lists can have at most 1664 entries")
            }
            Self::TooComplex => Parts::new(500, "54001", "the request becomes too long a statement"),
            Self::Internal(message) => Parts::new(500, "PGRSTX00", message),
        }
    }

    /// Tells the log what the database could not do, or we. Everything else is the client's doing, or was told before.
    pub(crate) fn log(&self, level: LogLevel) {
        if level != LogLevel::Crit && self.is_worth_a_line() {
            let parts = self.parts();
            if parts.status.is_server_error() {
                tracing::error!("{}", parts.body());
            }
        }
    }

    /// Whether this may be told in the log. When no connection is free that is so for many requests at once.
    fn is_worth_a_line(&self) -> bool {
        static LAST: Mutex<Option<Instant>> = Mutex::new(None);
        match self {
            Self::NoCatalog | Self::Token(_) | Self::ResponseHeaders | Self::ResponseStatus => false,
            Self::Database { error: database::Error::PoolTimeout { .. }, .. } => {
                let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                if last.is_some_and(|last| now.duration_since(last) < Duration::from_secs(5)) {
                    return false;
                }
                *last = Some(now);
                true
            }
            _ => true,
        }
    }

    /// The answer. `retry_after` is sent along when the database is away.
    pub fn response(&self, retry_after: u64) -> Response<Body> {
        let parts = self.parts();
        let body = parts.body();
        let mut response = Response::new(Body::empty());
        *response.status_mut() = parts.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        if let Ok(value) = HeaderValue::from_str(&format!("PostgREST; error={}", parts.code)) {
            headers.insert("proxy-status", value);
        }
        for (name, value) in &parts.headers {
            if let (Ok(name), Ok(value)) =
                (name.parse::<HeaderName>(), HeaderValue::from_bytes(value.as_bytes()))
            {
                headers.append(name, value);
            }
        }
        if parts.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
        }
        if let Some(reason) = parts.reason
            && let Ok(reason) = hyper::ext::ReasonPhrase::try_from(reason.as_bytes())
        {
            response.extensions_mut().insert(reason);
        }
        *response.body_mut() = Body::from(body);
        response
    }
}

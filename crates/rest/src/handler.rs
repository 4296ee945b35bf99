//! One request: parse, plan, execute, respond.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use bytes::Bytes;
use database::Access;
use http::{HeaderValue, Method, Response};
use tokens::Verified;

use crate::catalog::{Catalog, Volatility};
use crate::config::OpenApiMode;
use crate::cors;
use crate::error::Error;
use crate::execute::{self, Caller, Context, Delivery, FunctionContext, Incoming, Outcome, Work};
use crate::identity;
use crate::openapi;
use crate::parse::media::MediaType;
use crate::parse::prefer::Count;
use crate::parse::request::{self, Action, CallMethod, Request};
use crate::plan::{self, CallReadPlan, MutateReadPlan, Plan, ReadPlan};
use crate::respond;
use crate::service::{Rest, State};
use crate::sql;
use crate::timing::{Stage, Timing};

/// PostgreSQL takes no larger message, so nothing longer is worth the memory. The front door is stricter, but a service
/// alone has none.
const LARGEST_BODY: usize = 1 << 30;

/// Under whose name a request was answered, in the extensions of answers that are to be logged.
#[derive(Clone, Debug)]
pub struct Role(pub Arc<str>);

/// In the extensions of answers that no log tells of: those to preflights.
#[derive(Clone, Copy, Debug)]
pub struct Unlogged;

/// Answers any request.
pub(crate) async fn answer(rest: Rest, request: axum::extract::Request) -> Response<Body> {
    let state = rest.shared.state.load_full();
    let (parts, body) = request.into_parts();
    let traced = |mut response: Response<Body>| {
        if let Some(name) = &state.config.trace_header {
            let value = parts.headers.get(name).cloned().unwrap_or(HeaderValue::from_static(""));
            response.headers_mut().insert(name.clone(), value);
        }
        response
    };
    if state.config.cors
        && let Some(mut response) = cors::preflight(&parts, &state.config)
    {
        response.extensions_mut().insert(Unlogged);
        return traced(response);
    }
    let mut timing = Timing::start(state.config.server_timing);
    let mut notes = Notes::default();
    let mut response = match respond(&rest, &state, &parts, body, &mut timing, &mut notes).await {
        Ok(mut response) => {
            timing.write(response.headers_mut());
            response
        }
        Err(error) => {
            // Without a listener nobody else notices that the database was away.
            if error.is_unavailable() && state.catalog.is_some() && !state.config.channel_enabled {
                rest.shared.suspect();
            }
            error.log(state.config.log_level);
            error.response(rest.retry_after())
        }
    };
    if state.config.log_level.includes(response.status()) {
        if let Some(role) = notes.role {
            response.extensions_mut().insert(Role(role));
        }
        if let Some(statement) = notes.statement.into_inner().unwrap_or_else(PoisonError::into_inner) {
            tracing::info!("{statement}");
        }
    }
    if state.config.cors {
        cors::decorate(&parts.method, &parts.headers, response.headers_mut(), &state.config);
    }
    traced(response)
}

/// What the logs tell of a request.
#[derive(Default)]
struct Notes {
    role: Option<Arc<str>>,
    /// The main statement, if statements are logged.
    statement: Mutex<Option<String>>,
}

async fn respond(
    rest: &Rest,
    state: &Arc<State>,
    parts: &http::request::Parts,
    body: Body,
    timing: &mut Timing,
    notes: &mut Notes,
) -> Result<Response<Body>, Error> {
    let config = &state.config;
    let verified = parts.extensions.get::<Arc<Verified>>().cloned();
    let caller = identity::identify(&parts.headers, verified, state.keys.as_ref(), &state.policy, config)?;
    notes.role = Some(caller.role.clone());
    let statement = &notes.statement;
    timing.mark(Stage::Jwt);
    if state.catalog.is_none() {
        return Err(Error::NoCatalog);
    }
    let body = match parts.method {
        Method::GET | Method::HEAD | Method::OPTIONS | Method::DELETE => Bytes::new(),
        _ => axum::body::to_bytes(body, LARGEST_BODY)
            .await
            .map_err(|error| Error::InvalidBody(format!("The body could not be read: {error}")))?,
    };
    let asked = Asked { rest, parts, caller: &caller, statement };
    let first = serve(asked, state, body.clone(), timing);
    match Box::pin(first).await {
        // Raised before anything was executed, so nothing happens twice.
        Err(error) if error.names_something_unknown() => match rest.shared.newer_than(state).await {
            Some(newer) => Box::pin(serve(asked, &newer, body, timing)).await,
            None => Err(error),
        },
        answer => answer,
    }
}

/// What stays the same if a request is looked at twice.
#[derive(Clone, Copy)]
struct Asked<'a> {
    rest: &'a Rest,
    parts: &'a http::request::Parts,
    caller: &'a Caller,
    statement: &'a Mutex<Option<String>>,
}

/// Parses, plans, executes and responds with one state of what is known.
async fn serve(
    asked: Asked<'_>,
    state: &State,
    body: Bytes,
    timing: &mut Timing,
) -> Result<Response<Body>, Error> {
    let Asked { rest, parts, caller, statement } = asked;
    let config = &state.config;
    let catalog = state.catalog.clone().ok_or(Error::NoCatalog)?;
    let prefer = request::preferences(&parts.headers, config, &catalog.timezones);
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or("");
    let request = Request::parse(&parts.method, path, query, &parts.headers, body, prefer, config)?;
    timing.mark(Stage::Parse);
    let job = Job { rest, state, catalog: &catalog, parts, caller, statement, request: &request };
    match request.action {
        Action::RootInfo => Ok(respond::root_methods()),
        Action::RelationInfo => respond::relation_methods(&request, &catalog),
        // Boxed, so that the future of a read is no larger than it needs to be.
        Action::Root { .. } => Box::pin(job.root(timing)).await,
        _ => {
            let plan = plan::plan(&request, &catalog, config)?;
            timing.mark(Stage::Plan);
            match plan {
                Plan::Call(plan) if request.action == Action::RoutineInfo => {
                    Ok(respond::routine_methods(plan.routine))
                }
                Plan::Read(plan) => job.read(&plan, timing).await,
                Plan::Mutate(plan) => Box::pin(job.change(&plan, timing)).await,
                Plan::Call(plan) => Box::pin(job.call(&plan, timing)).await,
            }
        }
    }
}

/// Everything that belongs to one request.
struct Job<'a> {
    rest: &'a Rest,
    state: &'a State,
    catalog: &'a Catalog,
    parts: &'a http::request::Parts,
    caller: &'a Caller,
    statement: &'a Mutex<Option<String>>,
    request: &'a Request,
}

impl Job<'_> {
    fn context<'c>(&'c self, access: Access, function: FunctionContext<'c>) -> Context<'c> {
        let incoming = Incoming {
            method: self.parts.method.as_str(),
            path: self.parts.uri.path(),
            headers: &self.parts.headers,
        };
        Context::new(
            &self.state.config,
            self.caller,
            incoming,
            &self.request.prefer,
            self.state.search_path(&self.request.schema),
            access,
            function,
        )
    }

    fn work<'w>(
        &'w self,
        main: sql::StatementText<'w>,
        planned: Option<sql::StatementText<'w>>,
        media: &MediaType,
    ) -> Work<'w> {
        if self.state.config.log_query {
            *self.statement.lock().unwrap_or_else(PoisonError::into_inner) = Some(main.text.clone());
        }
        Work {
            pre_request: self.state.pre_request.as_deref(),
            main,
            planned,
            explains: is_plan(media),
            repeatable: true,
        }
    }

    fn delivery(&self) -> Delivery<'_> {
        Delivery { flows: &self.rest.shared.flows, stall: self.state.config.stall_timeout }
    }

    async fn read(&self, plan: &ReadPlan<'_>, timing: &mut Timing) -> Result<Response<Body>, Error> {
        let (count, max_rows) = (self.request.prefer.count, self.state.config.max_rows);
        // Counting one more than may be returned is enough to know that there are more.
        let limit =
            if count == Some(Count::Estimated) { max_rows.map(|max| max.saturating_add(1)) } else { None };
        let planned = matches!(count, Some(Count::Planned | Count::Estimated)) && !is_plan(&plan.media);
        let work = self.work(
            sql::read(plan, self.request.prefer.counts(), limit),
            planned.then(|| sql::explain_count(&plan.tree)),
            &plan.media,
        );
        let context = self.context(Access::ReadOnly, FunctionContext::default());
        let pool = &self.rest.shared.pool;
        let check = |outcome: &Outcome| if work.explains { Ok(()) } else { singular(outcome, &plan.media) };
        let (outcome, flow) = if plan.head || work.explains {
            (Box::pin(execute::run(pool, &context, &work, false, check)).await?, None)
        } else {
            execute::read(pool, &context, &work, &self.delivery(), check).await?
        };
        self.finish(outcome, &plan.media, timing, |outcome| {
            respond::read(self.request, outcome, flow, &plan.media, max_rows)
        })
    }

    async fn change(&self, plan: &MutateReadPlan<'_>, timing: &mut Timing) -> Result<Response<Body>, Error> {
        let work = self.work(sql::mutate(plan, self.request.prefer.representation), None, &plan.media);
        let context = self.context(Access::ReadWrite, FunctionContext::default());
        let put = self.request.action == Action::Put;
        let max = match self.request.action {
            Action::Update | Action::Delete => self.request.prefer.enforced_max_affected(),
            _ => None,
        };
        let undecided = !work.explains && (put || plan.media.is_object() || max.is_some());
        let outcome = execute::run(&self.rest.shared.pool, &context, &work, undecided, |outcome| {
            if work.explains {
                return Ok(());
            }
            if put {
                return if outcome.page == 1 { Ok(()) } else { Err(Error::PutPayload) };
            }
            singular(outcome, &plan.media)?;
            at_most(outcome, max)
        })
        .await?;
        self.finish(outcome, &plan.media, timing, |outcome| {
            respond::change(self.request, self.catalog, outcome, &plan.media)
        })
    }

    async fn call(&self, plan: &CallReadPlan<'_>, timing: &mut Timing) -> Result<Response<Body>, Error> {
        let mut work = self.work(sql::call(plan, self.request.prefer.counts()), None, &plan.media);
        work.repeatable = plan.routine.volatility != Volatility::Volatile;
        let writes = plan.method == CallMethod::Post && plan.routine.volatility == Volatility::Volatile;
        let access = if writes { Access::ReadWrite } else { Access::ReadOnly };
        let function =
            FunctionContext { isolation: plan.routine.isolation, settings: &plan.routine.settings };
        let context = self.context(access, function);
        let max = self.request.prefer.enforced_max_affected();
        let pool = &self.rest.shared.pool;
        let check = |outcome: &Outcome| {
            if work.explains {
                return Ok(());
            }
            singular(outcome, &plan.media)?;
            at_most(outcome, max)
        };
        // What a function wrote must be committed before it is answered. What it read may be large.
        let (outcome, flow) = if writes || work.explains || plan.method == CallMethod::Head {
            let undecided = !work.explains && writes && (plan.media.is_object() || max.is_some());
            (execute::run(pool, &context, &work, undecided, check).await?, None)
        } else {
            execute::read(pool, &context, &work, &self.delivery(), check).await?
        };
        self.finish(outcome, &plan.media, timing, |outcome| {
            respond::call(self.request, plan.routine, outcome, flow, &plan.media)
        })
    }

    /// The end of every request that ran a statement: the plan if that was asked for, or what `respond` makes of it.
    fn finish(
        &self,
        outcome: Outcome,
        media: &MediaType,
        timing: &mut Timing,
        respond: impl FnOnce(Outcome) -> Result<Response<Body>, Error>,
    ) -> Result<Response<Body>, Error> {
        timing.mark(Stage::Transaction);
        let response = if is_plan(media) {
            Ok(respond::explained(self.request, outcome, media))
        } else {
            respond(outcome)
        };
        timing.mark(Stage::Response);
        response
    }

    async fn root(&self, timing: &mut Timing) -> Result<Response<Body>, Error> {
        let accepted =
            |media: &MediaType| matches!(media, MediaType::OpenApi | MediaType::Json | MediaType::Any);
        if !self.request.accept.iter().any(accepted) {
            return Err(Error::MediaType(self.request.accept.iter().map(MediaType::to_string).collect()));
        }
        timing.mark(Stage::Plan);
        let context = self.context(Access::ReadOnly, FunctionContext::default());
        let follow = self.state.config.openapi_mode == OpenApiMode::FollowPrivileges;
        let visible = openapi::visible(
            &self.rest.shared.pool,
            &context,
            self.state.pre_request.as_deref(),
            &self.request.schema,
            follow,
        )
        .await?;
        timing.mark(Stage::Transaction);
        let document = openapi::document(self.catalog, &self.state.config, &self.request.schema, &visible);
        let response = respond::root(self.request, document);
        timing.mark(Stage::Response);
        Ok(response)
    }
}

fn is_plan(media: &MediaType) -> bool {
    matches!(media, MediaType::Plan(_))
}

fn singular(outcome: &Outcome, media: &MediaType) -> Result<(), Error> {
    if media.is_object() && outcome.page != 1 { Err(Error::NotSingular(outcome.page)) } else { Ok(()) }
}

fn at_most(outcome: &Outcome, max: Option<i64>) -> Result<(), Error> {
    match max {
        Some(max) if outcome.page > max => Err(Error::MaxAffected(outcome.page)),
        _ => Ok(()),
    }
}

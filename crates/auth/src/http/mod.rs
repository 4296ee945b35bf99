//! What surrounds every route: the request's context, CORS, the time limit, error rendering.

mod bearer;
mod body;
mod context;
mod cors;
mod form;
mod front;
mod go_url;
mod pagination;
mod redirect;
mod see;

pub(crate) use bearer::{Admin, Caller, is_admin, request_audience};
pub(crate) use body::Body;
pub(crate) use context::{Context, RequestContext};
pub(crate) use form::{Form, escape as escape_query};
pub(crate) use front::front;
pub(crate) use go_url::GoUrl;
pub(crate) use pagination::Page;
pub(crate) use redirect::{action_link_base, is_allowed, redirect_target, redirect_target_or};
pub(crate) use see::see;

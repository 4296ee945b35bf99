//! How the body is made: by the first media type the client accepts.

use crate::catalog::{Catalog, Handler, QualifiedName};
use crate::config::Config;
use crate::error::Error;
use crate::parse::media::MediaType;
use crate::parse::request::{Action, CallMethod, Request};
use crate::plan::tree::ReadNode;

/// What turns rows into a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// Nothing: no body is wanted.
    None,
    /// A JSON array (of a function, what it returns).
    Json {
        /// Whether keys with null values are left out.
        nulls_stripped: bool,
    },
    /// One JSON object.
    Object {
        /// Whether keys with null values are left out.
        nulls_stripped: bool,
    },
    /// Comma separated values.
    Csv,
    /// A collection of geographic features.
    GeoJson,
    /// A function of the database.
    Custom(&'a Handler),
}

/// Chooses the body and its media type.
pub(crate) fn body<'a>(
    request: &Request,
    catalog: &'a Catalog,
    config: &Config,
    relation: &str,
    tree: &ReadNode<'_>,
) -> Result<(Body<'a>, MediaType), Error> {
    // The catalogue is keyed by whole names; looking one up must not cost an allocation when there are no handlers at all.
    let target = (!catalog.handlers.is_empty() && tree.is_default_select())
        .then(|| QualifiedName::new(request.schema.as_str(), relation));
    let found = request
        .accept
        .iter()
        .find_map(|media| choose(media, catalog, config, target.as_ref()))
        .ok_or_else(|| Error::MediaType(request.accept.iter().map(MediaType::to_string).collect()))?;
    let bodiless = match request.action {
        Action::Read { head } => head,
        Action::Call(method) => method == CallMethod::Head,
        action if action.mutates() => !request.prefer.wants_representation(),
        _ => false,
    };
    Ok(if bodiless { (Body::None, found.1) } else { found })
}

fn choose<'a>(
    media: &MediaType,
    catalog: &'a Catalog,
    config: &Config,
    target: Option<&QualifiedName>,
) -> Option<(Body<'a>, MediaType)> {
    match media {
        MediaType::Object { nulls_stripped } => {
            Some((Body::Object { nulls_stripped: *nulls_stripped }, media.clone()))
        }
        MediaType::ArrayStripped => Some((Body::Json { nulls_stripped: true }, media.clone())),
        MediaType::Plan(plan) if config.plan_enabled => {
            choose(&plan.of, catalog, config, target).map(|(body, _)| (body, media.clone()))
        }
        MediaType::Plan(_) => None,
        other => custom(other, catalog, target).or_else(|| built_in(other)),
    }
}

fn custom<'a>(
    media: &MediaType,
    catalog: &'a Catalog,
    target: Option<&QualifiedName>,
) -> Option<(Body<'a>, MediaType)> {
    if catalog.handlers.is_empty() {
        return None;
    }
    let find = |target: Option<&QualifiedName>, media: &MediaType| {
        catalog.handlers.get(&(target.cloned(), media.clone()))
    };
    let handler = target
        .and_then(|target| find(Some(target), &MediaType::Any).or_else(|| find(Some(target), media)))
        .or_else(|| find(None, media))?;
    Some((Body::Custom(handler), handler.media.clone()))
}

fn built_in<'a>(media: &MediaType) -> Option<(Body<'a>, MediaType)> {
    let body = match media {
        MediaType::Any | MediaType::Json => {
            return Some((Body::Json { nulls_stripped: false }, MediaType::Json));
        }
        MediaType::Csv => Body::Csv,
        MediaType::GeoJson => Body::GeoJson,
        _ => return None,
    };
    Some((body, media.clone()))
}

//! From a request tree and the catalogue to a plan in which every name is resolved. Pure.

pub mod call;
pub mod embed;
pub mod mutate;
pub mod negotiate;
pub(crate) mod places;
pub mod read;
pub mod resolve;
pub mod spread;
pub mod tree;
pub(crate) mod weight;

use crate::catalog::{Catalog, Routine};
use crate::config::Config;
use crate::error::Error;
use crate::parse::media::MediaType;
use crate::parse::request::{Action, CallMethod, Request};

pub use call::CallPlan;
pub use mutate::MutatePlan;
pub use negotiate::Body;
pub use tree::ReadNode;

/// What is to be done.
#[derive(Debug)]
pub enum Plan<'a> {
    /// Read a relation.
    Read(Box<ReadPlan<'a>>),
    /// Change a relation, and read what was changed.
    Mutate(Box<MutateReadPlan<'a>>),
    /// Call a function, and read what it returned.
    Call(Box<CallReadPlan<'a>>),
}

/// A read and how it is answered.
#[derive(Debug)]
pub struct ReadPlan<'a> {
    /// What is read.
    pub tree: ReadNode<'a>,
    /// How the body is made.
    pub body: Body<'a>,
    /// What it is called.
    pub media: MediaType,
    /// Whether only headers are wanted.
    pub head: bool,
}

/// A change and how it is answered.
#[derive(Debug)]
pub struct MutateReadPlan<'a> {
    /// What is changed.
    pub change: MutatePlan<'a>,
    /// What is read of the changed rows.
    pub tree: ReadNode<'a>,
    /// How the body is made.
    pub body: Body<'a>,
    /// What it is called.
    pub media: MediaType,
}

/// A call and how it is answered.
#[derive(Debug)]
pub struct CallReadPlan<'a> {
    /// What is called.
    pub call: CallPlan<'a>,
    /// What is read of the result.
    pub tree: ReadNode<'a>,
    /// The function.
    pub routine: &'a Routine,
    /// How the body is made.
    pub body: Body<'a>,
    /// What it is called.
    pub media: MediaType,
    /// How it is called.
    pub method: CallMethod,
}

/// Plans a request on a relation or a function.
pub fn plan<'a>(request: &'a Request, catalog: &'a Catalog, config: &'a Config) -> Result<Plan<'a>, Error> {
    match request.action {
        Action::Call(method) => {
            call_plan(request, catalog, config, method).map(|plan| Plan::Call(Box::new(plan)))
        }
        Action::RoutineInfo => {
            call_plan(request, catalog, config, CallMethod::Get).map(|plan| Plan::Call(Box::new(plan)))
        }
        action if action.mutates() => {
            resolve::table(catalog, &request.schema, &request.resource)?;
            let tree = read::tree(request, catalog, config, &request.schema, &request.resource)?;
            let change = mutate::plan(request, catalog, &tree)?;
            strict(request)?;
            let (body, media) = negotiate::body(request, catalog, config, &request.resource, &tree)?;
            if config.require_where {
                mutate::require_where(&change)?;
            }
            Ok(Plan::Mutate(Box::new(MutateReadPlan { change, tree, body, media })))
        }
        action => {
            resolve::table(catalog, &request.schema, &request.resource)?;
            let tree = read::tree(request, catalog, config, &request.schema, &request.resource)?;
            let (body, media) = negotiate::body(request, catalog, config, &request.resource, &tree)?;
            strict(request)?;
            Ok(Plan::Read(Box::new(ReadPlan {
                tree,
                body,
                media,
                head: action == Action::Read { head: true },
            })))
        }
    }
}

fn call_plan<'a>(
    request: &'a Request,
    catalog: &'a Catalog,
    config: &'a Config,
    method: CallMethod,
) -> Result<CallReadPlan<'a>, Error> {
    let routine = call::find(request, catalog, method)?;
    let relation = routine.relation().unwrap_or(&routine.name.name);
    let tree = read::tree(request, catalog, config, &routine.name.schema, relation)?;
    let call = call::plan(request, routine, method, &tree);
    let (body, media) = negotiate::body(request, catalog, config, relation, &tree)?;
    strict(request)?;
    if request.prefer.enforced_max_affected().is_some() && !routine.returns.set {
        return Err(Error::MaxAffectedSingle);
    }
    Ok(CallReadPlan { call, tree, routine, body, media, method })
}

fn strict(request: &Request) -> Result<(), Error> {
    if request.prefer.strict() && !request.prefer.invalid.is_empty() {
        return Err(Error::InvalidPreferences(request.prefer.invalid.clone()));
    }
    Ok(())
}

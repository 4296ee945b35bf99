//! Which function is meant, and with which arguments.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use crate::catalog::{Catalog, Parameter, Routine};
use crate::error::Error;
use crate::fuzzy;
use crate::parse::body::Payload;
use crate::parse::media::MediaType;
use crate::parse::request::{CallMethod, Request};
use crate::plan::mutate::needed_columns;
use crate::plan::tree::{Logic, ReadNode};

/// A function call.
#[derive(Debug)]
pub struct CallPlan<'a> {
    /// The function.
    pub routine: &'a Routine,
    /// Its arguments.
    pub arguments: Arguments<'a>,
    /// The columns of the result that are read; empty for all.
    pub returning: BTreeSet<&'a str>,
    /// The columns of the result that are only filtered by.
    pub filtered: BTreeSet<&'a str>,
}

/// The arguments of a call.
#[derive(Debug)]
pub enum Arguments<'a> {
    /// None.
    None,
    /// Values by name, as text.
    Named(Vec<(&'a Parameter, Value<'a>)>),
    /// Keys of a JSON object.
    Json {
        /// The object, or an array whose first member it is.
        body: &'a [u8],
        /// The parameters it has keys for.
        parameters: Vec<&'a Parameter>,
    },
    /// The whole body, as the one parameter.
    Single {
        /// The body.
        body: &'a [u8],
        /// The parameter.
        parameter: &'a Parameter,
    },
}

/// One argument.
#[derive(Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A value.
    One(&'a str),
    /// The values of a variadic parameter.
    Many(Vec<&'a str>),
}

/// The arguments that were given.
#[derive(Clone, Copy)]
enum Given<'a> {
    Keys(&'a BTreeSet<String>),
    Pairs(&'a [(String, String)]),
}

impl<'a> Given<'a> {
    fn of(request: &'a Request, method: CallMethod) -> Self {
        match method {
            CallMethod::Post => Self::Keys(&request.columns),
            CallMethod::Get | CallMethod::Head => Self::Pairs(&request.query.arguments),
        }
    }

    fn is_empty(self) -> bool {
        match self {
            Self::Keys(keys) => keys.is_empty(),
            Self::Pairs(pairs) => pairs.is_empty(),
        }
    }

    fn has(self, name: &str) -> bool {
        match self {
            Self::Keys(keys) => keys.contains(name),
            Self::Pairs(pairs) => pairs.iter().any(|(given, _)| given == name),
        }
    }

    /// Whether `known` knows every name.
    fn all(self, known: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Keys(keys) => keys.iter().all(|name| known(name)),
            Self::Pairs(pairs) => pairs.iter().all(|(name, _)| known(name)),
        }
    }

    /// The names in order, each once.
    fn names(self) -> BTreeSet<&'a str> {
        match self {
            Self::Keys(keys) => keys.iter().map(String::as_str).collect(),
            Self::Pairs(pairs) => pairs.iter().map(|(name, _)| name.as_str()).collect(),
        }
    }
}

/// Finds the overload that takes exactly the given arguments, or else the one that takes the whole body.
pub(crate) fn find<'a>(
    request: &Request,
    catalog: &'a Catalog,
    method: CallMethod,
) -> Result<&'a Routine, Error> {
    let given = Given::of(request, method);
    let post = method == CallMethod::Post;
    let overloads = catalog.routines(&request.schema, &request.resource);
    let raw_body =
        post && matches!(request.content_type, MediaType::Plain | MediaType::Xml | MediaType::Octets);
    let matching: SmallVec<[&Routine; 4]> = overloads
        .iter()
        .map(|routine| &**routine)
        .filter(|routine| takes(routine, given, raw_body))
        .collect();
    match matching.as_slice() {
        [only] => return Ok(only),
        [] => {}
        several => return Err(Error::AmbiguousFunction(candidates(several))),
    }
    let fallback: Vec<&Routine> = overloads
        .iter()
        .map(|routine| &**routine)
        .filter(|routine| post && takes_body(routine, &request.content_type))
        .collect();
    match fallback.as_slice() {
        [only] => Ok(only),
        [] => Err(not_found(request, catalog, &given.names(), post, overloads)),
        several => Err(Error::AmbiguousFunction(candidates(several))),
    }
}

fn takes(routine: &Routine, given: Given<'_>, raw_body: bool) -> bool {
    if routine.parameters.is_empty() {
        return given.is_empty() && !raw_body;
    }
    let all_named = given.all(|name| routine.parameters.iter().any(|parameter| parameter.name == *name));
    all_named && routine.parameters.iter().filter(|p| p.required).all(|p| given.has(&p.name))
}

/// Whether the one parameter of a function, which has no name, takes bodies of this type.
fn takes_body(routine: &Routine, content_type: &MediaType) -> bool {
    let [parameter] = routine.parameters.as_slice() else { return false };
    let fits = match content_type {
        MediaType::Json => matches!(parameter.data_type.as_str(), "json" | "jsonb"),
        MediaType::Plain => parameter.data_type == "text",
        MediaType::Xml => parameter.data_type == "xml",
        MediaType::Octets => parameter.data_type == "bytea",
        _ => false,
    };
    fits && parameter.name.is_empty()
}

fn candidates(routines: &[&Routine]) -> String {
    let signature = |routine: &&Routine| {
        let parameters: Vec<String> =
            routine.parameters.iter().map(|p| format!("{} => {}", p.name, p.data_type)).collect();
        format!("{}.{}({})", routine.name.schema, routine.name.name, parameters.join(", "))
    };
    routines.iter().map(signature).collect::<Vec<_>>().join(", ")
}

fn not_found(
    request: &Request,
    catalog: &Catalog,
    names: &BTreeSet<&str>,
    post: bool,
    overloads: &[std::sync::Arc<Routine>],
) -> Error {
    let (schema, name) = (&request.schema, &request.resource);
    let list = names.iter().copied().collect::<Vec<_>>().join(", ");
    let single = match request.content_type {
        MediaType::Plain if post => Some("text"),
        MediaType::Xml if post => Some("xml"),
        MediaType::Octets if post => Some("bytea"),
        _ => None,
    };
    let shown = match (single, names.is_empty()) {
        (Some(_), _) => String::new(),
        (None, true) => " without parameters".to_owned(),
        (None, false) => format!("({list})"),
    };
    let mut searched = match (single, names.len()) {
        (Some(data_type), _) => format!(" with a single unnamed {data_type} parameter"),
        (None, 0) => " without parameters".to_owned(),
        (None, 1) => format!(" with parameter {list}"),
        (None, _) => format!(" with parameters {list}"),
    };
    if post && request.content_type == MediaType::Json {
        searched.push_str(" or with a single unnamed json/jsonb parameter");
    }
    let suggestion = if single.is_some() {
        None
    } else if overloads.is_empty() {
        let all = catalog.schema(schema).into_iter().flat_map(|schema| schema.routines.keys());
        fuzzy::best(all.map(|name| &**name), name).map(str::to_owned)
    } else {
        let signatures: Vec<String> = overloads
            .iter()
            .map(|routine| {
                let mut names: Vec<&str> = routine.parameters.iter().map(|p| p.name.as_str()).collect();
                names.sort_unstable();
                format!("({})", names.join(", "))
            })
            .collect();
        fuzzy::best_listed(signatures.iter().map(String::as_str), &format!("({list})"))
            .map(|signature| format!("{name}{signature}"))
    };
    Error::NoFunction {
        message: format!("Could not find the function {schema}.{name}{shown} in the schema cache"),
        details: format!(
            "Searched for the function {schema}.{name}{searched}, but no matches were found in the schema cache."
        ),
        suggestion: suggestion
            .map(|found| format!("Perhaps you meant to call the function {schema}.{found}")),
    }
}

/// Plans the call of a function.
pub(crate) fn plan<'a>(
    request: &'a Request,
    routine: &'a Routine,
    method: CallMethod,
    tree: &ReadNode<'a>,
) -> CallPlan<'a> {
    let names = Given::of(request, method);
    let given = || routine.parameters.iter().filter(|parameter| names.has(&parameter.name));
    let arguments = match (&request.payload, routine.parameters.as_slice()) {
        (Some(Payload::Json { raw, .. } | Payload::RawJson(raw) | Payload::Raw(raw)), [only])
            if only.name.is_empty() =>
        {
            Arguments::Single { body: raw, parameter: only }
        }
        (Some(Payload::Json { raw, .. } | Payload::RawJson(raw) | Payload::Raw(raw)), _) => {
            let parameters: Vec<&Parameter> = given().collect();
            if parameters.is_empty() { Arguments::None } else { Arguments::Json { body: raw, parameters } }
        }
        (Some(Payload::Form(pairs)), _) => named(given(), pairs),
        (None, _) => named(given(), &request.query.arguments),
    };
    let mut filtered = BTreeSet::new();
    collect_filtered(tree, &mut filtered);
    CallPlan { routine, arguments, returning: needed_columns(tree, &[]), filtered }
}

fn named<'a>(
    parameters: impl Iterator<Item = &'a Parameter>,
    pairs: &'a [(String, String)],
) -> Arguments<'a> {
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in pairs {
        values.entry(name).or_default().push(value);
    }
    let named: Vec<(&Parameter, Value<'a>)> = parameters
        .filter_map(|parameter| {
            let given = values.remove(parameter.name.as_str())?;
            // Of repeated values the last counts, unless there may be any number.
            let value =
                if parameter.variadic { Value::Many(given) } else { Value::One(given.last().copied()?) };
            Some((parameter, value))
        })
        .collect();
    if named.is_empty() { Arguments::None } else { Arguments::Named(named) }
}

fn collect_filtered<'a>(node: &ReadNode<'a>, names: &mut BTreeSet<&'a str>) {
    fn visit<'a>(logic: &Logic<'a>, names: &mut BTreeSet<&'a str>) {
        match logic {
            Logic::Group { members, .. } => members.iter().for_each(|member| visit(member, names)),
            Logic::Filter { column, .. } => {
                if let std::borrow::Cow::Borrowed(name) = &column.name {
                    names.insert(name);
                }
            }
            Logic::Embedded { .. } => {}
        }
    }
    // Only the root reads the function's columns.
    node.conditions.iter().for_each(|logic| visit(logic, names));
}

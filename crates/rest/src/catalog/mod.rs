//! What the database offers: relations, relationships, functions, media handlers. Loaded by a handful of queries, never
//! changed afterwards; a reload makes a new one and swaps it in.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

mod derive;
mod dump;
pub mod load;
pub mod relationships;
pub mod routines;
mod rows;
pub mod settings;
pub mod tables;
pub mod view_keys;

pub(crate) use dump::json;
pub use relationships::{Cardinality, Junction, Link, Related, Relationship};
pub use routines::{Parameter, ReturnType, Routine, Volatility};
pub use tables::{Column, Table};

use crate::parse::media::MediaType;

/// A name in a schema. An empty schema means: as the search path finds it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QualifiedName {
    /// The schema.
    pub schema: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl QualifiedName {
    /// A name in a schema.
    pub fn new(schema: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.schema.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}.{}", self.schema, self.name)
        }
    }
}

/// One exposed schema.
#[derive(Debug, Default)]
pub struct Schema {
    /// Relations by name.
    pub tables: HashMap<Arc<str>, Table>,
    /// Functions by name; overloads ordered by their number of parameters.
    pub routines: HashMap<Arc<str>, Vec<Arc<Routine>>>,
    /// Relationships to relations of this schema, by the relation they start from.
    pub relationships: HashMap<Arc<str>, Related>,
}

/// A handler of a media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handler {
    /// The aggregate, or the domain that a function returns.
    pub function: QualifiedName,
    /// The relation it is for; `None` for any.
    pub target: Option<QualifiedName>,
    /// What is sent as content type.
    pub media: MediaType,
}

/// Everything known about the database.
#[derive(Debug, Default)]
pub struct Catalog {
    /// The exposed schemas.
    pub schemas: HashMap<Arc<str>, Schema>,
    /// Functions that turn one type into another on the way in or out, by source and target type.
    pub representations: HashMap<Arc<str>, HashMap<Arc<str>, Arc<str>>>,
    /// Media handlers by target (`None` for any relation) and media type.
    pub handlers: HashMap<(Option<QualifiedName>, MediaType), Handler>,
    /// The names of time zones.
    pub timezones: Arc<HashSet<Box<str>>>,
    /// When the database server was started, as it says: what only changes with the server is kept until then.
    pub server: Box<str>,
}

impl Catalog {
    /// Whether a column has another type in a later catalogue, or is gone. Statements that were prepared before remember the
    /// types of their parameters, so they would not take the values of the new one.
    pub(crate) fn is_retyped_in(&self, later: &Self) -> bool {
        self.schemas.iter().any(|(name, schema)| {
            let later = later.schema(name);
            schema.tables.values().any(|table| {
                let Some(other) = later.and_then(|schema| schema.tables.get(&table.name.name)) else {
                    return true;
                };
                table.columns().iter().any(|column| {
                    other.column(&column.name).is_none_or(|other| other.nominal_type != column.nominal_type)
                })
            })
        })
    }

    /// An exposed schema.
    pub fn schema(&self, name: &str) -> Option<&Schema> {
        self.schemas.get(name)
    }

    /// A relation.
    pub fn table(&self, schema: &str, name: &str) -> Option<&Table> {
        self.schemas.get(schema)?.tables.get(name)
    }

    /// The overloads of a function.
    pub fn routines(&self, schema: &str, name: &str) -> &[Arc<Routine>] {
        self.schemas.get(schema).and_then(|schema| schema.routines.get(name)).map_or(&[], Vec::as_slice)
    }

    /// The relationships of a relation within its schema.
    pub fn relationships(&self, schema: &str, name: &str) -> Option<&Related> {
        self.schemas.get(schema)?.relationships.get(name)
    }

    /// The function that turns a value of one type into another.
    pub fn representation(&self, source: &str, target: &str) -> Option<&str> {
        self.representations.get(source)?.get(target).map(|function| &**function)
    }

    /// How many relations, relationships and functions there are.
    pub fn summary(&self) -> String {
        let count = |of: fn(&Schema) -> usize| self.schemas.values().map(of).sum::<usize>();
        format!(
            "{} Relations, {} Relationships, {} Functions, {} Domain Representations, {} Media Type Handlers, {} \
             Timezones",
            count(|schema| schema.tables.len()),
            count(|schema| schema.relationships.values().map(|related| related.all().len()).sum()),
            count(|schema| schema.routines.values().map(Vec::len).sum()),
            self.representations.values().map(HashMap::len).sum::<usize>(),
            self.handlers.len(),
            self.timezones.len(),
        )
    }
}

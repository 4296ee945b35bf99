//! Functions.

use std::cmp::Ordering;

use database::Isolation;

use super::QualifiedName;

/// What a function may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volatility {
    /// It may write.
    Volatile,
    /// It reads.
    Stable,
    /// It computes.
    Immutable,
}

/// An input parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name; empty if it has none.
    pub name: String,
    /// Its type.
    pub data_type: String,
    /// Its type, widened where the plain name would cut values off.
    pub wide_type: String,
    /// Whether it has no default.
    pub required: bool,
    /// Whether it takes any number of values.
    pub variadic: bool,
}

/// What a function returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnType {
    /// The type; of a relation's row type, the relation.
    pub name: QualifiedName,
    /// Whether it returns a set.
    pub set: bool,
    /// Whether it returns rows, rather than values.
    pub composite: bool,
}

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routine {
    /// Its name.
    pub name: QualifiedName,
    /// Its comment.
    pub description: Option<Box<str>>,
    /// Its input parameters.
    pub parameters: Vec<Parameter>,
    /// What it returns.
    pub returns: ReturnType,
    /// What it may do.
    pub volatility: Volatility,
    /// Whether its last parameter is variadic.
    pub variadic: bool,
    /// The isolation it wants.
    pub isolation: Option<Isolation>,
    /// Its settings that are applied before the call.
    pub settings: Vec<(String, String)>,
}

impl Routine {
    /// Whether it returns one value.
    pub fn returns_scalar(&self) -> bool {
        !self.returns.set && !self.returns.composite
    }

    /// Whether it returns values.
    pub fn returns_set_of_scalar(&self) -> bool {
        self.returns.set && !self.returns.composite
    }

    /// Whether it returns one row.
    pub fn returns_single_row(&self) -> bool {
        !self.returns.set && self.returns.composite
    }

    /// Whether it returns nothing.
    pub fn returns_void(&self) -> bool {
        self.returns_scalar()
            && &*self.returns.name.schema == "pg_catalog"
            && &*self.returns.name.name == "void"
    }

    /// The relation whose rows it returns.
    pub fn relation(&self) -> Option<&str> {
        self.returns.composite.then_some(&*self.returns.name.name)
    }

    /// The order among overloads: fewer parameters first.
    pub fn order(&self, other: &Self) -> Ordering {
        let key = |routine: &Self| -> Vec<(String, String)> {
            routine.parameters.iter().map(|p| (p.name.clone(), p.data_type.clone())).collect()
        };
        self.parameters
            .len()
            .cmp(&other.parameters.len())
            .then_with(|| self.description.cmp(&other.description))
            .then_with(|| key(self).cmp(&key(other)))
    }
}

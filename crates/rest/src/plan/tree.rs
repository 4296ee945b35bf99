//! The read plan: one node a relation, with its columns, conditions, joins and embeds.

use std::borrow::Cow;

use crate::catalog::Relationship;
use crate::parse::ast::{Aggregate, Condition, Direction, Join, JsonStep, LogicOperator, Nulls};
use crate::parse::range::RowRange;

/// A relation as it is named in SQL: with a schema, or as an alias without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// The schema; empty for an alias or the statement's common table.
    pub schema: &'a str,
    /// The name.
    pub name: Cow<'a, str>,
}

impl<'a> Source<'a> {
    /// A relation in a schema.
    pub fn table(schema: &'a str, name: &'a str) -> Self {
        Self { schema, name: Cow::Borrowed(name) }
    }

    /// An alias.
    pub fn alias(name: impl Into<Cow<'a, str>>) -> Self {
        Self { schema: "", name: name.into() }
    }
}

/// A column with what is known of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column<'a> {
    /// Its name; `*` for all.
    pub name: Cow<'a, str>,
    /// Where in its JSON.
    pub path: &'a [JsonStep],
    /// Whether it must be turned into JSON before the path applies.
    pub to_json: bool,
    /// Whether it must be turned into a text search vector, and in which language.
    pub text_search: Option<Option<&'a str>>,
    /// The type that values have on their way; empty if unknown.
    pub value_type: &'a str,
    /// Its type below any domain; empty if unknown.
    pub base_type: &'a str,
    /// The function that converts values.
    pub transform: Option<&'a str>,
    /// The expression of its default.
    pub default: Option<&'a str>,
    /// Whether it stands for the whole row.
    pub full_row: bool,
}

impl<'a> Column<'a> {
    /// A column of which nothing is known.
    pub fn unknown(name: impl Into<Cow<'a, str>>, path: &'a [JsonStep]) -> Self {
        Self {
            name: name.into(),
            path,
            to_json: false,
            text_search: None,
            value_type: "",
            base_type: "",
            transform: None,
            default: None,
            full_row: false,
        }
    }

    /// Whether it is `*`.
    pub fn is_star(&self) -> bool {
        self.name == "*" && self.path.is_empty()
    }
}

/// A column in the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected<'a> {
    /// The column.
    pub column: Column<'a>,
    /// The function over the group.
    pub aggregate: Option<Aggregate>,
    /// The type of its result.
    pub aggregate_cast: Option<&'a str>,
    /// The type of the column.
    pub cast: Option<&'a str>,
    /// Its name in the output.
    pub alias: Option<Cow<'a, str>>,
}

impl<'a> Selected<'a> {
    /// A column as it is.
    pub fn plain(column: Column<'a>) -> Self {
        Self { column, aggregate: None, aggregate_cast: None, cast: None, alias: None }
    }
}

/// A condition of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logic<'a> {
    /// A group.
    Group {
        /// Whether it is negated.
        negated: bool,
        /// How its members are joined.
        operator: LogicOperator,
        /// Its members.
        members: Vec<Logic<'a>>,
    },
    /// A comparison.
    Filter {
        /// The left side.
        column: Column<'a>,
        /// The rest.
        condition: &'a Condition,
    },
    /// Whether an embed has rows.
    Embedded {
        /// Whether it must have.
        exists: bool,
        /// The embed's alias.
        alias: String,
    },
}

/// A term of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order<'a> {
    /// The embed the column belongs to; of the node itself if absent.
    pub relation: Option<Cow<'a, str>>,
    /// The column.
    pub column: Column<'a>,
    /// The direction.
    pub direction: Option<Direction>,
    /// Where nulls go.
    pub nulls: Option<Nulls>,
}

/// Equality of two columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinCondition<'a> {
    /// One side.
    pub left: (Source<'a>, &'a str),
    /// The other side.
    pub right: (Source<'a>, &'a str),
}

/// How an embed appears among the columns of its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<'a> {
    /// One JSON value.
    Json {
        /// Its name.
        name: &'a str,
        /// The embed's alias.
        alias: String,
        /// Whether it is an object rather than an array.
        object: bool,
        /// Whether nothing was selected of it, so that it does not appear.
        hidden: bool,
    },
    /// Its columns become the parent's.
    Spread {
        /// The columns.
        columns: Vec<SpreadColumn<'a>>,
        /// The embed's alias.
        alias: String,
    },
}

impl Output<'_> {
    /// The embed's alias.
    pub fn alias(&self) -> &str {
        match self {
            Self::Json { alias, .. } | Self::Spread { alias, .. } => alias,
        }
    }
}

/// A column that an embed gives to its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpreadColumn<'a> {
    /// Its name in the embed.
    pub name: Cow<'a, str>,
    /// The function over the parent's group.
    pub aggregate: Option<Aggregate>,
    /// The type of its result.
    pub aggregate_cast: Option<&'a str>,
    /// Its name in the parent.
    pub alias: Option<Cow<'a, str>>,
}

/// How an embed is spread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spread<'a> {
    /// One row: its columns as they are.
    ToOne,
    /// Many rows: each column an array.
    ToMany {
        /// Columns that are selected only to order by, with the embed they come from.
        extra: Vec<(Option<Cow<'a, str>>, Selected<'a>)>,
        /// The order of the arrays.
        order: Vec<Order<'a>>,
    },
}

/// A relation that is read.
#[derive(Clone, Debug)]
pub struct ReadNode<'a> {
    /// What is selected.
    pub select: Vec<Selected<'a>>,
    /// From where.
    pub from: Source<'a>,
    /// Its alias.
    pub from_alias: Option<Cow<'a, str>>,
    /// The schema and name in which its columns are looked up.
    pub relation: (&'a str, Cow<'a, str>),
    /// The conditions, all of which must hold.
    pub conditions: Vec<Logic<'a>>,
    /// The order.
    pub order: Vec<Order<'a>>,
    /// The rows wanted.
    pub range: RowRange,
    /// The word that named it.
    pub name: &'a str,
    /// The name it was given.
    pub alias: Option<&'a str>,
    /// What tells relationships apart.
    pub hint: Option<&'a str>,
    /// How it is joined.
    pub join: Option<Join>,
    /// The relationship with its parent; none at the root.
    pub relationship: Option<&'a Relationship>,
    /// The alias of the parent that a computed relationship is called with.
    pub parent_alias: Option<Cow<'a, str>>,
    /// How it is joined to its parent.
    pub join_conditions: Vec<JoinCondition<'a>>,
    /// The alias of its aggregated rows.
    pub aggregate_alias: String,
    /// Whether and how it is spread into its parent.
    pub spread: Option<Spread<'a>>,
    /// How its embeds appear.
    pub outputs: Vec<Output<'a>>,
    /// How far from the root.
    pub depth: usize,
    /// Its embeds.
    pub children: Vec<ReadNode<'a>>,
}

impl<'a> ReadNode<'a> {
    /// A node of which only the name is known.
    pub fn new(schema: &'a str, name: &'a str, depth: usize) -> Self {
        Self {
            select: Vec::new(),
            from: Source::table(schema, name),
            from_alias: None,
            relation: (schema, Cow::Borrowed(name)),
            conditions: Vec::new(),
            order: Vec::new(),
            range: RowRange::ALL,
            name,
            alias: None,
            hint: None,
            join: None,
            relationship: None,
            parent_alias: None,
            join_conditions: Vec::new(),
            aggregate_alias: String::new(),
            spread: None,
            outputs: Vec::new(),
            depth,
            children: Vec::new(),
        }
    }

    /// The name it has in the output.
    pub fn output_name(&self) -> &'a str {
        self.alias.unwrap_or(self.name)
    }

    /// Whether `*` alone is selected, without embeds.
    pub fn is_default_select(&self) -> bool {
        self.children.is_empty() && matches!(self.select.as_slice(), [only] if only.column.name == "*")
    }
}

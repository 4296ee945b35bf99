//! What a query string says, as values. Nothing here knows the database.

/// The embeds to walk from the root to a node, by alias or name.
pub type Path = Vec<String>;

/// A column, or a place inside a JSON column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// The column.
    pub name: String,
    /// The steps into its JSON value; empty for the column itself.
    pub path: Vec<JsonStep>,
}

/// One `->` or `->>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonStep {
    /// `->`: the value as JSON.
    Json(JsonKey),
    /// `->>`: the value as text.
    Text(JsonKey),
}

impl JsonStep {
    /// Where the step goes.
    pub fn key(&self) -> &JsonKey {
        match self {
            Self::Json(key) | Self::Text(key) => key,
        }
    }
}

/// Where a JSON step goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonKey {
    /// A key of an object.
    Name(String),
    /// An index of an array, with its sign: `+3`, `-1`.
    Index(String),
}

/// `sum()` and its kin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// `sum()`
    Sum,
    /// `avg()`
    Avg,
    /// `count()`
    Count,
    /// `max()`
    Max,
    /// `min()`
    Min,
}

impl Aggregate {
    /// The SQL function.
    pub fn function(self) -> &'static str {
        match self {
            Self::Sum => "SUM",
            Self::Avg => "AVG",
            Self::Count => "COUNT",
            Self::Max => "MAX",
            Self::Min => "MIN",
        }
    }

    /// What PostgreSQL calls the resulting column.
    pub fn column(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Max => "max",
            Self::Min => "min",
        }
    }
}

/// How an embed is joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// `!left`: parents without children stay.
    Left,
    /// `!inner`: parents without children go.
    Inner,
}

/// One item of `select`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectItem {
    /// A column.
    Field(SelectField),
    /// A related table.
    Embed(SelectEmbed),
}

/// `alias:field::cast.aggregate()::cast`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelectField {
    /// The column; `*` for all of them.
    pub field: Field,
    /// The function over the group.
    pub aggregate: Option<Aggregate>,
    /// The type of the aggregate's result.
    pub aggregate_cast: Option<String>,
    /// The type of the column.
    pub cast: Option<String>,
    /// The name in the output.
    pub alias: Option<String>,
}

/// `alias:relation!hint!inner(…)` or `...relation(…)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectEmbed {
    /// The word that names the relationship: a table, a constraint, a column or a function.
    pub relation: String,
    /// The name in the output.
    pub alias: Option<String>,
    /// What tells two relationships apart.
    pub hint: Option<String>,
    /// How it is joined; left when absent.
    pub join: Option<Join>,
    /// Whether its columns become columns of the parent.
    pub spread: bool,
    /// What is selected of it.
    pub select: Vec<SelectItem>,
}

/// Operators that take one value and no quantifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimpleOperator {
    /// `neq`
    NotEqual,
    /// `cs`
    Contains,
    /// `cd`
    Contained,
    /// `ov`
    Overlap,
    /// `sl`
    StrictlyLeft,
    /// `sr`
    StrictlyRight,
    /// `nxr`
    NotExtendsRight,
    /// `nxl`
    NotExtendsLeft,
    /// `adj`
    Adjacent,
}

/// Operators that may be followed by `(any)` or `(all)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantOperator {
    /// `eq`
    Equal,
    /// `gte`
    GreaterEqual,
    /// `gt`
    Greater,
    /// `lte`
    LessEqual,
    /// `lt`
    Less,
    /// `like`
    Like,
    /// `ilike`
    ILike,
    /// `match`
    Match,
    /// `imatch`
    IMatch,
}

/// `(any)` or `(all)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// One element of the array is enough.
    Any,
    /// Every element must match.
    All,
}

/// What `is` can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsValue {
    /// `is.null`
    Null,
    /// `is.not_null`
    NotNull,
    /// `is.true`
    True,
    /// `is.false`
    False,
    /// `is.unknown`
    Unknown,
}

/// How the words of a full text search are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FullText {
    /// `fts`
    Query,
    /// `plfts`
    Plain,
    /// `phfts`
    Phrase,
    /// `wfts`
    Websearch,
}

/// A comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// An operator and its value.
    Simple(SimpleOperator, String),
    /// An operator, its quantifier and its value.
    Quant(QuantOperator, Option<Quantifier>, String),
    /// Membership.
    In(Vec<String>),
    /// `is`.
    Is(IsValue),
    /// `isdistinct`.
    IsDistinct(String),
    /// Full text search: kind, language, words.
    FullText(FullText, Option<String>, String),
}

/// A comparison or its negation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `not.`
    pub negated: bool,
    /// The comparison.
    pub operation: Operation,
}

/// A field and what must hold of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The left side.
    pub field: Field,
    /// The operator and right side.
    pub condition: Condition,
}

/// How the members of a group are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogicOperator {
    /// All must hold.
    And,
    /// One must hold.
    Or,
}

/// `and(…)`, `or(…)` and the filters in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logic {
    /// A group.
    Group {
        /// `not.`
        negated: bool,
        /// How its members are joined.
        operator: LogicOperator,
        /// Its members, at least one.
        members: Vec<Logic>,
    },
    /// A single filter.
    Filter(Filter),
}

/// `asc` or `desc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Ascending.
    Asc,
    /// Descending.
    Desc,
}

/// Where nulls go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nulls {
    /// Before everything.
    First,
    /// After everything.
    Last,
}

/// One term of `order`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderTerm {
    /// The embed whose column it is, for an order by a related table.
    pub relation: Option<String>,
    /// The column.
    pub field: Field,
    /// The direction; PostgreSQL's default when absent.
    pub direction: Option<Direction>,
    /// Where nulls go; PostgreSQL's default when absent.
    pub nulls: Option<Nulls>,
}

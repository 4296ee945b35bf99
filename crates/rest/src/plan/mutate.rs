//! What is to be changed.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, Link, Table};
use crate::error::Error;
use crate::parse::ast::{Operation, QuantOperator};
use crate::parse::body::Payload;
use crate::parse::prefer::{Missing, Resolution, Return};
use crate::parse::request::{Action, Request};
use crate::plan::resolve::{self, Columns};
use crate::plan::tree::{Column, Logic, ReadNode, Source};

/// A change of a relation.
#[derive(Debug)]
pub enum MutatePlan<'a> {
    /// New rows.
    Insert(Insert<'a>),
    /// Changed rows.
    Update(Update<'a>),
    /// Removed rows.
    Delete(Delete<'a>),
}

/// New rows, which may meet old ones.
#[derive(Debug)]
pub struct Insert<'a> {
    /// The relation.
    pub table: Source<'a>,
    /// The columns, sorted.
    pub columns: Vec<Column<'a>>,
    /// The rows, as JSON.
    pub body: &'a [u8],
    /// What happens to rows that are there.
    pub on_conflict: Option<(Resolution, Vec<&'a str>)>,
    /// What must hold of the rows of the body.
    pub conditions: Vec<Logic<'a>>,
    /// The columns that come back.
    pub returning: Vec<&'a str>,
    /// The primary key.
    pub primary_key: Vec<&'a str>,
    /// Whether absent keys mean the column's default.
    pub defaults: bool,
    /// PUT: exactly one row.
    pub put: bool,
}

/// Changed rows.
#[derive(Debug)]
pub struct Update<'a> {
    /// The relation.
    pub table: Source<'a>,
    /// The columns, sorted.
    pub columns: Vec<Column<'a>>,
    /// The values, as JSON.
    pub body: &'a [u8],
    /// Which rows.
    pub conditions: Vec<Logic<'a>>,
    /// The columns that come back.
    pub returning: Vec<&'a str>,
    /// Whether absent keys mean the column's default.
    pub defaults: bool,
}

/// Removed rows.
#[derive(Debug)]
pub struct Delete<'a> {
    /// The relation.
    pub table: Source<'a>,
    /// Which rows.
    pub conditions: Vec<Logic<'a>>,
    /// The columns that come back.
    pub returning: Vec<&'a str>,
}

impl MutatePlan<'_> {
    /// Whether the number of new rows is counted apart.
    pub fn counts_inserted(&self) -> bool {
        matches!(
            self,
            Self::Insert(insert)
                if insert.put || matches!(insert.on_conflict, Some((Resolution::MergeDuplicates, _)))
        )
    }
}

/// Plans the change that a request asks for.
pub(crate) fn plan<'a>(
    request: &'a Request,
    catalog: &'a Catalog,
    tree: &ReadNode<'a>,
) -> Result<MutatePlan<'a>, Error> {
    let table = resolve::table(catalog, &request.schema, &request.resource)?;
    let source = Source::table(&table.name.schema, &table.name.name);
    let resolver = Columns { catalog, table: Some(table) };
    let primary_key: Vec<&str> = table.primary_key.iter().map(|name| &**name).collect();
    let returning = match request.prefer.representation {
        None | Some(Return::Minimal) => Vec::new(),
        Some(_) => needed_columns(tree, &primary_key).into_iter().collect(),
    };
    let conditions: Vec<Logic<'a>> = request
        .query
        .root_filters()
        .map(|filter| resolver.condition(filter))
        .chain(request.query.logic.iter().filter(|(path, _)| path.is_empty()).map(|(_, l)| resolver.logic(l)))
        .collect();
    let body = match &request.payload {
        Some(Payload::Json { raw, .. } | Payload::RawJson(raw) | Payload::Raw(raw)) => &raw[..],
        _ => &[],
    };
    let defaults = request.prefer.missing == Some(Missing::Default);
    let columns = || -> Result<Vec<Column<'a>>, Error> {
        request.columns.iter().map(|name| body_column(catalog, table, name)).collect()
    };
    match request.action {
        Action::Create => {
            let target: Vec<&str> = match &request.query.on_conflict {
                Some(names) => names.iter().map(String::as_str).collect(),
                None => primary_key.clone(),
            };
            Ok(MutatePlan::Insert(Insert {
                table: source,
                columns: columns()?,
                body,
                on_conflict: request.prefer.resolution.map(|resolution| (resolution, target)),
                conditions: Vec::new(),
                returning,
                primary_key,
                defaults,
                put: false,
            }))
        }
        Action::Update => Ok(MutatePlan::Update(Update {
            table: source,
            columns: columns()?,
            body,
            conditions,
            returning,
            defaults,
        })),
        Action::Put => {
            if !names_one_row(request, &primary_key) {
                return Err(Error::PutFilters);
            }
            Ok(MutatePlan::Insert(Insert {
                table: source,
                columns: columns()?,
                body,
                on_conflict: Some((Resolution::MergeDuplicates, primary_key)),
                conditions,
                returning,
                primary_key: Vec::new(),
                defaults: false,
                put: true,
            }))
        }
        _ => Ok(MutatePlan::Delete(Delete { table: source, conditions, returning })),
    }
}

/// Refuses a change of every row.
pub(crate) fn require_where(plan: &MutatePlan<'_>) -> Result<(), Error> {
    match plan {
        MutatePlan::Update(update) if update.conditions.is_empty() && !update.columns.is_empty() => {
            Err(Error::RequiresWhere("UPDATE"))
        }
        MutatePlan::Delete(delete) if delete.conditions.is_empty() => Err(Error::RequiresWhere("DELETE")),
        _ => Ok(()),
    }
}

/// Whether the filters are `=` on every column of the primary key, and nothing else.
fn names_one_row(request: &Request, primary_key: &[&str]) -> bool {
    let query = &request.query;
    let keys: BTreeSet<&str> = query.filter_keys.iter().map(String::as_str).collect();
    query.logic.is_empty()
        && !primary_key.is_empty()
        && keys == primary_key.iter().copied().collect()
        && query.root_filters().all(|filter| {
            !filter.condition.negated
                && matches!(filter.condition.operation, Operation::Quant(QuantOperator::Equal, None, _))
        })
}

fn body_column<'a>(catalog: &'a Catalog, table: &'a Table, name: &str) -> Result<Column<'a>, Error> {
    let column = table
        .column(name)
        .ok_or_else(|| Error::NoColumn { table: table.name.name.to_string(), column: name.to_owned() })?;
    let mut column = resolve::known(column);
    if let Some(function) = catalog.representation("json", column.value_type) {
        column.transform = Some(function);
        column.value_type = "json";
    }
    Ok(column)
}

/// The columns that a read of changed or returned rows needs: those selected, those that embeds join by, and the key.
pub(crate) fn needed_columns<'a>(tree: &ReadNode<'a>, primary_key: &[&'a str]) -> BTreeSet<&'a str> {
    let mut needed = BTreeSet::new();
    for selected in &tree.select {
        match &selected.column.name {
            std::borrow::Cow::Borrowed(name) => needed.insert(*name),
            // Columns of a root are never made up.
            std::borrow::Cow::Owned(_) => false,
        };
    }
    if needed.contains("*") {
        return BTreeSet::from(["*"]);
    }
    for child in &tree.children {
        match child.relationship.map(|relationship| &relationship.link) {
            Some(Link::Key { columns, .. }) => needed.extend(columns.iter().map(|(here, _)| &**here)),
            Some(Link::Junction(junction)) => {
                needed.extend(junction.source.iter().map(|(there, _)| &**there))
            }
            // A function of the row may need any column.
            Some(Link::Computed { .. }) => return BTreeSet::from(["*"]),
            None => {}
        }
    }
    needed.extend(primary_key);
    needed
}

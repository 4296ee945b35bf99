//! Names of relations and columns against the catalogue.

use crate::catalog::{self, Catalog, Table};
use crate::error::Error;
use crate::fuzzy;
use crate::parse::ast::{self, Field, Operation};
use crate::plan::tree::{Column, Logic};

/// The relation, or the error that says there is none.
pub(crate) fn table<'a>(catalog: &'a Catalog, schema: &str, name: &str) -> Result<&'a Table, Error> {
    catalog.table(schema, name).ok_or_else(|| {
        let names = catalog.schema(schema).into_iter().flat_map(|schema| schema.tables.keys());
        Error::NoTable {
            schema: schema.to_owned(),
            table: name.to_owned(),
            suggestion: fuzzy::best(names.map(|name| &**name), name)
                .map(|found| format!("Perhaps you meant the table '{schema}.{found}'")),
        }
    })
}

/// A column that the catalogue knows.
pub(crate) fn known<'a>(column: &'a catalog::Column) -> Column<'a> {
    Column {
        value_type: &column.nominal_type,
        base_type: &column.data_type,
        default: column.default.as_deref(),
        ..Column::unknown(&*column.name, &[])
    }
}

/// The relation whose columns are meant, if the catalogue has it.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) table: Option<&'a Table>,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(catalog: &'a Catalog, schema: &str, name: &str) -> Self {
        Self { catalog, table: catalog.table(schema, name) }
    }

    fn field(self, field: &'a Field) -> Column<'a> {
        let mut column = match self.table.and_then(|table| table.column(&field.name)) {
            Some(column) => known(column),
            None => Column::unknown(field.name.as_str(), &[]),
        };
        column.path = &field.path;
        // JSON columns need no conversion, and converting them would keep indexes from being used.
        column.to_json = !matches!(column.value_type, "json" | "jsonb");
        column
    }

    /// A column in the output.
    pub(crate) fn output(self, field: &'a Field) -> Column<'a> {
        self.with_output(self.field(field))
    }

    /// Converts a column on its way out, if its type asks for it.
    pub(crate) fn with_output(self, mut column: Column<'a>) -> Column<'a> {
        if let Some(function) = self.catalog.representation(column.value_type, "json") {
            column.transform = Some(function);
        }
        column
    }

    /// A column that rows are ordered by.
    pub(crate) fn order(self, field: &'a Field) -> Column<'a> {
        self.field(field)
    }

    /// A column that a value from the query is compared with.
    fn filter(self, filter: &'a ast::Filter) -> Column<'a> {
        let mut column = self.field(&filter.field);
        // A column that is not known may be a function that returns a vector already.
        if let Operation::FullText(_, language, _) = &filter.condition.operation
            && !matches!(column.base_type, "" | "tsvector")
        {
            column.text_search = Some(language.as_deref());
        }
        if let Some(function) = self.catalog.representation("text", column.value_type) {
            column.transform = Some(function);
            column.value_type = "text";
        }
        column
    }

    /// A condition.
    pub(crate) fn condition(self, filter: &'a ast::Filter) -> Logic<'a> {
        Logic::Filter { column: self.filter(filter), condition: &filter.condition }
    }

    /// A tree of conditions.
    pub(crate) fn logic(self, logic: &'a ast::Logic) -> Logic<'a> {
        match logic {
            ast::Logic::Filter(filter) => self.condition(filter),
            ast::Logic::Group { negated, operator, members } => Logic::Group {
                negated: *negated,
                operator: *operator,
                members: members.iter().map(|member| self.logic(member)).collect(),
            },
        }
    }
}

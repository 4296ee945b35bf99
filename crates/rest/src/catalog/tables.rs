//! Relations and their columns.

use std::sync::Arc;

use super::QualifiedName;

/// A table, view, materialized view, foreign table or partitioned table.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: QualifiedName,
    /// Its comment.
    pub description: Option<Box<str>>,
    /// Whether it is a view of either kind.
    pub is_view: bool,
    /// Whether requests can name it.
    pub offered: bool,
    /// Whether rows can be inserted.
    pub insertable: bool,
    /// Whether rows can be updated.
    pub updatable: bool,
    /// Whether rows can be deleted.
    pub deletable: bool,
    /// The primary key, sorted by name; of a view, the columns that show one.
    pub primary_key: Vec<Arc<str>>,
    /// The columns in their order.
    columns: Vec<Column>,
    /// Positions in `columns`, sorted by name.
    by_name: Vec<u16>,
}

/// A column.
#[derive(Debug)]
pub struct Column {
    /// Its name.
    pub name: Arc<str>,
    /// Its comment.
    pub description: Option<Box<str>>,
    /// Whether it may be null.
    pub nullable: bool,
    /// Its type without modifiers; of a domain over a built-in type, that type.
    pub data_type: Arc<str>,
    /// Its type as declared.
    pub nominal_type: Arc<str>,
    /// How long a text may be.
    pub max_length: Option<i32>,
    /// The expression of its default.
    pub default: Option<Arc<str>>,
    /// The labels of its enum.
    pub labels: Arc<[Box<str>]>,
}

impl Table {
    /// A relation with columns in their order.
    pub fn new(name: QualifiedName, columns: Vec<Column>) -> Self {
        let mut by_name: Vec<u16> = (0..u16::try_from(columns.len()).unwrap_or(u16::MAX)).collect();
        by_name.sort_by(|a, b| columns[usize::from(*a)].name.cmp(&columns[usize::from(*b)].name));
        Self {
            name,
            description: None,
            is_view: false,
            offered: true,
            insertable: false,
            updatable: false,
            deletable: false,
            primary_key: Vec::new(),
            columns,
            by_name,
        }
    }

    /// The columns in their order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// A column.
    pub fn column(&self, name: &str) -> Option<&Column> {
        let position = self
            .by_name
            .binary_search_by(|index| (*self.columns[usize::from(*index)].name).cmp(name))
            .ok()?;
        self.columns.get(usize::from(self.by_name[position]))
    }
}

//! Queries with typed parameters and rows, for services' own tables.
use crate::connection::Connection;
use crate::error::Error;
use crate::result::{Column, Row};
use postgres_types::{FromSql, ToSql, Type};
use std::sync::Arc;

/// A row whose columns can be taken as Rust values.
#[derive(Debug, Clone)]
pub struct TypedRow {
    columns: Arc<[(Column, Type)]>,
    row: Row,
}

/// A column by position or name.
pub trait RowIndex: std::fmt::Display {
    /// Its position among `columns`.
    fn position(&self, columns: &[(Column, Type)]) -> Option<usize>;
}

impl RowIndex for usize {
    fn position(&self, columns: &[(Column, Type)]) -> Option<usize> {
        (*self < columns.len()).then_some(*self)
    }
}

impl RowIndex for &str {
    fn position(&self, columns: &[(Column, Type)]) -> Option<usize> {
        columns.iter().position(|(column, _)| *column.name == **self)
    }
}

impl TypedRow {
    /// The column as a Rust value: `row.get::<i64>("id")?`, `row.get::<Option<String>>(2)?`.
    pub fn get<'a, T: FromSql<'a>>(&'a self, index: impl RowIndex) -> Result<T, Error> {
        let Some(position) = index.position(&self.columns) else {
            return Err(Error::FromSql { column: index.to_string(), source: "no such column".into() });
        };
        let kind = &self.columns[position].1;
        if !T::accepts(kind) {
            let source = format!("{kind} cannot become {}", std::any::type_name::<T>()).into();
            return Err(Error::FromSql { column: index.to_string(), source });
        }
        T::from_sql_nullable(kind, self.row.get(position))
            .map_err(|source| Error::FromSql { column: index.to_string(), source })
    }
    /// The columns with their types.
    pub fn columns(&self) -> &[(Column, Type)] {
        &self.columns
    }
    /// The raw row.
    pub fn raw(&self) -> &Row {
        &self.row
    }
}

impl Connection {
    /// Rows of a query.
    pub async fn query(&mut self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<TypedRow>, Error> {
        let _ = (sql, params);
        todo!()
    }
    /// At most one row of a query; more than one is an error.
    pub async fn query_opt(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<TypedRow>, Error> {
        let mut rows = self.query(sql, params).await?;
        match rows.len() {
            0 | 1 => Ok(rows.pop()),
            got => Err(Error::RowCount { expected: "at most one row", got }),
        }
    }
    /// Exactly one row of a query.
    pub async fn query_one(&mut self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<TypedRow, Error> {
        let mut rows = self.query(sql, params).await?;
        match (rows.len(), rows.pop()) {
            (1, Some(row)) => Ok(row),
            (got, _) => Err(Error::RowCount { expected: "one row", got }),
        }
    }
    /// Runs a statement and returns how many rows it concerned.
    pub async fn execute(&mut self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        let _ = (sql, params);
        todo!()
    }
}

//! Queries with typed parameters and rows, for services' own tables.

use std::sync::Arc;

use postgres_protocol::message::frontend;
use postgres_types::{FromSql, Kind, ToSql, Type};

use crate::batch::{BatchError, Piece, Values, no_columns};
use crate::cache::{Description, Entry, Scope, Slot};
use crate::connection::{Connection, Mode, TransactionStatus};
use crate::decode;
use crate::error::Error;
use crate::result::{Column, ResultSet, Row};
use crate::statement::{Format, Param, Statement};

/// A row whose columns can be taken as Rust values.
#[derive(Debug, Clone)]
pub struct TypedRow {
    columns: Arc<[(Column, Type)]>,
    row: Row,
}

/// A statement with its parameters, one of several that travel together.
#[derive(Clone, Copy)]
pub struct Execution<'a> {
    /// Its text.
    pub sql: &'a str,
    /// Its parameters, in order.
    pub params: &'a [&'a (dyn ToSql + Sync)],
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
    /// Rows of a query. Parameters and columns travel in binary form, with the types that the server infers.
    ///
    /// The first time a connection sees a text costs one more round trip, to learn those types. A parameter of an enum
    /// type takes text when the query says `$1::text::my_enum`.
    pub async fn query(&mut self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<TypedRow>, Error> {
        let (result, described) = self.typed(sql, params).await?;
        let columns = self.typed_columns(&result.columns, &described).await?;
        Ok(result.rows.into_iter().map(|row| TypedRow { columns: columns.clone(), row }).collect())
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
        let (result, _) = self.typed(sql, params).await?;
        Ok(result.tag.rows())
    }

    /// Runs statements in one round trip, in a transaction of their own unless one is open. Their results are not looked
    /// at.
    pub async fn execute_all(&mut self, statements: &[Execution<'_>]) -> Result<(), Error> {
        self.execute_batch(statements, false).await
    }

    pub(crate) async fn execute_batch(
        &mut self,
        statements: &[Execution<'_>],
        commit: bool,
    ) -> Result<(), Error> {
        self.settle().await?;
        let mut described = Vec::with_capacity(statements.len());
        for statement in statements {
            let (found, _) = self.described(statement.sql).await?;
            if found.params.len() != statement.params.len() {
                return Err(Error::ParameterCount {
                    expected: found.params.len(),
                    got: statement.params.len(),
                });
            }
            described.push(found);
        }
        let mut pieces: Vec<Piece<'_>> = statements
            .iter()
            .zip(&described)
            .map(|(statement, described)| {
                Piece::silent(statement.sql, Values::Typed(statement.params, &described.params))
            })
            .collect();
        if commit {
            pieces.push(Piece::silent("commit", Values::Params(&[])));
        }
        if pieces.is_empty() {
            return Ok(());
        }
        let run = self.run_pieces(&pieces).await;
        run.map(drop).map_err(|error| error.into_error(0, statements.len()))
    }

    /// What a statement takes and returns, without running it.
    pub async fn describe(&mut self, sql: &str) -> Result<Arc<Description>, Error> {
        self.settle().await?;
        self.described(sql).await.map(|(described, _)| described)
    }

    async fn typed(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<(ResultSet, Arc<Description>), Error> {
        self.settle().await?;
        let may_repeat = self.status == TransactionStatus::Idle;
        let mut repeated = false;
        loop {
            let (described, known) = self.described(sql).await?;
            if described.params.len() != params.len() {
                return Err(Error::ParameterCount { expected: described.params.len(), got: params.len() });
            }
            let piece = Piece {
                sql,
                values: Values::Typed(params, &described.params),
                format: Format::Binary,
                cached: true,
                scope: Scope::default(),
                wanted: true,
            };
            match self.run_pieces_once(&[piece]).await {
                Ok(mut results) => {
                    let result =
                        results.pop().ok_or_else(|| Error::Protocol("a statement without result".into()))?;
                    return Ok((result, described));
                }
                Err(BatchError::Statement { report, stale, .. }) => {
                    // Where nothing is kept on the server, what we remember of the types may be out of date.
                    let outdated = known && !self.cache.named && matches!(report.code.class(), "42" | "0A");
                    if outdated {
                        let slot = self.cache.slot(Scope::default(), sql, &[]);
                        self.cache.remove(slot);
                    }
                    if (stale || outdated) && may_repeat && !repeated {
                        repeated = true;
                        continue;
                    }
                    return Err(Error::Db(report));
                }
                Err(BatchError::Other(error)) => return Err(error),
            }
        }
    }

    /// The types of a statement's parameters and columns, and whether they were known already.
    async fn described(&mut self, sql: &str) -> Result<(Arc<Description>, bool), Error> {
        let scope = Scope::default();
        let slot = self.cache.slot(scope, sql, &[]);
        let prepared = match self.cache.find(slot, scope, sql, &[]) {
            Some(Entry { described: Some(described), .. }) => return Ok((described.clone(), true)),
            Some(entry) => entry.ready && !entry.name.is_empty(),
            None => false,
        };
        let (params, columns) = self.describe_slot(slot, sql, prepared).await?;
        let mut types = Vec::with_capacity(params.len());
        for oid in params {
            types.push(self.resolve_type(oid).await?);
        }
        let columns = self.with_types(&columns).await?;
        let described = Arc::new(Description { params: types, columns });
        if let Some(entry) = self.cache.get(slot) {
            entry.described = Some(described.clone());
        }
        Ok((described, false))
    }

    async fn describe_slot(
        &mut self,
        slot: Slot,
        sql: &str,
        prepared: bool,
    ) -> Result<(Vec<u32>, Arc<[Column]>), Error> {
        let output = &mut self.wire.output;
        for name in std::mem::take(&mut self.cache.closing) {
            frontend::close(b'S', &name, output)?;
        }
        let start = output.len();
        let entry = match prepared {
            true => self.cache.get(slot).map(|entry| &*entry),
            false => Some(self.cache.insert(slot, Scope::default(), sql, &[])),
        };
        let name = entry.map_or("", |entry| &*entry.name);
        if !prepared && let Err(error) = frontend::parse(name, sql, [], output) {
            output.truncate(start);
            self.cache.remove_pending();
            return Err(error.into());
        }
        frontend::describe(b'S', name, output)?;
        frontend::sync(output);
        self.wire.expect_answer();
        self.outstanding += 1;
        self.mode = Mode::Extended;
        self.wire.flush().await?;

        let mut params = None;
        let mut columns = None;
        let mut failure = None;
        loop {
            let message = self.wire.message().await?;
            match message.tag {
                b'1' => {
                    if let Some(entry) = self.cache.get(slot) {
                        entry.ready = true;
                    }
                }
                b't' => params = decode::parameter_types(&message.body),
                b'T' => columns = decode::columns(&message.body),
                b'n' => columns = Some(no_columns()),
                b'E' => failure = Some(self.failure(&message)?),
                b'Z' => {
                    self.ready(&message)?;
                    break;
                }
                b'3' => {}
                tag => {
                    let what = format!("message {:?} in answer to a description", char::from(tag));
                    return Err(self.wire.protocol_error(what));
                }
            }
        }
        if let Some(failure) = failure {
            self.cache.remove_pending();
            self.cache.remove(slot);
            return Err(Error::Db(Box::new(failure)));
        }
        match (params, columns) {
            (Some(params), Some(columns)) => {
                if let Some(entry) = self.cache.get(slot) {
                    entry.columns = Some(columns.clone());
                }
                Ok((params, columns))
            }
            _ => Err(self.wire.protocol_error("a statement without description")),
        }
    }

    async fn typed_columns(
        &mut self,
        columns: &[Column],
        described: &Description,
    ) -> Result<Arc<[(Column, Type)]>, Error> {
        let same = columns.len() == described.columns.len()
            && columns.iter().zip(described.columns.iter()).all(|(now, (then, _))| now == then);
        if same { Ok(described.columns.clone()) } else { self.with_types(columns).await }
    }

    async fn with_types(&mut self, columns: &[Column]) -> Result<Arc<[(Column, Type)]>, Error> {
        let mut typed = Vec::with_capacity(columns.len());
        for column in columns {
            typed.push((column.clone(), self.resolve_type(column.type_oid).await?));
        }
        Ok(typed.into())
    }

    /// The type of an oid. Those that are not built in are looked up once a connection.
    async fn resolve_type(&mut self, oid: u32) -> Result<Type, Error> {
        if let Some(known) = Type::from_oid(oid) {
            return Ok(known);
        }
        if let Some(known) = self.types.get(&oid) {
            return Ok(known.clone());
        }
        let number = oid.to_string();
        let params = [Param::Text(&number)];
        let results =
            self.run(&[Statement::new(TYPE_QUERY, &params), Statement::new(LABELS_QUERY, &params)]).await?;
        let [found, labels] = results.as_slice() else {
            return Err(Error::Protocol("a statement without result".into()));
        };
        let Some(row) = found.rows.first() else {
            return Ok(Type::new(format!("oid {oid}"), oid, Kind::Simple, String::new()));
        };
        let text = |index| row.text(index).unwrap_or("").to_owned();
        let related = |index| row.text(index).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
        let kind = match (row.text(2), row.text(3)) {
            (Some("e"), _) => {
                Kind::Enum(labels.rows.iter().filter_map(|row| row.text(0)).map(str::to_owned).collect())
            }
            (Some("d"), _) => Kind::Domain(Box::pin(self.resolve_type(related(5))).await?),
            (_, Some("A")) if related(4) != 0 => Kind::Array(Box::pin(self.resolve_type(related(4))).await?),
            _ => Kind::Simple,
        };
        let resolved = Type::new(text(0), oid, kind, text(1));
        self.types.insert(oid, resolved.clone());
        Ok(resolved)
    }
}

const TYPE_QUERY: &str = "select t.typname, n.nspname, t.typtype, t.typcategory, t.typelem, t.typbasetype \
     from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace where t.oid = $1";

const LABELS_QUERY: &str =
    "select enumlabel from pg_catalog.pg_enum where enumtypid = $1 order by enumsortorder";

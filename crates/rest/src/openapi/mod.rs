//! The description of the API, in the form of OpenAPI 2.

mod document;

use std::collections::HashSet;

use database::{Param, Pool, Statement};

pub(crate) use document::document;

use crate::error::Error;
use crate::execute::Context;

/// What a role may see.
#[derive(Debug, Default)]
pub(crate) struct Visible {
    /// Relations; `None` for all.
    pub(crate) relations: Option<HashSet<String>>,
    /// Functions, each with the types of its parameters; `None` for all.
    pub(crate) functions: Option<HashSet<String>>,
    /// The comment of the schema.
    pub(crate) description: Option<String>,
}

const RELATIONS: &str = include_str!("relations.sql");
const FUNCTIONS: &str = include_str!("functions.sql");
const DESCRIPTION: &str =
    "select obj_description(oid, 'pg_namespace') from pg_catalog.pg_namespace where nspname = $1";

/// Asks, as the role of the request, what it may use.
pub(crate) async fn visible(
    pool: &Pool,
    context: &Context<'_>,
    pre_request: Option<&str>,
    schema: &str,
    follow_privileges: bool,
) -> Result<Visible, Error> {
    let parameters = [Param::Text(schema)];
    let mut statements: Vec<Statement<'_>> = pre_request.iter().map(|sql| Statement::new(sql, &[])).collect();
    let first = statements.len();
    statements.push(Statement::new(DESCRIPTION, &parameters));
    if follow_privileges {
        statements.push(Statement::new(RELATIONS, &parameters));
        statements.push(Statement::new(FUNCTIONS, &parameters));
    }
    let results = pool
        .request(&context.request, &statements)
        .await
        .map_err(|error| Error::Database { authenticated: context.authenticated, error })?;
    let names = |index: usize| -> Option<HashSet<String>> {
        let result = results.get(first + index)?;
        Some(result.rows.iter().filter_map(|row| row.text(0).map(str::to_owned)).collect())
    };
    Ok(Visible {
        description: results.get(first).and_then(|result| result.scalar().map(str::to_owned)),
        relations: names(1),
        functions: names(2),
    })
}

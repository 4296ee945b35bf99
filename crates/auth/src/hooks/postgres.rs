//! Hooks that are functions of the database.

use database::{Connection, TransactionOptions};

use crate::State;
use crate::error::Result;

/// A function may take two seconds.
const TIMEOUT: &str = "set local statement_timeout to '2000'";
const NO_TIMEOUT: &str = "set local statement_timeout to default";

/// Calls a function with JSON and returns the text of its answer; NULL is none.
pub(super) async fn call(
    state: &State,
    db: Option<&mut Connection>,
    schema: &str,
    name: &str,
    input: &str,
) -> Result<Option<String>> {
    let quote = database::ident::quote_ident;
    let sql = format!("select {}.{}($1::text::jsonb)::text as answer", quote(schema), quote(name));
    match db {
        Some(db) => run(db, &sql, input).await,
        None => {
            let mut connection = state.database().await?;
            let mut transaction = connection.begin(TransactionOptions::default()).await?;
            let answer = run(transaction.connection(), &sql, input).await?;
            transaction.commit().await?;
            Ok(answer)
        }
    }
}

async fn run(db: &mut Connection, sql: &str, input: &str) -> Result<Option<String>> {
    db.simple_query(TIMEOUT).await?;
    let row = db.query_opt(sql, &[&input]).await?;
    db.simple_query(NO_TIMEOUT).await?;
    Ok(row.map(|row| row.get::<Option<String>>("answer")).transpose()?.flatten())
}

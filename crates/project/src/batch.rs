//! Applies the statements of one file.
//!
//! All statements and the entry in the history go out as one batch of the extended protocol, which is one transaction: a
//! failing statement leaves nothing behind. A statement that cannot run inside of a transaction is sent alone, and divides
//! the batch: what came before it stays when something after it fails.

use database::{Connection, Error as DatabaseError, Param, Statement, TransactionStatus};

use crate::error::{Error, StatementError};
use crate::lexer;

/// Runs `statements` and then `record`, a statement with its parameters that belongs to the last transaction.
/// `file` is for messages.
pub(crate) async fn run(
    connection: &mut Connection,
    file: &str,
    statements: &[&str],
    record: Option<(&str, &[Param<'_>])>,
) -> Result<(), Error> {
    // Settings of the file before, `search_path` above all.
    connection
        .simple_query("reset all")
        .await
        .map_err(|source| Error::Lost { file: file.to_owned(), source })?;

    let mut group = Vec::new();
    for (index, statement) in statements.iter().copied().enumerate() {
        if !is_alone(statement) {
            group.push(Statement::new(statement, &[]).uncached());
            continue;
        }
        run_group(connection, file, statements, index - group.len(), &group).await?;
        group.clear();
        connection.simple_query(statement).await.map_err(|error| failure(file, statements, index, error))?;
    }
    let first = statements.len() - group.len();
    if let Some((sql, params)) = record {
        group.push(Statement::new(sql, params).uncached());
    }
    run_group(connection, file, statements, first, &group).await?;

    if connection.transaction_status() != TransactionStatus::Idle {
        connection
            .simple_query("rollback")
            .await
            .map_err(|source| Error::Lost { file: file.to_owned(), source })?;
        return Err(Error::OpenTransaction { file: file.to_owned() });
    }
    Ok(())
}

async fn run_group(
    connection: &mut Connection,
    file: &str,
    statements: &[&str],
    first: usize,
    group: &[Statement<'_>],
) -> Result<(), Error> {
    if group.is_empty() {
        return Ok(());
    }
    match connection.run(group).await {
        Ok(_) => Ok(()),
        Err(error) => {
            // Without a statement it was the commit that failed: a deferred constraint.
            let within = match &error {
                DatabaseError::Db(error) => error.statement.unwrap_or(group.len()),
                _ => 0,
            };
            Err(failure(file, statements, first + within, error))
        }
    }
}

fn failure(file: &str, statements: &[&str], index: usize, error: DatabaseError) -> Error {
    let file = file.to_owned();
    match error {
        DatabaseError::Db(error) => {
            let statement =
                statements.get(index).map_or("(the end of the transaction)", |statement| statement);
            let error = StatementError { error: *error, index, statement: statement.to_owned() };
            Error::Statement { file, error: Box::new(error) }
        }
        source => Error::Lost { file, source },
    }
}

/// Whether PostgreSQL refuses the statement inside of a transaction.
fn is_alone(statement: &str) -> bool {
    let words: Vec<String> =
        lexer::leading_words(statement).iter().map(|word| word.to_ascii_lowercase()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["create", "index", "concurrently", ..] | ["create", "unique", "index", "concurrently", ..] => true,
        ["drop", "index", "concurrently", ..] => true,
        ["reindex", "schema" | "database" | "system", ..] => true,
        ["reindex", "table" | "index", "concurrently", ..] => true,
        // With options in parentheses, which hide the words after them; alone is right for all of them.
        ["reindex"] | ["vacuum", ..] | ["cluster"] => true,
        ["create" | "drop", "database" | "tablespace" | "subscription", ..] => true,
        ["alter", "system" | "subscription", ..] => true,
        ["alter", "database", _, "set", "tablespace", ..] => true,
        ["alter", "table", rest @ ..] => rest.contains(&"detach") && rest.last() == Some(&"concurrently"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_alone;

    #[test]
    fn statements_that_refuse_a_transaction_are_known() {
        for statement in [
            "create index concurrently on t (a)",
            "-- why\nCREATE UNIQUE INDEX /* so */ CONCURRENTLY i ON t (a)",
            "drop index concurrently if exists i",
            "reindex table concurrently t",
            "reindex (verbose) table concurrently t",
            "reindex database",
            "vacuum",
            "vacuum analyze t",
            "vacuum (analyze) t",
            "create database d",
            "alter system set work_mem = '1MB'",
            "alter table p detach partition q concurrently",
        ] {
            assert!(is_alone(statement), "{statement}");
        }
        for statement in [
            "create index on t (a)",
            "create index \"concurrently\" on t (a)",
            "reindex table t",
            "refresh materialized view concurrently m",
            "alter table t add column concurrently int",
            "alter database d set work_mem = '1MB'",
            "select 'vacuum'",
            "create table vacuum (a int)",
            "",
        ] {
            assert!(!is_alone(statement), "{statement}");
        }
    }
}

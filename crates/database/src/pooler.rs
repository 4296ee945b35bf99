//! Finding out whether a pooler stands between us and the server, and of which kind.

use std::time::Duration;

use crate::config::{ConnectConfig, Host};
use crate::connection::Connection;
use crate::error::Error;
use crate::pool::Pooler;
use crate::statement::Statement;

/// Where Supavisor and its like listen for transaction pooling.
const TRANSACTION_PORT: u16 = 6543;
/// How long a second connection may wait for a server session before it is taken for a sign of session pooling.
const PATIENCE: Duration = Duration::from_secs(1);

/// What `connection` goes through.
///
/// A pooler makes up the process id it tells a client. Behind one, two connections of ours that are served by one
/// server process in turn prove that sessions are shared.
pub(crate) async fn detect(connection: &mut Connection, config: &ConnectConfig) -> Result<Pooler, Error> {
    if config.transaction_pooler {
        return Ok(Pooler::Transaction);
    }
    let first = process_id(connection).await?;
    if first == connection.process_id() {
        return Ok(Pooler::None);
    }
    if config.hosts.iter().any(|host| matches!(host, Host::Tcp { port: TRANSACTION_PORT, .. })) {
        return Ok(Pooler::Transaction);
    }
    let mut other = Connection::connect(config).await?;
    for _ in 0..3 {
        let before = process_id(connection).await?;
        match tokio::time::timeout(PATIENCE, process_id(&mut other)).await {
            Ok(Ok(there)) if there == before || before != first => return Ok(Pooler::Transaction),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => break,
        }
    }
    Ok(Pooler::Session)
}

async fn process_id(connection: &mut Connection) -> Result<i32, Error> {
    let results =
        connection.run(&[Statement::new("select pg_catalog.pg_backend_pid()", &[]).uncached()]).await?;
    let id = results.first().and_then(|result| result.scalar()).and_then(|text| text.parse().ok());
    id.ok_or_else(|| Error::Protocol("pg_backend_pid() returned no number".into()))
}

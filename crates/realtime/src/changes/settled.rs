//! Whether what the log tells can be seen already.
//!
//! A transaction is in the log a moment before others see it: PostgreSQL writes its commit, and takes it off the list of those
//! that run afterwards; with synchronous standbys it first waits for them. Who asks in between finds neither its rows nor its
//! tables. So nothing is asked about a change before its transaction has settled.

use std::time::Duration;

use database::{Error, Pool, Statement};
use tokio::time::Instant;

/// Pauses between two looks: this, doubled each time, up to the other.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// How long is waited. A standby that is away may hold a transaction up for as long as it likes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until the transactions are seen by whoever asks from then on.
pub(crate) async fn settle(pool: &Pool, transactions: &[u32]) -> Result<(), Error> {
    if transactions.is_empty() {
        return Ok(());
    }
    let mut connection = pool.acquire().await?;
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let results =
            connection.run(&[Statement::new("select pg_catalog.pg_current_snapshot()::text", &[])]).await?;
        let snapshot = results.first().and_then(|result| result.scalar()).and_then(Snapshot::parse);
        let Some(snapshot) = snapshot else {
            return Err(Error::Protocol("a snapshot that cannot be read".into()));
        };
        if !transactions.iter().any(|transaction| snapshot.hides(*transaction)) {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            tracing::warn!(
                "a transaction is in the log and still not seen: its changes are judged without it"
            );
            return Ok(());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// A snapshot, with the lower half of each number, which is what the log tells.
#[derive(Debug, PartialEq, Eq)]
struct Snapshot {
    /// The first number that is not given yet.
    next: u32,
    /// Those that run.
    running: Vec<u32>,
}

impl Snapshot {
    /// Reads PostgreSQL's notation, `xmin:xmax:running`.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':').skip(1);
        let number = |text: &str| Some(text.parse::<u64>().ok()? as u32);
        let next = number(parts.next()?)?;
        let running =
            parts.next()?.split(',').filter(|part| !part.is_empty()).map(number).collect::<Option<_>>()?;
        Some(Self { next, running })
    }

    /// Whether the transaction is one that has not ended for others. Numbers wrap around.
    fn hides(&self, transaction: u32) -> bool {
        transaction.wrapping_sub(self.next).cast_signed() >= 0 || self.running.contains(&transaction)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_runs_or_is_to_come_is_hidden() {
        let snapshot = Snapshot::parse("10:20:10,15").unwrap();
        assert_eq!(snapshot, Snapshot { next: 20, running: vec![10, 15] });
        let hidden: Vec<u32> = (8..23).filter(|transaction| snapshot.hides(*transaction)).collect();
        assert_eq!(hidden, [10, 15, 20, 21, 22]);
        let wrapped = Snapshot::parse("4294967290:4294967298:4294967297").unwrap();
        assert_eq!(wrapped, Snapshot { next: 2, running: vec![1] });
        assert!(wrapped.hides(1) && wrapped.hides(2) && !wrapped.hides(0) && !wrapped.hides(u32::MAX));
        assert_eq!(Snapshot::parse("3:3:"), Some(Snapshot { next: 3, running: Vec::new() }));
        assert_eq!(Snapshot::parse("x"), None);
    }
}

//! The stream of a slot: data, keepalives, and our word of how far we are.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Buf, BufMut, Bytes};
use postgres_protocol::message::frontend;

use super::Lsn;
use crate::connection::Connection;
use crate::decode;
use crate::error::Error;

/// What came out of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplicationEvent {
    /// Bytes of the output plugin.
    Data {
        /// Where in the log they come from.
        start: Lsn,
        /// When the server sent them, microseconds since 2000.
        sent: i64,
        /// One message of the plugin.
        body: Bytes,
    },
    /// A sign of life.
    Keepalive {
        /// How far the server's log has come.
        end: Lsn,
        /// Whether the server wants to hear from us at once; it has been answered already.
        reply: bool,
    },
}

/// A started slot. Dropped, the connection is closed and a temporary slot goes with it.
pub struct ReplicationStream {
    connection: Connection,
    /// Everything before this has been dealt with.
    confirmed: Lsn,
    /// How far the server's log had come when we last heard of it.
    server_end: Lsn,
}

/// Microseconds between 1970 and 2000, where PostgreSQL's times begin.
pub const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

impl ReplicationStream {
    pub(super) fn new(connection: Connection, start: Lsn) -> Self {
        ReplicationStream { connection, confirmed: start, server_end: start }
    }

    /// The next event; `None` when the server has ended the stream. Keepalives that ask for an answer are answered
    /// with the last confirmed position.
    ///
    /// Safe to drop and call again.
    pub async fn next(&mut self) -> Result<Option<ReplicationEvent>, Error> {
        // What an abandoned call had not sent.
        self.connection.wire.flush().await?;
        let message = self.connection.wire.message().await?;
        match message.tag {
            b'd' => {}
            b'c' => return Ok(None),
            b'E' => {
                let report = self.connection.failure(&message)?;
                self.connection.wire.broken = true;
                return Err(Error::Db(Box::new(report)));
            }
            tag => {
                let what = format!("message {:?} in a replication stream", char::from(tag));
                return Err(self.connection.wire.protocol_error(what));
            }
        }
        let Some(event) = event(message.body) else {
            return Err(self.connection.wire.protocol_error("malformed replication message"));
        };
        match event {
            ReplicationEvent::Data { start, .. } => self.server_end = self.server_end.max(start),
            ReplicationEvent::Keepalive { end, reply } => {
                self.server_end = self.server_end.max(end);
                if reply {
                    self.put_status()?;
                    self.connection.wire.flush().await?;
                }
            }
        }
        Ok(Some(event))
    }

    /// Tells the server that everything before `position` has been dealt with, so that it may forget it.
    pub async fn confirm(&mut self, position: Lsn) -> Result<(), Error> {
        self.confirmed = self.confirmed.max(position);
        self.put_status()?;
        self.connection.wire.flush().await
    }

    /// Like [`ReplicationStream::confirm`], but the server is not told before it asks.
    pub fn note(&mut self, position: Lsn) {
        self.confirmed = self.confirmed.max(position);
    }

    /// How far the server's log had come when we last heard of it.
    pub fn server_end(&self) -> Lsn {
        self.server_end
    }

    /// Process id of the WAL sender.
    pub fn process_id(&self) -> i32 {
        self.connection.process_id()
    }

    fn put_status(&mut self) -> Result<(), Error> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX) - POSTGRES_EPOCH_MICROS;
        let mut status = [0; 34];
        let mut body = &mut status[..];
        body.put_u8(b'r');
        // Written, flushed and applied are the same to us.
        for _ in 0..3 {
            body.put_u64(self.confirmed.0);
        }
        body.put_i64(now);
        body.put_u8(0);
        frontend::CopyData::new(&status[..])?.write(&mut self.connection.wire.output);
        Ok(())
    }
}

/// The content of a CopyData message of the server.
fn event(mut body: Bytes) -> Option<ReplicationEvent> {
    match body.try_get_u8().ok()? {
        b'w' => {
            let start = Lsn(body.try_get_u64().ok()?);
            let _end = body.try_get_u64().ok()?;
            let sent = body.try_get_i64().ok()?;
            Some(ReplicationEvent::Data { start, sent, body })
        }
        b'k' => {
            let end = Lsn(body.try_get_u64().ok()?);
            let _sent = body.try_get_i64().ok()?;
            Some(ReplicationEvent::Keepalive { end, reply: body.try_get_u8().ok()? == 1 })
        }
        _ => None,
    }
}

impl Connection {
    /// Sends a command that turns the connection into a stream of data in both directions.
    pub(super) async fn start_copy_both(&mut self, command: &str) -> Result<(), Error> {
        self.settle().await?;
        frontend::query(command, &mut self.wire.output)?;
        self.wire.expect_answer();
        // From here on the connection serves this stream only.
        self.outstanding += 1;
        self.wire.flush().await?;
        let message = self.wire.message().await?;
        match message.tag {
            b'W' => Ok(()),
            b'E' => {
                let report = decode::report(&message.body);
                self.wire.broken = true;
                Err(match report {
                    Some(report) => Error::Db(Box::new(report)),
                    None => Error::Protocol("malformed error report".into()),
                })
            }
            tag => {
                let what = format!("message {:?} in answer to START_REPLICATION", char::from(tag));
                Err(self.wire.protocol_error(what))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn data_and_keepalives_are_told_apart() {
        let data = b"w\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03abc";
        let expected = ReplicationEvent::Data { start: Lsn(1), sent: 3, body: Bytes::from_static(b"abc") };
        assert_eq!(event(Bytes::from_static(data)), Some(expected));
        let keepalive = b"k\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x03\x01";
        let expected = ReplicationEvent::Keepalive { end: Lsn(9), reply: true };
        assert_eq!(event(Bytes::from_static(keepalive)), Some(expected));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = event(Bytes::from(body));
        }
    }
}

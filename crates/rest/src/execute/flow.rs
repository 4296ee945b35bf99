//! Bodies on their way from the database to a client, and the tasks that carry them.
//!
//! A connection is lent to a client for as long as its body flows, so a body must not outlive its client's interest: its
//! task ends with the body, with the service, or when the client has taken nothing for too long.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use database::{RowStream, StreamEvent};
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// A body that is still on its way.
#[derive(Debug)]
pub struct Flow {
    /// How long it will be.
    pub length: usize,
    /// The body.
    pub body: Body,
}

/// Pieces on their way between the database and a client.
const PIECES: usize = 4;

/// The bodies that flow at the moment.
#[derive(Debug)]
pub struct Flows {
    /// None after the end of the service.
    tasks: Mutex<Option<JoinSet<()>>>,
}

impl Default for Flows {
    fn default() -> Self {
        Self { tasks: Mutex::new(Some(JoinSet::new())) }
    }
}

impl Flows {
    fn carry(&self, task: impl Future<Output = ()> + Send + 'static) -> Option<AbortHandle> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let tasks = tasks.as_mut()?;
        while tasks.try_join_next().is_some() {}
        Some(tasks.spawn(task))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(tasks) = tasks.as_mut() else { return 0 };
        while tasks.try_join_next().is_some() {}
        tasks.len()
    }

    /// Ends all of them, for good.
    pub async fn stop(&self) {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut tasks) = tasks {
            tasks.shutdown().await;
        }
    }
}

/// How bodies are delivered.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// What owns them.
    pub flows: &'a Flows,
    /// A client that takes nothing for this long is cut off: it would keep a connection from everybody else.
    pub stall: Duration,
}

impl Delivery<'_> {
    /// Hands the rest of a stream, whose next bytes are the body, to a task of its own.
    pub(super) fn begin(&self, mut stream: RowStream, length: usize) -> Flow {
        let stall = self.stall;
        stream.discard_when_dropped();
        let (pieces, taken) = mpsc::channel::<Result<Bytes, io::Error>>(PIECES);
        let task = self.flows.carry(async move {
            loop {
                let piece = match stream.next().await {
                    Ok(Some(StreamEvent::Chunk(bytes))) => Ok(bytes),
                    Ok(Some(_)) => continue,
                    Ok(None) => return,
                    Err(error) => Err(io::Error::other(error)),
                };
                let over = piece.is_err();
                // Whatever ends this also drops the stream, and with it what is left of the statement.
                match tokio::time::timeout(stall, pieces.send(piece)).await {
                    Ok(Ok(())) if !over => {}
                    Ok(_) => return,
                    Err(_) => {
                        tracing::warn!(?stall, "a client stopped reading and was cut off");
                        return;
                    }
                }
            }
        });
        Flow { length, body: Body::from_stream(Pieces { taken, left: length, task }) }
    }
}

/// The client's end of a flow.
struct Pieces {
    taken: mpsc::Receiver<Result<Bytes, io::Error>>,
    left: usize,
    task: Option<AbortHandle>,
}

impl Stream for Pieces {
    type Item = Result<Bytes, io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.taken.poll_recv(context).map(|piece| match piece {
            Some(Ok(bytes)) => {
                self.left = self.left.saturating_sub(bytes.len());
                Some(Ok(bytes))
            }
            Some(Err(error)) => Some(Err(error)),
            // An answer that is cut short must not look complete.
            None if self.left > 0 => {
                self.left = 0;
                Some(Err(io::ErrorKind::UnexpectedEof.into()))
            }
            None => None,
        })
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        // With nothing left the task only reads the end of the transaction, and gives the connection back.
        if self.left > 0
            && let Some(task) = &self.task
        {
            task.abort();
        }
    }
}

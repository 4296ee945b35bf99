//! A request's body, cut into parts.
//!
//! A connection that breaks ends the body where it broke: what has arrived is a part like any other. A part also ends at a
//! certain size, or when it has taken long, so that a crash costs little of what was sent.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::blob::Inflow;

/// After this long a part ends, if it has enough.
const LONG: Duration = Duration::from_secs(10);
/// The smallest part that stores with S3's rules can join.
const ENOUGH: u64 = 5 << 20;

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It has not.
    Open,
    /// With its last byte.
    Whole,
    /// With the connection.
    Broken,
    /// For another request.
    Superseded,
    /// With more than the upload's length.
    TooLong,
}

/// The body of a request, from which parts are taken.
pub(super) struct Source(Arc<Mutex<State>>);

struct State {
    body: BodyDataStream,
    newer: watch::Receiver<u64>,
    /// Bytes that were read and belong to the next part.
    rest: Bytes,
    /// How many more bytes are taken.
    room: u64,
    end: End,
}

impl Source {
    /// A body of which at most `room` bytes are taken, until `newer` says that another request goes on.
    pub(super) fn new(body: Body, newer: watch::Receiver<u64>, room: u64) -> Self {
        let body = body.into_data_stream();
        Self(Arc::new(Mutex::new(State { body, newer, rest: Bytes::new(), room, end: End::Open })))
    }

    /// Whether another part can be taken: waits for its first bytes.
    pub(super) async fn has_more(&self) -> bool {
        self.0.lock().await.fill().await
    }

    /// The next part, at most `size` bytes.
    pub(super) fn part(&self, size: u64) -> Inflow {
        let start = Instant::now();
        let state = self.0.clone();
        Box::pin(stream::unfold((state, 0), move |(state, taken)| async move {
            let mut locked = state.lock().await;
            let is_over = taken >= size || (taken >= ENOUGH && start.elapsed() > LONG);
            if is_over || !locked.fill().await {
                return None;
            }
            let take = usize::try_from(size - taken).unwrap_or(usize::MAX).min(locked.rest.len());
            let bytes = locked.rest.split_to(take);
            drop(locked);
            let taken = taken + bytes.len() as u64;
            Some((Ok(bytes), (state, taken)))
        }))
    }

    /// How it ended.
    pub(super) async fn end(&self) -> End {
        self.0.lock().await.end
    }
}

impl State {
    /// Makes sure that there are bytes; false at the end.
    async fn fill(&mut self) -> bool {
        while self.rest.is_empty() && self.end == End::Open {
            let next = tokio::select! {
                biased;
                // A dropped lock cannot be: its holder is reading.
                _ = self.newer.changed() => {
                    self.end = End::Superseded;
                    break;
                }
                next = self.body.next() => next,
            };
            match next {
                None => self.end = End::Whole,
                Some(Err(_)) => self.end = End::Broken,
                Some(Ok(bytes)) => {
                    let length = bytes.len() as u64;
                    self.rest = bytes;
                    if length > self.room {
                        self.rest.truncate(usize::try_from(self.room).unwrap_or(usize::MAX));
                        self.end = End::TooLong;
                    }
                    self.room = self.room.saturating_sub(length);
                }
            }
        }
        !self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn body(chunks: &[Result<&'static str, &'static str>]) -> Body {
        let chunks: Vec<_> = chunks.iter().map(|chunk| chunk.map_err(std::io::Error::other)).collect();
        Body::from_stream(stream::iter(chunks))
    }

    async fn read(source: &Source, size: u64) -> String {
        let parts: Vec<_> = source.part(size).collect().await;
        parts.into_iter().map(|part| String::from_utf8(part.unwrap().to_vec()).unwrap()).collect()
    }

    #[tokio::test]
    async fn a_body_is_cut_into_parts() {
        let (_newer, watch) = watch::channel(0);
        let source = Source::new(body(&[Ok("abc"), Ok("defg")]), watch, 100);
        assert_eq!(read(&source, 2).await, "ab");
        assert_eq!(read(&source, 4).await, "cdef");
        assert!(source.has_more().await);
        assert_eq!(read(&source, 4).await, "g");
        assert!(!source.has_more().await);
        assert_eq!(source.end().await, End::Whole);
    }

    #[tokio::test]
    async fn what_arrived_before_the_connection_broke_counts() {
        let (_newer, watch) = watch::channel(0);
        let source = Source::new(body(&[Ok("abc"), Err("gone")]), watch, 100);
        assert_eq!(read(&source, 10).await, "abc");
        assert_eq!(source.end().await, End::Broken);
    }

    #[tokio::test]
    async fn more_than_the_length_is_cut() {
        let (_newer, watch) = watch::channel(0);
        let source = Source::new(body(&[Ok("abc"), Ok("def")]), watch, 4);
        assert_eq!(read(&source, 10).await, "abcd");
        assert_eq!(source.end().await, End::TooLong);
    }

    #[tokio::test]
    async fn a_newer_request_ends_it() {
        let (newer, watch) = watch::channel(0);
        let endless = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let source = Source::new(endless, watch, 4);
        newer.send_modify(|asked| *asked += 1);
        assert!(!source.has_more().await);
        assert_eq!(source.end().await, End::Superseded);
    }
}

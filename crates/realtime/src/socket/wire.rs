//! The bytes of one socket.
//!
//! Messages are read by tungstenite, which also answers pings and close frames. What we send are whole frames that many
//! sockets share, so they go to the socket as they are, past tungstenite: nothing is copied and no buffer grows. The two
//! take turns: ours waits until tungstenite's own answers are through, and while half a frame of ours is written
//! tungstenite is not asked to do anything.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::hub::{Item, Outbox};

/// How much is taken from the queue at a time.
const BATCH: usize = 256 << 10;
/// How many frames one write carries at most.
const SLICES: usize = 64;
/// The buffer that every socket has for reading.
const READ_BUFFER: usize = 2048;

pub(super) struct Wire<S> {
    socket: WebSocketStream<S>,
    out: VecDeque<Bytes>,
    /// How much of the first of `out` is written.
    written: usize,
    /// tungstenite may have something to send.
    owing: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) async fn new(socket: S, max_message: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        let socket = WebSocketStream::from_raw_socket(socket, Role::Server, Some(config)).await;
        Self { socket, out: VecDeque::new(), written: 0, owing: false }
    }

    /// Whether a frame is half written: the reader is slow.
    pub(super) fn is_blocked(&self) -> bool {
        self.written > 0
    }

    /// The next message.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        if self.is_blocked() {
            return Poll::Pending;
        }
        let message = Pin::new(&mut self.socket).poll_next(cx);
        if let Poll::Ready(Some(Ok(Message::Ping(_) | Message::Close(_)))) = &message {
            self.owing = true;
        }
        message
    }

    /// Writes what is queued; answers an order, when everything before it is written.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, outbox: &Outbox) -> Poll<Result<Item, Error>> {
        loop {
            if self.out.is_empty() {
                if let Poll::Ready(order) = outbox.poll_next(cx, &mut self.out, BATCH) {
                    return Poll::Ready(Ok(order));
                }
                if self.out.is_empty() {
                    if self.out.capacity() > SLICES {
                        self.out = VecDeque::new();
                    }
                    return Poll::Pending;
                }
            }
            match self.poll_flush(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(outbox.poll_overflow(cx));
                    return Poll::Ready(Ok(Item::Overflow));
                }
            }
        }
    }

    /// Writes all that was taken from the queue.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.owing && !self.is_blocked() {
            ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
            self.owing = false;
        }
        while !self.out.is_empty() {
            let count = {
                let mut slices: SmallVec<[IoSlice<'_>; SLICES]> = SmallVec::new();
                for (index, bytes) in self.out.iter().take(SLICES).enumerate() {
                    slices.push(IoSlice::new(if index == 0 { &bytes[self.written..] } else { bytes }));
                }
                ready!(Pin::new(self.socket.get_mut()).poll_write_vectored(cx, &slices))?
            };
            if count == 0 {
                return Poll::Ready(Err(Error::Io(io::ErrorKind::WriteZero.into())));
            }
            self.advance(count);
        }
        Pin::new(self.socket.get_mut()).poll_flush(cx).map_err(Error::Io)
    }

    fn advance(&mut self, count: usize) {
        self.written += count;
        while let Some(first) = self.out.front()
            && self.written >= first.len()
        {
            self.written -= first.len();
            self.out.pop_front();
        }
    }

    /// Says goodbye, after the frame that is half written, and waits for the other side's.
    pub(super) async fn close(mut self, frame: CloseFrame) -> Result<(), Error> {
        self.out.truncate(usize::from(self.is_blocked()));
        std::future::poll_fn(|cx| self.poll_flush(cx)).await?;
        self.socket.close(Some(frame)).await?;
        std::future::poll_fn(|cx| Pin::new(&mut self.socket).poll_flush(cx)).await?;
        loop {
            match std::future::poll_fn(|cx| Pin::new(&mut self.socket).poll_next(cx)).await {
                None | Some(Err(_)) => return Ok(()),
                Some(Ok(_)) => {}
            }
        }
    }
}

//! Messages over a socket: framing, buffers, and what may arrive at any moment.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::decode;
use crate::error::{DbError, Error};
use crate::listen::Notification;
use crate::socket::Socket;

/// Called with every notice of the server.
pub type NoticeHook = Arc<dyn Fn(&DbError) + Send + Sync>;

/// One message of the server: its tag and its body.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) tag: u8,
    pub(crate) body: Bytes,
}

/// The beginning of a message whose body has not been read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) tag: u8,
    /// Length of the body.
    pub(crate) len: usize,
}

const READ_SIZE: usize = 16 * 1024;
const HEAD: usize = 5;
/// More notifications than this nobody has asked for: the oldest go.
const MAX_NOTIFICATIONS: usize = 1024;

pub(crate) struct Wire {
    socket: Socket,
    input: BytesMut,
    /// What is to be sent. What a dropped future had not sent stays here, and is sent before anything else.
    pub(crate) output: BytesMut,
    pub(crate) max_message_size: usize,
    /// How much of a body that is read in pieces is still to come.
    pub(crate) body_left: usize,
    pub(crate) parameters: HashMap<Box<str>, String>,
    pub(crate) notifications: VecDeque<Notification>,
    pub(crate) notice_hook: Option<NoticeHook>,
    /// No more use: an I/O error, a fatal report, a broken protocol.
    pub(crate) broken: bool,
    /// Whether anything of an answer has come since `expect_answer`.
    pub(crate) answered: bool,
    /// Whether anything was accepted by the socket since `expect_answer`.
    pub(crate) sent: bool,
}

impl Wire {
    pub(crate) fn new(socket: Socket, max_message_size: usize) -> Self {
        Wire {
            socket,
            input: BytesMut::with_capacity(READ_SIZE),
            output: BytesMut::with_capacity(4096),
            max_message_size,
            body_left: 0,
            parameters: HashMap::new(),
            notifications: VecDeque::new(),
            notice_hook: None,
            broken: false,
            answered: false,
            sent: false,
        }
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(crate) fn expect_answer(&mut self) {
        self.answered = false;
        self.sent = false;
    }

    fn fail(&mut self, error: impl Into<Error>) -> Error {
        self.broken = true;
        error.into()
    }

    pub(crate) fn protocol_error(&mut self, what: impl Into<Arc<str>>) -> Error {
        self.broken = true;
        Error::Protocol(what.into())
    }

    /// Reads what the socket has into the buffer.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < READ_SIZE / 4 {
            self.input.reserve(READ_SIZE);
        }
        // Made anew for each poll: it keeps nothing between polls.
        pin!(self.socket.read_buf(&mut self.input)).poll(cx)
    }

    /// Reads more bytes; an error at the end of the stream. Safe to drop.
    pub(crate) async fn fill(&mut self) -> Result<(), Error> {
        match poll_fn(|cx| self.poll_fill(cx)).await {
            Ok(0) => Err(self.fail(Error::Closed)),
            Ok(_) => Ok(()),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Sends what is in `output`. Safe to drop: the rest stays there.
    ///
    /// While the server does not take more, its answers are read, or both sides would wait for each other for ever.
    pub(crate) async fn flush(&mut self) -> Result<(), Error> {
        let result = poll_fn(|cx| self.poll_flush(cx)).await;
        if self.output.capacity() > 1 << 20 {
            self.output = BytesMut::with_capacity(4096);
        }
        result.map_err(|error| self.fail(error))
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            match Pin::new(&mut self.socket).poll_write(cx, &self.output) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    self.sent = true;
                    self.output.advance(count);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return self.poll_read_meanwhile(cx),
            }
        }
        self.output.clear();
        match &self.socket {
            Socket::Tls(_) => match Pin::new(&mut self.socket).poll_flush(cx) {
                Poll::Pending => self.poll_read_meanwhile(cx),
                ready => ready,
            },
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Reads what the server has to say before it takes more. Ready only when that fails.
    fn poll_read_meanwhile(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Sends what can be sent without waiting.
    pub(crate) fn flush_now(&mut self) {
        let waker = futures_util::task::noop_waker_ref();
        let _ = self.poll_flush(&mut Context::from_waker(waker));
    }

    /// The head of the next message if it has arrived.
    fn head(&mut self) -> Result<Option<Head>, Error> {
        if self.body_left > 0 {
            let skipped = self.body_left.min(self.input.len());
            self.input.advance(skipped);
            self.body_left -= skipped;
        }
        match decode::head(&self.input) {
            Ok(head) => Ok(head),
            Err(what) => Err(self.protocol_error(what)),
        }
    }

    /// Takes the next whole message out of the buffer.
    fn take(&mut self) -> Result<Option<Message>, Error> {
        let Some(head) = self.head()? else { return Ok(None) };
        if head.len > self.max_message_size {
            let limit = self.max_message_size;
            return Err(self.fail(Error::TooLarge { size: head.len, limit }));
        }
        let total = HEAD + head.len;
        if self.input.len() < total {
            self.input.reserve(total - self.input.len());
            return Ok(None);
        }
        self.input.advance(HEAD);
        let body = if head.len == 0 { Bytes::new() } else { self.input.split_to(head.len).freeze() };
        Ok(Some(Message { tag: head.tag, body }))
    }

    /// The next message of the answer. Notices, settings and notifications are dealt with on the way.
    pub(crate) async fn message(&mut self) -> Result<Message, Error> {
        loop {
            while let Some(message) = self.take()? {
                if !self.absorb(&message)? {
                    self.answered |= message.tag != b'E';
                    return Ok(message);
                }
            }
            self.fill().await?;
        }
    }

    /// Like [`Wire::message`], unless the next message is a row larger than `limit`: then its head, with the body
    /// left to [`Wire::piece`].
    pub(crate) async fn message_or_large_row(
        &mut self,
        limit: usize,
    ) -> Result<Result<Message, Head>, Error> {
        loop {
            while let Some(head) = self.head()? {
                if head.tag == b'D' && head.len > limit {
                    self.input.advance(HEAD);
                    self.body_left = head.len;
                    return Ok(Err(head));
                }
                let Some(message) = self.take()? else { break };
                if !self.absorb(&message)? {
                    self.answered |= message.tag != b'E';
                    return Ok(Ok(message));
                }
            }
            self.fill().await?;
        }
    }

    /// Exactly `len` bytes of a body that is read in pieces.
    pub(crate) async fn exact(&mut self, len: usize) -> Result<Bytes, Error> {
        if len > self.body_left {
            return Err(self.protocol_error("a row shorter than its fields"));
        }
        while self.input.len() < len {
            self.fill().await?;
        }
        self.body_left -= len;
        Ok(self.input.split_to(len).freeze())
    }

    /// Between one and `max` bytes of a body that is read in pieces, whatever has arrived.
    pub(crate) async fn piece(&mut self, max: usize) -> Result<Bytes, Error> {
        let max = max.min(self.body_left);
        if self.input.is_empty() && max > 0 {
            self.fill().await?;
        }
        let len = self.input.len().min(max);
        self.body_left -= len;
        Ok(self.input.split_to(len).freeze())
    }

    /// Deals with a message that may come at any moment; says whether it was one.
    fn absorb(&mut self, message: &Message) -> Result<bool, Error> {
        match message.tag {
            b'N' => {
                let Some(notice) = decode::report(&message.body) else {
                    return Err(self.protocol_error("malformed notice"));
                };
                match &self.notice_hook {
                    Some(hook) => hook(&notice),
                    None => tracing::debug!(target: "database::notice", severity = notice.severity.as_str(),
                        code = notice.code.as_str(), "{}", notice.message),
                }
            }
            b'S' => {
                let Some((name, value)) = decode::two_strings(&message.body) else {
                    return Err(self.protocol_error("malformed parameter status"));
                };
                match self.parameters.get_mut(name) {
                    Some(known) => value.clone_into(known),
                    None => {
                        self.parameters.insert(name.into(), value.to_owned());
                    }
                }
            }
            b'A' => {
                let Some(notification) = decode::notification(&message.body) else {
                    return Err(self.protocol_error("malformed notification"));
                };
                if self.notifications.len() == MAX_NOTIFICATIONS {
                    self.notifications.pop_front();
                }
                self.notifications.push_back(notification);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes what has arrived on a connection nobody uses. An error when the server has said goodbye.
    pub(crate) fn poll_idle(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        loop {
            match self.poll_fill(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(self.fail(Error::Closed)),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Err(self.fail(error)),
            }
        }
        while let Some(message) = self.take()? {
            if !self.absorb(&message)? {
                return Err(match (message.tag, decode::report(&message.body)) {
                    (b'E', Some(report)) => self.fail(Error::Db(Box::new(report))),
                    (tag, _) => {
                        self.protocol_error(format!("message {:?} without a request", char::from(tag)))
                    }
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;

    use super::*;

    /// What a server says, read as messages until the first error (at the latest the end of the stream).
    fn read_all(bytes: &[u8], cut: usize, large: Option<usize>) -> (Vec<(u8, usize)>, Error) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let mut wire = Wire::new(Socket::Unix(ours), 1 << 16);
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let say = async {
                theirs.write_all(first).await.unwrap();
                tokio::task::yield_now().await;
                theirs.write_all(second).await.unwrap();
                drop(theirs);
            };
            let hear = async {
                let mut heard = Vec::new();
                loop {
                    let next = match large {
                        Some(limit) => wire.message_or_large_row(limit).await,
                        None => wire.message().await.map(Ok),
                    };
                    match next {
                        Ok(Ok(message)) => heard.push((message.tag, message.body.len())),
                        Ok(Err(head)) => {
                            let mut length = 0;
                            while length < head.len {
                                match wire.piece(7).await {
                                    Ok(piece) => length += piece.len(),
                                    Err(error) => return (heard, error),
                                }
                            }
                            heard.push((head.tag, length));
                        }
                        Err(error) => return (heard, error),
                    }
                }
            };
            let ((), heard) = tokio::join!(say, hear);
            heard
        })
    }

    fn framed(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut message = vec![tag];
        message.extend((body.len() as u32 + 4).to_be_bytes());
        message.extend(body);
        message
    }

    proptest! {
        #[test]
        fn messages_are_found_wherever_the_stream_is_cut(
            bodies in prop::collection::vec((prop::sample::select(b"DZC2T1".to_vec()), prop::collection::vec(any::<u8>(), 0..60)), 0..12),
            cut in 0usize..300,
            large in prop::option::of(0usize..40),
        ) {
            let bytes: Vec<u8> = bodies.iter().flat_map(|(tag, body)| framed(*tag, body)).collect();
            let (heard, end) = read_all(&bytes, cut, large);
            let said: Vec<(u8, usize)> = bodies.iter().map(|(tag, body)| (*tag, body.len())).collect();
            prop_assert_eq!(heard, said);
            prop_assert!(matches!(end, Error::Closed));
        }

        #[test]
        fn any_bytes_end_in_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
            let (_, error) = read_all(&bytes, cut, None);
            prop_assert!(matches!(error, Error::Closed | Error::Protocol(_) | Error::TooLarge { .. }), "{}", error);
        }
    }
}

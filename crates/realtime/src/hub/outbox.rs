//! What waits to be sent on one socket.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;

use crate::config::QueueLimits;
use crate::protocol::Frame;

/// What a socket is told.
#[derive(Debug)]
pub(crate) enum Item {
    /// Send this.
    Frame(Frame),
    /// Close a channel after a system message that says why.
    Shut { channel: u64, message: &'static str },
    /// The tenant has changed: close every channel, and the socket.
    Disconnect,
    /// Close the socket.
    Close,
    /// The reader was too slow: nothing more is sent but the close frame.
    Overflow,
}

/// A bounded queue. Whoever puts something in never waits: a socket that does not keep up is closed, so that it delays
/// nobody else.
#[derive(Debug)]
pub(crate) struct Outbox {
    limits: QueueLimits,
    queue: Mutex<Queue>,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    /// Closed, or about to be.
    deaf: bool,
}

/// An emptied queue keeps room for this many items.
const KEPT: usize = 16;

impl Outbox {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        Self { limits, queue: Mutex::default(), waker: AtomicWaker::new() }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a message.
    pub(crate) fn send(&self, frame: Frame) {
        self.put(frame.len(), Item::Frame(frame));
    }

    /// Queues an order.
    pub(crate) fn order(&self, item: Item) {
        self.put(0, item);
    }

    fn put(&self, size: usize, item: Item) {
        let mut queue = self.queue();
        if queue.deaf {
            return;
        }
        queue.bytes += size;
        if queue.items.len() >= self.limits.messages || queue.bytes > self.limits.bytes {
            metrics::counter!("realtime_slow_readers_closed").increment(1);
            *queue = Queue { items: VecDeque::from([Item::Overflow]), bytes: 0, deaf: true };
        } else {
            queue.items.push_back(item);
        }
        drop(queue);
        self.waker.wake();
    }

    /// Moves messages over to `out`, up to `most` bytes, or answers an order that is next. One task alone may wait.
    pub(crate) fn poll_next(
        &self,
        cx: &mut Context<'_>,
        out: &mut VecDeque<Bytes>,
        most: usize,
    ) -> Poll<Item> {
        let before = out.len();
        for second_look in [false, true] {
            if let Some(order) = self.take(out, most) {
                return Poll::Ready(order);
            }
            if out.len() > before || second_look {
                break;
            }
            // What was put in before the waker was there woke nobody.
            self.waker.register(cx.waker());
        }
        Poll::Pending
    }

    fn take(&self, out: &mut VecDeque<Bytes>, most: usize) -> Option<Item> {
        let mut queue = self.queue();
        let mut taken = 0;
        while taken < most {
            match queue.items.pop_front() {
                Some(Item::Frame(frame)) => {
                    queue.bytes = queue.bytes.saturating_sub(frame.len());
                    taken += frame.len();
                    out.push_back(frame.into_bytes());
                }
                // An order waits for the messages before it.
                Some(order) if taken > 0 => {
                    queue.items.push_front(order);
                    break;
                }
                Some(order) => return Some(order),
                None => {
                    if queue.items.capacity() > KEPT {
                        queue.items.shrink_to(KEPT);
                    }
                    break;
                }
            }
        }
        None
    }

    /// Whether the reader was too slow, while nothing can be written.
    pub(crate) fn poll_overflow(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        match self.queue().items.front() {
            Some(Item::Overflow) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    /// Nothing is taken any more.
    pub(crate) fn close(&self) {
        *self.queue() = Queue { deaf: true, ..Queue::default() };
    }

    /// Whether the socket is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.queue().deaf
    }
}

//! Buffers for reading files, used again: a fresh one of this size would be cleared and mapped each time, which costs more
//! than the copy into it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// The size of a buffer.
pub(super) const BLOCK: usize = 256 << 10;

/// How many buffers wait for their next use.
const KEPT: usize = 32;

/// Buffers that wait.
#[derive(Debug, Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Box<[u8]>>>>);

/// A filled buffer, which goes back when its last reader is done.
struct Lent {
    buffer: Box<[u8]>,
    filled: usize,
    home: Buffers,
}

impl Buffers {
    /// Fills a buffer with `length` bytes, at most [`BLOCK`]. A short piece gets memory of its own.
    pub(super) fn fill(
        &self,
        length: usize,
        read: impl FnOnce(&mut [u8]) -> io::Result<()>,
    ) -> io::Result<Bytes> {
        if length < BLOCK / 4 {
            let mut buffer = vec![0; length];
            read(&mut buffer)?;
            return Ok(Bytes::from(buffer));
        }
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffer = waiting.unwrap_or_else(|| vec![0; BLOCK].into_boxed_slice());
        let filled = length.min(BLOCK);
        read(&mut buffer[..filled])?;
        Ok(Bytes::from_owner(Lent { buffer, filled, home: self.clone() }))
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut waiting = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < KEPT {
            waiting.push(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_nobody_reads_it() {
        let buffers = Buffers::default();
        let fill = |byte: u8| {
            let fill = |buffer: &mut [u8]| {
                buffer.fill(byte);
                Ok(())
            };
            buffers.fill(BLOCK, fill).unwrap()
        };
        let one = fill(1);
        let part = one.slice(10..20);
        let at = one.as_ptr();
        drop(one);
        let two = fill(2);
        assert_ne!(two.as_ptr(), at, "the first is still read");
        assert_eq!(&part[..], [1; 10]);
        drop(part);
        assert_eq!(fill(3).as_ptr(), at);
        assert_eq!(
            buffers
                .fill(10, |buffer| {
                    buffer.fill(4);
                    Ok(())
                })
                .unwrap(),
            vec![4; 10]
        );
    }
}

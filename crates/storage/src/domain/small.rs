//! Small blobs that were read lately, in memory.
//!
//! A blob never changes and its name is never used again, so that what is remembered of one is never wrong; whether there
//! still is an object is the row's matter, which is asked each time.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::blob::BlobName;

/// The largest blob that is remembered.
pub(super) const LARGEST: u64 = 32 << 10;

/// What an entry costs beside its bytes.
const OVERHEAD: usize = 128;

/// Blobs in two generations: one that is found in the older moves to the younger; when the younger has half of the room,
/// the older one goes.
#[derive(Default)]
pub(super) struct SmallBlobs {
    room: usize,
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<String, Bytes>,
    old: HashMap<String, Bytes>,
    /// Bytes of the younger one.
    size: usize,
}

impl Generations {
    fn insert(&mut self, name: String, bytes: Bytes, room: usize) {
        self.size += bytes.len() + OVERHEAD;
        self.young.insert(name, bytes);
        if self.size > room / 2 {
            self.old = mem::take(&mut self.young);
            self.size = 0;
        }
    }
}

impl SmallBlobs {
    /// At most `room` bytes; none for 0.
    pub(super) fn new(room: usize) -> Self {
        Self { room, ..Self::default() }
    }

    pub(super) fn get(&self, blob: &BlobName) -> Option<Bytes> {
        let name = blob.version()?;
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = generations.young.get(name) {
            return Some(bytes.clone());
        }
        let (name, bytes) = generations.old.remove_entry(name)?;
        generations.insert(name, bytes.clone(), self.room);
        Some(bytes)
    }

    /// Whether a blob of that size is worth it.
    pub(super) fn takes(&self, blob: &BlobName, size: u64) -> bool {
        self.room > 0 && size <= LARGEST && blob.version().is_some()
    }

    pub(super) fn put(&self, blob: &BlobName, bytes: &Bytes) {
        let Some(name) = blob.version() else { return };
        // Of its own: what was read may be a part of a large buffer.
        let bytes = Bytes::copy_from_slice(bytes);
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.insert(name.to_owned(), bytes, self.room);
    }

    pub(super) fn forget(&self, blobs: &[BlobName]) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        for name in blobs.iter().filter_map(BlobName::version) {
            generations.young.remove(name);
            generations.old.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let small = SmallBlobs::new(40 * (1000 + OVERHEAD));
        let bytes = Bytes::from(vec![1; 1000]);
        let blobs: Vec<BlobName> = (0..100).map(|_| BlobName::fresh()).collect();
        for blob in &blobs {
            small.put(blob, &bytes);
            assert!(small.get(&blobs[0]).is_some(), "the one that is always asked for");
        }
        let kept = blobs.iter().filter(|blob| small.get(blob).is_some()).count();
        assert!((10..=40).contains(&kept), "{kept}");
        small.forget(&blobs);
        assert!(blobs.iter().all(|blob| small.get(blob).is_none()));
    }

    #[test]
    fn without_room_nothing_is_taken() {
        assert!(!SmallBlobs::new(0).takes(&BlobName::fresh(), 1));
        assert!(!SmallBlobs::new(1 << 20).takes(&BlobName::fresh(), LARGEST + 1));
    }
}

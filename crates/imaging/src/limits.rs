use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::{Error, Header};

/// What a source may be at most. Everything is checked on the header, before a decoder sees the bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Pixels in all used frames together.
    pub pixels: u64,
    /// Bytes of the source. 0 is no limit.
    pub bytes: usize,
    /// How many frames of an animation are used; the rest is left out. 1 makes animations still.
    pub frames: u32,
    /// How far into a text an `<svg>` is looked for, in bytes.
    pub svg_check_bytes: usize,
}

impl Default for Limits {
    /// imgproxy's: 16.8 megapixels, any number of bytes, one frame.
    fn default() -> Self {
        Self { pixels: 16_800_000, bytes: 0, frames: 1, svg_check_bytes: 32 * 1024 }
    }
}

impl Limits {
    /// Looks at the source's size.
    pub fn check_bytes(&self, bytes: usize) -> Result<(), Error> {
        if self.bytes > 0 && bytes > self.bytes {
            return Err(Error::TooManyBytes(self.bytes));
        }
        Ok(())
    }

    /// Looks at what the header promises, for as many frames as will be decoded.
    pub fn check(&self, header: &Header, frames: u32) -> Result<(), Error> {
        let pixels = u64::from(header.width) * u64::from(header.height) * u64::from(frames.max(1));
        if pixels > self.pixels {
            return Err(Error::TooManyPixels { pixels, limit: self.pixels });
        }
        Ok(())
    }
}

/// When to stop working: at a moment, or as soon as nobody waits. Asked between steps and between frames.
#[derive(Clone, Debug, Default)]
pub struct Patience {
    deadline: Option<Instant>,
    cancelled: Arc<AtomicBool>,
}

impl Patience {
    /// Until a moment.
    pub fn until(deadline: Instant) -> Self {
        Self { deadline: Some(deadline), cancelled: Arc::default() }
    }

    /// Tells the worker that its result is not needed.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether to go on.
    pub fn check(&self) -> Result<(), Error> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Error::Timeout),
            _ => Ok(()),
        }
    }
}

//! One AV1 key frame through `rav1d`, dav1d in Rust. Its interface is still dav1d's C one, so this file has to be unsafe.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use rav1d::Dav1dResult;
use rav1d::include::dav1d::data::Dav1dData;
use rav1d::include::dav1d::dav1d::{Dav1dContext, Dav1dLogger, Dav1dSettings};
use rav1d::include::dav1d::picture::Dav1dPicture;
use rav1d::src::lib::{
    dav1d_close, dav1d_data_create, dav1d_data_unref, dav1d_default_settings, dav1d_get_picture, dav1d_open,
    dav1d_picture_unref, dav1d_send_data,
};

use crate::{Error, Format};

/// How much colour there is beside the light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Grey,
    /// 4:2:0.
    Quarter,
    /// 4:2:2.
    Half,
    /// 4:4:4.
    Full,
}

/// Samples of 8, 10 or 12 bits.
pub(super) struct Planes {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) layout: Layout,
    pub(super) bits: u8,
    /// ITU-T H.273.
    pub(super) matrix: u16,
    pub(super) full_range: bool,
    luma: Vec<u16>,
    chroma: [Vec<u16>; 2],
    chroma_width: usize,
}

impl Planes {
    pub(super) fn luma(&self, x: usize, y: usize) -> u16 {
        self.luma[y * self.width + x]
    }

    pub(super) fn chroma(&self, x: usize, y: usize) -> Option<(u16, u16)> {
        let (x, y) = match self.layout {
            Layout::Grey => return None,
            Layout::Quarter => (x / 2, y / 2),
            Layout::Half => (x / 2, y),
            Layout::Full => (x, y),
        };
        let at = y * self.chroma_width + x;
        Some((self.chroma[0][at], self.chroma[1][at]))
    }
}

/// Closes the decoder, whatever happens.
struct Context(Option<Dav1dContext>);

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context is ours, and closed once.
        unsafe { dav1d_close(Some(NonNull::from(&mut self.0))) };
    }
}

/// Gives a picture's buffers back.
struct Shown(Dav1dPicture);

impl Drop for Shown {
    fn drop(&mut self) {
        // SAFETY: the picture is ours, and given back once; an empty one is left alone.
        unsafe { dav1d_picture_unref(Some(NonNull::from(&mut self.0))) };
    }
}

fn check(result: Dav1dResult) -> Result<(), Error> {
    match result.0 {
        0 => Ok(()),
        code => Err(Error::damaged(Format::Avif, format_args!("AV1 error {code}"))),
    }
}

/// Decodes the first frame, of at most so many pixels.
pub(super) fn decode(stream: &[u8], pixels: u64) -> Result<Planes, Error> {
    let damaged = |reason: &str| Error::damaged(Format::Avif, reason);
    let mut settings = MaybeUninit::<Dav1dSettings>::uninit();
    // SAFETY: the function fills all of the settings.
    let mut settings = unsafe {
        dav1d_default_settings(NonNull::new_unchecked(settings.as_mut_ptr()));
        settings.assume_init()
    };
    // With one frame at a time rav1d 1.1.0 panics where a frame's data is damaged, and a panic within an `extern "C"`
    // function ends the process. With two it answers with an error.
    settings.n_threads = 2;
    settings.max_frame_delay = 2;
    // It would tell of damage on standard error; what matters is in the result.
    // SAFETY: without a callback there is nothing to be called.
    settings.logger = unsafe { Dav1dLogger::new(None, None) };
    settings.frame_size_limit = u32::try_from(pixels).unwrap_or(u32::MAX).max(1);
    let mut context = Context(None);
    // SAFETY: both point to live values.
    check(unsafe { dav1d_open(Some(NonNull::from(&mut context.0)), Some(NonNull::from(&mut settings))) })?;

    let mut data = Dav1dData::default();
    // SAFETY: `data` is empty; the result points to as many writable bytes as asked for, or is null.
    let buffer = unsafe { dav1d_data_create(Some(NonNull::from(&mut data)), stream.len()) };
    let Some(buffer) = NonNull::new(buffer).filter(|_| !stream.is_empty()) else {
        return Err(damaged("no AV1 data"));
    };
    // SAFETY: `buffer` has room for `stream`, and is not part of it.
    unsafe { std::ptr::copy_nonoverlapping(stream.as_ptr(), buffer.as_ptr(), stream.len()) };
    let mut shown = Shown(Dav1dPicture::default());
    let mut drained = false;
    let outcome = loop {
        if data.sz > 0 {
            // SAFETY: the context is open, `data` is ours and takes account of what was consumed.
            let sent = unsafe { dav1d_send_data(context.0, Some(NonNull::from(&mut data))) };
            if sent.0 != 0 && sent.0 != AGAIN {
                break check(sent);
            }
        }
        // SAFETY: the context is open and the picture empty.
        let got = unsafe { dav1d_get_picture(context.0, Some(NonNull::from(&mut shown.0))) };
        if got.0 != AGAIN || (data.sz == 0 && drained) {
            break check(got);
        }
        // Asked again without new data, the decoder gives what it has.
        drained = data.sz == 0;
    };
    // SAFETY: gives back what was not consumed; empty data is left alone.
    unsafe { dav1d_data_unref(Some(NonNull::from(&mut data))) };
    outcome?;
    copy(&shown.0).ok_or_else(|| damaged("no planes"))
}

/// What dav1d answers for "not yet": the negated `EAGAIN`.
const AGAIN: c_int = -11;

/// The planes, without the gaps between their rows.
fn copy(picture: &Dav1dPicture) -> Option<Planes> {
    let (width, height) = (usize::try_from(picture.p.w).ok()?, usize::try_from(picture.p.h).ok()?);
    let layout = match picture.p.layout {
        0 => Layout::Grey,
        1 => Layout::Quarter,
        2 => Layout::Half,
        _ => Layout::Full,
    };
    let (chroma_width, chroma_height) = match layout {
        Layout::Grey => (0, 0),
        Layout::Quarter => (width.div_ceil(2), height.div_ceil(2)),
        Layout::Half => (width.div_ceil(2), height),
        Layout::Full => (width, height),
    };
    let bits = u8::try_from(picture.p.bpc).ok()?;
    let plane = |number: usize, width: usize, height: usize| -> Option<Vec<u16>> {
        let start = picture.data[number]?.cast::<u8>();
        let stride = picture.stride[number.min(1)];
        let mut samples = Vec::with_capacity(width * height);
        for y in 0..height {
            // SAFETY: dav1d keeps `height` rows of at least `width` samples, `stride` bytes apart, alive until the picture
            // is given back; samples of more than 8 bits are two aligned bytes.
            unsafe {
                let row = start.as_ptr().offset(stride * y as isize);
                if bits == 8 {
                    samples.extend(
                        std::slice::from_raw_parts(row, width).iter().map(|&sample| u16::from(sample)),
                    );
                } else {
                    samples.extend_from_slice(std::slice::from_raw_parts(row.cast::<u16>(), width));
                }
            }
        }
        Some(samples)
    };
    let luma = plane(0, width, height)?;
    let chroma = match layout {
        Layout::Grey => [Vec::new(), Vec::new()],
        _ => [plane(1, chroma_width, chroma_height)?, plane(2, chroma_width, chroma_height)?],
    };
    // SAFETY: a decoded picture keeps its sequence header alive.
    let sequence = unsafe { picture.seq_hdr?.as_ref() };
    Some(Planes {
        width,
        height,
        layout,
        bits,
        matrix: sequence.mtrx as u16,
        full_range: sequence.color_range != 0,
        luma,
        chroma,
        chroma_width,
    })
}

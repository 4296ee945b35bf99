//! libwebp: the only encoder of lossy WebP there is. It sees nothing but pixels of our own.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use libwebp_sys as sys;

use crate::{Error, Format, Frame, Metadata, Picture};

/// No side may be larger.
pub(crate) const MOST_SIDE: u32 = 16383;

fn failed(reason: impl ToString) -> Error {
    Error::encoder(Format::Webp, reason)
}

/// libwebp's own picture; gives its memory back.
struct Input(sys::WebPPicture);

impl Input {
    fn new(picture: &Picture) -> Result<Self, Error> {
        let side = |side: u32| {
            i32::try_from(side).ok().filter(|_| side <= MOST_SIDE).ok_or_else(|| failed("too large"))
        };
        let (width, height) = (side(picture.width())?, side(picture.height())?);
        let mut input = Self(sys::WebPPicture::new().map_err(|()| failed("another libwebp"))?);
        input.0.width = width;
        input.0.height = height;
        input.0.use_argb = 0;
        let import = if picture.alpha() { sys::WebPPictureImportRGBA } else { sys::WebPPictureImportRGBX };
        // SAFETY: the buffer has `height` rows of `width * 4` bytes; the input was initialised.
        let imported = unsafe { import(&mut input.0, picture.pixels().as_ptr(), width * 4) };
        if imported == 0 { Err(failed("no memory")) } else { Ok(input) }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // SAFETY: initialised, and freed once.
        unsafe { sys::WebPPictureFree(&mut self.0) };
    }
}

/// Where libwebp writes to; gives its memory back.
struct Output(sys::WebPMemoryWriter);

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: initialised, and freed once.
        unsafe { sys::WebPMemoryWriterClear(&mut self.0) };
    }
}

fn config(quality: u8) -> Result<sys::WebPConfig, Error> {
    let mut config = sys::WebPConfig::new().map_err(|()| failed("another libwebp"))?;
    config.quality = f32::from(quality);
    // SAFETY: the configuration is initialised.
    if unsafe { sys::WebPValidateConfig(&config) } == 0 { Err(failed("settings")) } else { Ok(config) }
}

pub(super) fn encode(picture: &Picture, quality: u8, metadata: &Metadata) -> Result<Vec<u8>, Error> {
    let config = config(quality)?;
    let mut input = Input::new(picture)?;
    let mut writer = MaybeUninit::uninit();
    // SAFETY: the function fills all of the writer.
    let mut output = Output(unsafe {
        sys::WebPMemoryWriterInit(writer.as_mut_ptr());
        writer.assume_init()
    });
    input.0.writer = Some(sys::WebPMemoryWrite);
    input.0.custom_ptr = (&raw mut output.0).cast();
    // SAFETY: configuration and input are initialised; the writer outlives the call.
    if unsafe { sys::WebPEncode(&config, &mut input.0) } == 0 {
        return Err(failed(format_args!("{:?}", input.0.error_code)));
    }
    // SAFETY: the writer holds `size` bytes at `mem`.
    let file = unsafe { std::slice::from_raw_parts(output.0.mem, output.0.size) };
    Ok(with_chunks(file, picture, metadata))
}

/// libwebp's animation encoder; gives its memory back.
struct Animation(*mut sys::WebPAnimEncoder);

impl Drop for Animation {
    fn drop(&mut self) {
        // SAFETY: made by `WebPAnimEncoderNew`, deleted once; null is allowed.
        unsafe { sys::WebPAnimEncoderDelete(self.0) };
    }
}

pub(super) fn encode_animation(
    frames: &[Frame],
    loops: u16,
    quality: u8,
    metadata: &Metadata,
) -> Result<Vec<u8>, Error> {
    let config = config(quality)?;
    let first = &frames[0].picture;
    let mut options = MaybeUninit::uninit();
    // SAFETY: the function fills all of the options, if it says so.
    let mut options = unsafe {
        let version = sys::WEBP_MUX_ABI_VERSION as _;
        if sys::WebPAnimEncoderOptionsInitInternal(options.as_mut_ptr(), version) == 0 {
            return Err(failed("another libwebp"));
        }
        options.assume_init()
    };
    options.anim_params.loop_count = i32::from(loops);
    let (width, height) = (first.width() as i32, first.height() as i32);
    // SAFETY: the options are initialised; the sides were checked when the inputs are made, and here by the function.
    let animation = Animation(unsafe {
        sys::WebPAnimEncoderNewInternal(width, height, &options, sys::WEBP_MUX_ABI_VERSION as _)
    });
    if animation.0.is_null() {
        return Err(failed("too large"));
    }
    let mut moment = 0i32;
    for frame in frames {
        let mut input = Input::new(&frame.picture)?;
        // SAFETY: the encoder and the input are alive; it copies what it needs.
        if unsafe { sys::WebPAnimEncoderAdd(animation.0, &mut input.0, moment, &config) } == 0 {
            return Err(failed("a frame"));
        }
        moment = moment.saturating_add(i32::try_from(frame.delay).unwrap_or(i32::MAX));
    }
    let mut data = sys::WebPData { bytes: std::ptr::null(), size: 0 };
    // SAFETY: no frame and no configuration ends the sequence; `data` is then filled with memory of libwebp's.
    let done = unsafe {
        sys::WebPAnimEncoderAdd(animation.0, std::ptr::null_mut(), moment, std::ptr::null()) != 0
            && sys::WebPAnimEncoderAssemble(animation.0, &mut data) != 0
    };
    if !done || data.bytes.is_null() {
        return Err(failed("the frames"));
    }
    // SAFETY: `data` holds `size` bytes, which are copied before they are given back.
    let file = unsafe {
        let file = std::slice::from_raw_parts(data.bytes, data.size).to_vec();
        sys::WebPFree(data.bytes.cast_mut().cast());
        file
    };
    Ok(with_chunks(&file, first, metadata))
}

/// Adds profile and metadata, which need the extended form of the file.
fn with_chunks(file: &[u8], picture: &Picture, metadata: &Metadata) -> Vec<u8> {
    let Metadata { icc, exif, xmp, .. } = metadata;
    let Some(body) = file.get(12..) else { return file.to_vec() };
    if icc.is_none() && exif.is_none() && xmp.is_none() {
        return file.to_vec();
    }
    // An animation, or one with transparency, is extended already.
    let (mut flags, body) = match body.strip_prefix(b"VP8X") {
        Some(extended) => (extended[4], &extended[14..]),
        None => (if picture.alpha() { 0x10 } else { 0 }, body),
    };
    for (there, flag) in [(icc.is_some(), 0x20), (exif.is_some(), 0x08), (xmp.is_some(), 0x04)] {
        if there {
            flags |= flag;
        }
    }
    let chunk = |name: &[u8; 4], data: &[u8]| {
        let mut chunk = [name.as_slice(), &(data.len() as u32).to_le_bytes(), data].concat();
        chunk.resize(chunk.len().next_multiple_of(2), 0);
        chunk
    };
    let size = |side: u32| (side - 1).to_le_bytes();
    let head = [&[flags, 0, 0, 0], &size(picture.width())[..3], &size(picture.height())[..3]].concat();
    let mut chunks = chunk(b"VP8X", &head);
    if let Some(icc) = icc {
        chunks.extend(chunk(b"ICCP", icc));
    }
    chunks.extend_from_slice(body);
    if let Some(exif) = exif {
        chunks.extend(chunk(b"EXIF", exif));
    }
    if let Some(xmp) = xmp {
        chunks.extend(chunk(b"XMP ", xmp));
    }
    [b"RIFF".as_slice(), &((chunks.len() + 4) as u32).to_le_bytes(), b"WEBP", &chunks].concat()
}

//! imgproxy's pipeline: trim → sizes → decode at a fraction → crop → scale → turn → crop to the result → filters → extend →
//! padding → limits of the format → flatten → watermark → colours → metadata → encode.

use bytes::Bytes;

use super::geometry::{asked_size, before_turning, crop_side, min_given, position, scale, scaled};
use super::options::{Gravity, Place, Resize, Settings, Transform};
use super::resample::resample;
use super::{filters, smart, trim, watermark};
use crate::decode::{Decoded, Wanted, decode};
use crate::encode::encode;
use crate::{Error, Format, Frame, Header, Limits, Metadata, Orientation, Patience, Picture, colour};

/// The lowest quality that [`Transform::max_bytes`] goes down to.
const WORST_QUALITY: u8 = 10;
/// How long a frame is shown whose animation says nothing, in milliseconds.
const USUAL_DELAY: u32 = 40;
/// AVIF has no smaller sides.
const LEAST_AVIF: u32 = 16;

/// A finished picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Its type.
    pub format: Format,
    /// The file.
    pub bytes: Bytes,
    /// In pixels, of one frame.
    pub width: u32,
    /// In pixels, of one frame.
    pub height: u32,
    /// Of the source, upright.
    pub source_width: u32,
    /// Of the source, upright.
    pub source_height: u32,
}

/// Makes the picture. The header must be the source's; limits are checked on it before anything is decoded.
pub fn render(
    source: &[u8],
    header: &Header,
    transform: &Transform,
    settings: &Settings,
    limits: &Limits,
    patience: &Patience,
) -> Result<Rendered, Error> {
    limits.check_bytes(source.len())?;
    limits.check(header, 1)?;
    if !header.format.readable() {
        return Err(Error::CannotRead(header.format));
    }
    // Only a result that can move is worth more than the first frame.
    let may_move = limits.frames > 1 && header.animated() && header.format.has_animation();
    let animated = may_move && transform.format.is_none_or(Format::has_animation);
    let mut format = result_format(header, transform, settings, animated);
    if !format.writable() {
        return Err(Error::CannotWrite(format));
    }
    let animated = animated && format.has_animation();
    let frames = if animated { header.frames.min(limits.frames) } else { 1 };
    limits.check(header, frames)?;

    let work = Work { header, transform, settings, format, patience };
    let (frames, loops, metadata) = if animated { work.moving(source, frames)? } else { work.still(source)? };
    patience.check()?;
    let first = &frames[0].picture;
    let (width, height) = (first.width(), first.height());
    if format == Format::Avif && (width < LEAST_AVIF || height < LEAST_AVIF) {
        format = if first.alpha() { Format::Png } else { Format::Jpeg };
    }
    let bytes = fitted(&frames, loops, format, &metadata, transform, settings, patience)?;
    let (source_width, source_height) = header.upright_size();
    Ok(Rendered { format, bytes: bytes.into(), width, height, source_width, source_height })
}

/// The type of the result, decided before anything is decoded.
fn result_format(header: &Header, transform: &Transform, settings: &Settings, animated: bool) -> Format {
    let accepts = transform.accepts;
    if let Some(asked) = transform.format {
        return match () {
            () if accepts.enforce_avif && !animated => Format::Avif,
            () if accepts.enforce_webp => Format::Webp,
            () => asked,
        };
    }
    let alpha = transform.background.is_none()
        && (header.alpha || transform.padding.any() || transform.extend.is_some());
    let suits = |format: &Format| (!animated || format.has_animation()) && (!alpha || format.has_alpha());
    if accepts.prefer_avif && !animated {
        Format::Avif
    } else if accepts.prefer_webp {
        Format::Webp
    } else if settings.preferred.contains(&header.format) {
        header.format
    } else {
        let suiting = settings.preferred.iter().copied().find(suits);
        suiting.or(settings.preferred.first().copied()).unwrap_or(Format::Png)
    }
}

/// Encodes, with less and less quality while the file is too large.
fn fitted(
    frames: &[Frame],
    loops: u16,
    format: Format,
    metadata: &Metadata,
    transform: &Transform,
    settings: &Settings,
    patience: &Patience,
) -> Result<Vec<u8>, Error> {
    let mut quality = transform.quality.of(format);
    let shrinks = matches!(format, Format::Jpeg | Format::Webp | Format::Avif | Format::Tiff);
    loop {
        let file = encode(frames, loops, format, quality, metadata, &settings.encoding)?;
        if transform.max_bytes == 0
            || !shrinks
            || file.len() <= transform.max_bytes
            || quality <= WORST_QUALITY
        {
            return Ok(file);
        }
        patience.check()?;
        let over = file.len() as f64 / transform.max_bytes as f64;
        let step = if over > 3.0 {
            0.25
        } else if over > 1.5 {
            0.5
        } else {
            0.75
        };
        quality = (f64::from(quality) * step) as u8;
    }
}

/// One call of [`render`].
struct Work<'a> {
    header: &'a Header,
    transform: &'a Transform,
    settings: &'a Settings,
    format: Format,
    patience: &'a Patience,
}

/// What is done with one picture.
#[derive(Clone, Copy)]
struct Plan {
    orientation: Orientation,
    crop: (u32, u32),
    crop_gravity: Gravity,
    scale: (f64, f64),
}

impl Work<'_> {
    fn still(&self, source: &[u8]) -> Result<(Vec<Frame>, u16, Metadata), Error> {
        let shrink = if self.transform.trim.is_some() { 1 } else { self.shrink() };
        let decoded = decode(source, self.header, Wanted { frames: 1, shrink }, self.patience)?;
        let Decoded { mut frames, metadata, .. } = decoded;
        frames.truncate(1);
        let mut whole = frames.pop().ok_or(Error::UnknownFormat)?.picture;
        let mut size = (self.header.width, self.header.height);
        if let Some(options) = &self.transform.trim {
            whole = trim::trim(whole, options);
            size = (whole.width(), whole.height());
        }
        let plan = self.plan(size);
        let mut picture = self.shape(whole, size, plan)?;
        self.mark(&mut picture)?;
        let metadata = self.finish(&mut picture, metadata);
        Ok((vec![Frame { picture, delay: 0 }], 0, metadata))
    }

    fn moving(&self, source: &[u8], frames: u32) -> Result<(Vec<Frame>, u16, Metadata), Error> {
        let decoded = decode(source, self.header, Wanted { frames, shrink: 1 }, self.patience)?;
        let size = (self.header.width, self.header.height);
        let plan = self.plan(size);
        let without_delays = decoded.frames.iter().all(|frame| frame.delay == 0);
        let mut metadata = decoded.metadata.clone();
        let mut frames = Vec::with_capacity(decoded.frames.len());
        for Frame { picture, delay } in decoded.frames {
            let mut picture = self.shape(picture, size, plan)?;
            self.mark(&mut picture)?;
            metadata = self.finish(&mut picture, decoded.metadata.clone());
            frames.push(Frame { picture, delay: if without_delays { USUAL_DELAY } else { delay } });
        }
        Ok((frames, decoded.loops, metadata))
    }

    /// For stored pixels of this size.
    fn plan(&self, (width, height): (u32, u32)) -> Plan {
        let transform = self.transform;
        let orientation = if transform.auto_rotate { self.header.orientation } else { Orientation::UPRIGHT };
        let sideways = (orientation.angle + transform.rotate) % 180 == 90;
        let (width, height) = if sideways { (height, width) } else { (width, height) };
        let crop = (crop_side(width, transform.crop.width), crop_side(height, transform.crop.height));
        let scale = scale(min_given(crop.0, width), min_given(crop.1, height), transform);
        Plan { orientation, crop, crop_gravity: transform.crop.gravity.unwrap_or(transform.gravity), scale }
    }

    fn sideways(&self, plan: &Plan) -> bool {
        (plan.orientation.angle + self.transform.rotate) % 180 == 90
    }

    /// What fraction of a JPEG is enough.
    fn shrink(&self) -> u32 {
        let plan = self.plan((self.header.width, self.header.height));
        let scale = plan.scale.0.max(plan.scale.1);
        if self.header.format != Format::Jpeg || !self.settings.shrink_on_load || scale >= 1.0 {
            return 1;
        }
        match (1.0 / scale) as u32 {
            8.. => 8,
            4.. => 4,
            2.. => 2,
            _ => 1,
        }
    }

    /// Crop, scale, turn, crop again, filters, space around, limits of the format. `planned` is the size that the plan was
    /// made for; the picture may have been decoded smaller.
    fn shape(&self, picture: Picture, planned: (u32, u32), mut plan: Plan) -> Result<Picture, Error> {
        let transform = self.transform;
        let sideways = self.sideways(&plan);
        let upright = |(width, height)| if sideways { (height, width) } else { (width, height) };
        let now = (picture.width(), picture.height());
        if now != planned {
            let ((planned_width, planned_height), (width, height)) = (upright(planned), upright(now));
            let shrunk =
                (f64::from(planned_width) / f64::from(width), f64::from(planned_height) / f64::from(height));
            let rest = |side: u32, scale: f64| if scaled(side, scale) == side { 1.0 } else { scale };
            plan.scale = (rest(width, plan.scale.0 * shrunk.0), rest(height, plan.scale.1 * shrunk.1));
            let cropped =
                |side: u32, shrunk: f64| if side == 0 { 0 } else { scaled(side, 1.0 / shrunk).max(1) };
            plan.crop = (cropped(plan.crop.0, shrunk.0), cropped(plan.crop.1, shrunk.1));
            if plan.crop_gravity.place != Place::FocusPoint {
                plan.crop_gravity.x /= shrunk.0;
                plan.crop_gravity.y /= shrunk.1;
            }
        }

        let turned_once = before_turning(plan.crop_gravity, plan.orientation);
        let turn = Orientation { angle: transform.rotate, flip: false };
        let crop_gravity = before_turning(turned_once, turn);
        let mut picture = crop(picture, upright(plan.crop), &crop_gravity)?;
        self.patience.check()?;

        let (x, y) = plan.scale;
        if (x, y) != (1.0, 1.0) {
            let (x, y) = if sideways { (y, x) } else { (x, y) };
            let side = |side: u32, scale: f64| scaled(side, scale).max(1);
            picture = self.resized(&picture, side(picture.width(), x), side(picture.height(), y))?;
        }
        self.patience.check()?;

        picture = picture.orient(plan.orientation).orient(turn);
        let (mut width, mut height) = asked_size(transform);
        if transform.resize == Resize::FillDown {
            let shrunk = |other: u32, is: u32, asked: u32| {
                // A side that was asked for does not vanish.
                scaled(other, f64::from(is) / f64::from(asked)).max(other.min(1))
            };
            if width > picture.width() {
                (width, height) = (picture.width(), shrunk(height, picture.width(), width));
            }
            if height > picture.height() {
                (width, height) = (shrunk(width, picture.height(), height), picture.height());
            }
        }
        picture = crop(picture, (width, height), &transform.gravity)?;

        if transform.blur > 0.0 {
            picture = filters::blur(picture, transform.blur)?;
            self.patience.check()?;
        }
        if transform.sharpen > 0.0 {
            picture = filters::sharpen(picture, transform.sharpen);
            self.patience.check()?;
        }
        if transform.pixelate > 1 {
            picture = filters::pixelate(picture, transform.pixelate);
        }
        picture = self.surrounded(picture)?;
        self.limited(picture)
    }

    fn resized(&self, picture: &Picture, width: u32, height: u32) -> Result<Picture, Error> {
        self.affordable(u64::from(width), u64::from(height))?;
        resample(picture, width, height)
    }

    /// A size in the URL must not decide how much memory is taken.
    fn affordable(&self, width: u64, height: u64) -> Result<(), Error> {
        let (pixels, limit) = (width.saturating_mul(height), self.settings.max_result_pixels);
        if pixels > limit || width > u64::from(u32::MAX) || height > u64::from(u32::MAX) {
            return Err(Error::TooManyPixels { pixels, limit });
        }
        Ok(())
    }

    /// Extend and padding.
    fn surrounded(&self, mut picture: Picture) -> Result<Picture, Error> {
        let transform = self.transform;
        if let Some(gravity) = &transform.extend {
            let (width, height) = asked_size(transform);
            if width > picture.width() || height > picture.height() {
                let (width, height) = (width.max(picture.width()), height.max(picture.height()));
                self.affordable(width.into(), height.into())?;
                let (left, top) =
                    position((width, height), (picture.width(), picture.height()), gravity, false);
                picture = picture.embed(width, height, left, top);
            }
        }
        if transform.padding.any() {
            let side = |side: u32| u64::from(scaled(side, transform.dpr));
            let padding = transform.padding;
            let (left, top) = (side(padding.left), side(padding.top));
            let width = u64::from(picture.width()) + left + side(padding.right);
            let height = u64::from(picture.height()) + top + side(padding.bottom);
            self.affordable(width, height)?;
            picture = picture.embed(width as u32, height as u32, left as i64, top as i64);
        }
        Ok(picture)
    }

    /// Not larger than the format can be.
    fn limited(&self, picture: Picture) -> Result<Picture, Error> {
        let most = match self.format {
            Format::Webp => 16383.0,
            Format::Gif => 65535.0,
            Format::Ico => 256.0,
            _ => return Ok(picture),
        };
        let (width, height) = (picture.width(), picture.height());
        let scale = most / f64::from(width.max(height));
        if scale >= 1.0 {
            return Ok(picture);
        }
        self.resized(&picture, scaled(width, scale).max(1), scaled(height, scale).max(1))
    }

    /// Background and watermark.
    fn mark(&self, picture: &mut Picture) -> Result<(), Error> {
        if self.transform.background.is_some() || !self.format.has_alpha() {
            picture.flatten(self.transform.background.unwrap_or([255, 255, 255]));
        }
        if let (Some(options), Some((mark, opacity))) = (&self.transform.watermark, &self.settings.watermark)
        {
            let layer = watermark::layer(mark, options, picture.width(), picture.height())?;
            watermark::put(picture, &layer, options.opacity * opacity);
        }
        Ok(())
    }

    /// Colours, and which metadata the result has.
    fn finish(&self, picture: &mut Picture, mut metadata: Metadata) -> Metadata {
        if (self.transform.strip_profile || !self.format.has_profile())
            && let Some(icc) = metadata.icc.take()
        {
            colour::to_srgb(picture, &icc);
        }
        match (self.transform.strip_metadata, self.transform.keep_copyright) {
            (true, true) => metadata.copyright_only(),
            (true, false) => metadata.stripped(),
            (false, _) => metadata.upright(),
        }
    }
}

/// The part of this size (0 for all of a side) at the gravity's place.
fn crop(picture: Picture, (width, height): (u32, u32), gravity: &Gravity) -> Result<Picture, Error> {
    let outer = (picture.width(), picture.height());
    if width == 0 && height == 0 {
        return Ok(picture);
    }
    let inner = (min_given(width, outer.0), min_given(height, outer.1));
    if inner == outer {
        return Ok(picture);
    }
    let (left, top) = if gravity.place == Place::Smart {
        smart::best(&picture, inner.0, inner.1)?
    } else {
        let (left, top) = position(outer, inner, gravity, false);
        (left as u32, top as u32)
    };
    Ok(picture.crop(left, top, inner.0, inner.1))
}

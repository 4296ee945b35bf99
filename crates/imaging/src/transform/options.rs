use std::collections::BTreeMap;

use crate::{Encoding, Format, Picture};

/// How the asked size is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Resize {
    /// All of the picture, at most the size.
    #[default]
    Fit,
    /// All of the size, what does not fit is cut off.
    Fill,
    /// Like `Fill`, but a picture that is too small keeps the wanted proportions instead of one large side.
    FillDown,
    /// Exactly the size, distorted.
    Force,
    /// `Fill` if picture and size are both upright or both wide, else `Fit`.
    Auto,
}

/// Where something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum Place {
    #[default]
    Center,
    North,
    East,
    South,
    West,
    NorthWest,
    NorthEast,
    SouthWest,
    SouthEast,
    /// Where the picture is most interesting.
    Smart,
    /// At the fractions x and y of width and height.
    FocusPoint,
}

/// A place and an offset from it, in pixels (or, for a focus point, the point in fractions).
#[derive(Clone, Copy, Debug, PartialEq, Default)]
#[allow(missing_docs)]
pub struct Gravity {
    pub place: Place,
    pub x: f64,
    pub y: f64,
}

/// What to cut out before resizing. Below 1 a side is a fraction of the picture; 0 is all of it.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
#[allow(missing_docs)]
pub struct Crop {
    pub width: f64,
    pub height: f64,
    /// The transformation's own if not given.
    pub gravity: Option<Gravity>,
}

/// Takes away a border of one colour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trim {
    /// How much a channel may differ from the border's, 0 to 255.
    pub threshold: f64,
    /// The border's; that of the first pixel if not given.
    pub colour: Option<[u8; 3]>,
    /// As much on the left as on the right.
    pub equal_horizontally: bool,
    /// As much at the top as at the bottom.
    pub equal_vertically: bool,
}

/// Transparent (or background-coloured) space around, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Padding {
    pub top: u32,
    pub right: u32,
    pub bottom: u32,
    pub left: u32,
}

impl Padding {
    /// Whether there is any.
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

/// Where and how the watermark is put.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Watermark {
    /// 0 to 1.
    pub opacity: f64,
    /// All over, instead of at a place.
    pub replicate: bool,
    /// Where; the offsets are the gaps when it is all over.
    pub gravity: Gravity,
    /// Its size as a fraction of the picture's; 0 as it is.
    pub scale: f64,
}

/// How good, from 1 (bad) to 100.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quality {
    /// For this picture, whatever its type.
    pub explicit: Option<u8>,
    /// By type.
    pub formats: BTreeMap<Format, u8>,
    /// For the rest.
    pub default: u8,
}

impl Default for Quality {
    /// imgproxy's: 80, but 50 for AVIF.
    fn default() -> Self {
        Self { explicit: None, formats: BTreeMap::from([(Format::Avif, 50)]), default: 80 }
    }
}

impl Quality {
    /// For a result of this type.
    pub fn of(&self, format: Format) -> u8 {
        let by_format = self.formats.get(&format).copied().filter(|&quality| quality > 0);
        self.explicit.filter(|&quality| quality > 0).or(by_format).unwrap_or(self.default)
    }
}

/// What the receiver takes beside what it must take, and what it gets whether or not something else was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Accepts {
    pub prefer_webp: bool,
    pub enforce_webp: bool,
    pub prefer_avif: bool,
    pub enforce_avif: bool,
}

/// What to do with a picture. The defaults leave it as it is, upright and without metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct Transform {
    /// See [`Resize`].
    pub resize: Resize,
    /// Wanted width; 0 follows from the height.
    pub width: u32,
    /// Wanted height; 0 follows from the width.
    pub height: u32,
    /// The result is at least so wide, even if it must grow.
    pub min_width: u32,
    /// The result is at least so high, even if it must grow.
    pub min_height: u32,
    /// The result is at most so wide and high, whatever else is asked.
    pub bounds: Option<(u32, u32)>,
    /// Multiplies the size, by axis.
    pub zoom: (f64, f64),
    /// Multiplies size and padding, for screens with small pixels.
    pub dpr: f64,
    /// Whether a picture may grow.
    pub enlarge: bool,
    /// Fill up to the wanted size with transparency.
    pub extend: Option<Gravity>,
    /// What stays when something is cut off.
    pub gravity: Gravity,
    /// Before resizing.
    pub crop: Crop,
    /// Before all else. Not for animations.
    pub trim: Option<Trim>,
    /// After resizing.
    pub padding: Padding,
    /// Whether EXIF decides what is up.
    pub auto_rotate: bool,
    /// Clockwise, after that: 0, 90, 180 or 270.
    pub rotate: u16,
    /// Behind transparency.
    pub background: Option<[u8; 3]>,
    /// Standard deviation in pixels.
    pub blur: f32,
    /// Standard deviation in pixels.
    pub sharpen: f32,
    /// Size of the squares in pixels.
    pub pixelate: u32,
    /// Needs [`Settings::watermark`].
    pub watermark: Option<Watermark>,
    /// Drop EXIF, XMP and IPTC.
    pub strip_metadata: bool,
    /// But not who made it.
    pub keep_copyright: bool,
    /// Convert to sRGB and drop the profile.
    pub strip_profile: bool,
    /// The result's type; decided by [`Transform::accepts`] and the source if not given.
    pub format: Option<Format>,
    /// See [`Accepts`].
    pub accepts: Accepts,
    /// See [`Quality`].
    pub quality: Quality,
    /// Lowers the quality until the file is so small; 0 does not.
    pub max_bytes: usize,
}

impl Default for Transform {
    fn default() -> Self {
        Self {
            resize: Resize::Fit,
            width: 0,
            height: 0,
            min_width: 0,
            min_height: 0,
            bounds: None,
            zoom: (1.0, 1.0),
            dpr: 1.0,
            enlarge: false,
            extend: None,
            gravity: Gravity::default(),
            crop: Crop::default(),
            trim: None,
            padding: Padding::default(),
            auto_rotate: true,
            rotate: 0,
            background: None,
            blur: 0.0,
            sharpen: 0.0,
            pixelate: 0,
            watermark: None,
            strip_metadata: true,
            keep_copyright: true,
            strip_profile: true,
            format: None,
            accepts: Accepts::default(),
            quality: Quality::default(),
            max_bytes: 0,
        }
    }
}

/// What holds for all pictures of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Types in the order in which one is chosen when nobody asked for one.
    pub preferred: Vec<Format>,
    /// How to write.
    pub encoding: Encoding,
    /// Whether a decoder may decode at a fraction of the size.
    pub shrink_on_load: bool,
    /// The picture that [`Transform::watermark`] puts on others, and its opacity, 0 to 1.
    pub watermark: Option<(Picture, f64)>,
    /// No result has more pixels than this, whatever size is asked for.
    pub max_result_pixels: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            preferred: vec![Format::Jpeg, Format::Png, Format::Gif, Format::Webp, Format::Avif, Format::Ico],
            encoding: Encoding::default(),
            shrink_on_load: true,
            watermark: None,
            max_result_pixels: 100_000_000,
        }
    }
}

use std::fmt;
use std::str::FromStr;

/// A type of picture, as imgproxy knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Format {
    Jpeg,
    Png,
    Webp,
    Gif,
    Ico,
    Svg,
    Heic,
    Avif,
    Bmp,
    Tiff,
}

impl Format {
    /// Every type.
    pub const ALL: [Self; 10] = [
        Self::Jpeg,
        Self::Png,
        Self::Webp,
        Self::Gif,
        Self::Ico,
        Self::Svg,
        Self::Heic,
        Self::Avif,
        Self::Bmp,
        Self::Tiff,
    ];

    /// The name in URLs and settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Gif => "gif",
            Self::Ico => "ico",
            Self::Svg => "svg",
            Self::Heic => "heic",
            Self::Avif => "avif",
            Self::Bmp => "bmp",
            Self::Tiff => "tiff",
        }
    }

    /// The media type.
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
            Self::Ico => "image/x-icon",
            Self::Svg => "image/svg+xml",
            Self::Heic => "image/heif",
            Self::Avif => "image/avif",
            Self::Bmp => "image/bmp",
            Self::Tiff => "image/tiff",
        }
    }

    /// The ending of a file name, with its dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => ".jpg",
            Self::Png => ".png",
            Self::Webp => ".webp",
            Self::Gif => ".gif",
            Self::Ico => ".ico",
            Self::Svg => ".svg",
            Self::Heic => ".heic",
            Self::Avif => ".avif",
            Self::Bmp => ".bmp",
            Self::Tiff => ".tiff",
        }
    }

    /// Whether it can hold transparency.
    pub const fn has_alpha(self) -> bool {
        !matches!(self, Self::Jpeg | Self::Bmp)
    }

    /// Whether it can hold several frames in time.
    pub const fn has_animation(self) -> bool {
        matches!(self, Self::Gif | Self::Webp)
    }

    /// Whether we embed a colour profile in it. AVIF can hold one, but its encoder cannot be given one.
    pub const fn has_profile(self) -> bool {
        matches!(self, Self::Jpeg | Self::Png | Self::Webp)
    }

    /// Whether we read it. HEVC, inside HEIC, is not free to use; SVG needs a renderer and fonts.
    pub const fn readable(self) -> bool {
        !matches!(self, Self::Heic | Self::Svg)
    }

    /// Whether we write it.
    pub const fn writable(self) -> bool {
        !matches!(self, Self::Heic | Self::Svg)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No type has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no image format has this name")]
pub struct UnknownName;

impl FromStr for Format {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let name = if name == "jpg" { "jpeg" } else { name };
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or(UnknownName)
    }
}

//! What a URL's options mean, in the order in which they come; the last word wins.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use imaging::{Format, Gravity, Padding, Place, Resize, Transform, Trim, Watermark};

use crate::{Config, Error, path};

/// The largest pixel ratio that a client's hint may ask for.
const MOST_HINTED_DPR: f64 = 8.0;

/// A request, understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    /// What to do with the picture.
    pub(crate) transform: Transform,
    /// Where it is.
    pub(crate) source: String,
    /// Types that are passed on as they are.
    pub(crate) skip: Vec<Format>,
    /// Without a file's ending.
    pub(crate) filename: String,
    pub(crate) attachment: bool,
    /// Pass the source on, whatever it is.
    pub(crate) raw: bool,
    used_presets: Vec<String>,
    trim: Trim,
    watermark: Watermark,
}

/// Options with names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presets(HashMap<String, Vec<(String, Vec<String>)>>);

impl Presets {
    /// From lines like `name=option:argument/option`. Empty ones and comments are skipped.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut presets = Self::default();
        for line in lines {
            let line = line.trim_matches(' ');
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut parts = line.split('=').map(|part| part.trim_matches(' '));
            let (Some(name), Some(value), None) = (parts.next(), parts.next(), parts.next()) else {
                return Err(format!("Invalid preset string: {line}"));
            };
            if name.is_empty() {
                return Err(format!("Empty preset name: {line}"));
            }
            if value.is_empty() {
                return Err(format!("Empty preset value: {line}"));
            }
            let segments: Vec<&str> = value.split('/').collect();
            let (options, rest) = path::split_options(&segments);
            if !rest.is_empty() {
                return Err(format!("Invalid preset value: {line}"));
            }
            let owned = |(name, arguments): (&str, Vec<&str>)| {
                (name.to_owned(), arguments.into_iter().map(str::to_owned).collect())
            };
            presets.0.insert(name.to_owned(), options.into_iter().map(owned).collect());
        }
        Ok(presets)
    }

    /// Whether all of them can be used.
    pub(crate) fn check(config: &Config) -> Result<(), String> {
        for name in config.presets.0.keys() {
            let mut request = Request::new(config);
            let wrong = |error: Error| format!("Error in preset `{name}`: {error}");
            request.preset(config, &[name]).map_err(wrong)?;
        }
        Ok(())
    }
}

impl Request {
    fn new(config: &Config) -> Self {
        let defaults = &config.defaults;
        let mut transform = Transform {
            strip_metadata: defaults.strip_metadata,
            keep_copyright: defaults.keep_copyright,
            strip_profile: defaults.strip_profile,
            auto_rotate: defaults.auto_rotate,
            ..Transform::default()
        };
        transform.quality.default = defaults.quality;
        transform.quality.formats.clone_from(&defaults.format_quality);
        Self {
            transform,
            source: String::new(),
            skip: defaults.skip_processing.clone(),
            filename: String::new(),
            attachment: defaults.return_attachment,
            raw: false,
            used_presets: Vec::new(),
            trim: Trim { threshold: 10.0, colour: None, equal_horizontally: false, equal_vertically: false },
            watermark: Watermark { opacity: 1.0, replicate: false, gravity: Gravity::default(), scale: 0.0 },
        }
    }

    /// From the path behind the signature, and the headers that count.
    pub(crate) fn parse(config: &Config, path: &str, headers: &HeaderMap) -> Result<Self, Error> {
        let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        let mut request = Self::new(config);
        request.accept(config, headers);
        if config.presets.0.contains_key("default") {
            request.preset(config, &["default"])?;
        }
        let rest = if config.only_presets {
            let [names, rest @ ..] = segments.as_slice() else {
                return Err(Error::invalid_url("no presets"));
            };
            request.preset(config, &names.split(':').collect::<Vec<_>>())?;
            rest
        } else {
            if resize_type(segments[0]).is_some() {
                return Err(Error::invalid_url("It looks like you're using the deprecated basic URL format"));
            }
            let (options, rest) = path::split_options(&segments);
            for (name, arguments) in options {
                request.apply(config, name, &arguments)?;
            }
            rest
        };
        let (source, format) = path::source(rest, &config.base_url)?;
        request.source = source;
        if let Some(format) = format {
            request.transform.format = Some(image_type(&format)?);
        }
        Ok(request)
    }

    fn accept(&mut self, config: &Config, headers: &HeaderMap) {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let accepted = header("accept").unwrap_or_default();
        let accepts = &mut self.transform.accepts;
        let detection = config.detection;
        if accepted.contains("image/webp") {
            accepts.prefer_webp = detection.webp || detection.enforce_webp;
            accepts.enforce_webp = detection.enforce_webp;
        }
        if accepted.contains("image/avif") {
            accepts.prefer_avif = detection.avif || detection.enforce_avif;
            accepts.enforce_avif = detection.enforce_avif;
        }
        if !config.client_hints {
            return;
        }
        if let Some(dpr) = header("dpr").and_then(|value| value.parse::<f64>().ok())
            && dpr > 0.0
            && dpr <= MOST_HINTED_DPR
        {
            self.transform.dpr = dpr;
        }
        if let Some(width) = header("viewport-width").and_then(|value| value.parse().ok()) {
            self.transform.width = width;
        }
        if let Some(width) = header("width").and_then(|value| value.parse::<u32>().ok()) {
            self.transform.width = (f64::from(width) / self.transform.dpr).round() as u32;
        }
    }

    fn preset(&mut self, config: &Config, names: &[&str]) -> Result<(), Error> {
        for name in names {
            let Some(options) = config.presets.0.get(*name) else {
                return Err(Error::invalid_url(format!("Unknown preset: {name}")));
            };
            // A preset that uses itself is used once.
            if self.used_presets.iter().any(|used| used == name) {
                continue;
            }
            self.used_presets.push((*name).to_owned());
            for (name, arguments) in options {
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                self.apply(config, name, &arguments)?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, config: &Config, name: &str, arguments: &[&str]) -> Result<(), Error> {
        let transform = &mut self.transform;
        // Of most options nothing may follow the first argument.
        let one = || match arguments {
            [only] => Ok(*only),
            _ => Err(Error::invalid_url(format!("Invalid {name} arguments: {arguments:?}"))),
        };
        match name {
            "resize" | "rs" => self.resize(arguments)?,
            "size" | "s" => self.size(arguments)?,
            "resizing_type" | "rt" => {
                transform.resize = resize_type(one()?).ok_or_else(|| wrong("resize type", arguments))?;
            }
            "width" | "w" => transform.width = whole(one()?)?,
            "height" | "h" => transform.height = whole(one()?)?,
            "min-width" | "mw" => transform.min_width = whole(one()?)?,
            "min-height" | "mh" => transform.min_height = whole(one()?)?,
            "zoom" | "z" => {
                let (first, second) = match arguments {
                    [both] => (both, both),
                    [x, y] => (x, y),
                    _ => return Err(wrong("zoom", arguments)),
                };
                transform.zoom = (positive(first)?, positive(second)?);
            }
            "dpr" => transform.dpr = positive(one()?)?,
            "enlarge" | "el" => transform.enlarge = truth(one()?),
            "extend" | "ex" => self.extend(arguments)?,
            "gravity" | "g" => gravity(&mut transform.gravity, arguments)?,
            "crop" | "c" => self.crop(arguments)?,
            "trim" | "t" => self.trim(arguments)?,
            "padding" | "pd" => padding(&mut transform.padding, arguments)?,
            "auto_rotate" | "ar" => transform.auto_rotate = truth(one()?),
            "rotate" | "rot" => {
                let angle: i32 = integer(one()?)?;
                if angle % 90 != 0 {
                    return Err(wrong("rotation angle", arguments));
                }
                transform.rotate = angle.rem_euclid(360) as u16;
            }
            "background" | "bg" => transform.background = background(arguments)?,
            "blur" | "bl" => transform.blur = number(one()?)? as f32,
            "sharpen" | "sh" => transform.sharpen = number(one()?)? as f32,
            "pixelate" | "pix" => transform.pixelate = whole(one()?)?,
            "watermark" | "wm" => self.watermark(arguments)?,
            "strip_metadata" | "sm" => transform.strip_metadata = truth(one()?),
            "keep_copyright" | "kcr" => transform.keep_copyright = truth(one()?),
            "strip_color_profile" | "scp" => transform.strip_profile = truth(one()?),
            // We read no thumbnails.
            "enforce_thumbnail" | "eth" => {
                truth(one()?);
            }
            "quality" | "q" => transform.quality.explicit = Some(quality(one()?)?),
            "format_quality" | "fq" => {
                if !arguments.len().is_multiple_of(2) {
                    return Err(wrong("format_quality", arguments));
                }
                for pair in arguments.chunks_exact(2) {
                    transform.quality.formats.insert(image_type(pair[0])?, quality(pair[1])?);
                }
            }
            "max_bytes" | "mb" => transform.max_bytes = whole(one()?)? as usize,
            "format" | "f" | "ext" => transform.format = Some(image_type(one()?)?),
            "skip_processing" | "skp" => {
                for argument in arguments {
                    self.skip.push(image_type(argument)?);
                }
            }
            "raw" => self.raw = truth(one()?),
            "cachebuster" | "cb" => {
                one()?;
            }
            "expires" | "exp" => {
                let moment: i64 = integer(one()?)?;
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
                if moment > 0 && (moment as u64) < now {
                    return Err(Error::invalid_url("Expired URL"));
                }
            }
            "filename" | "fn" => self.filename = one()?.to_owned(),
            "return_attachment" | "att" => self.attachment = truth(one()?),
            "preset" | "pr" => self.preset(config, arguments)?,
            unknown => return Err(Error::invalid_url(format!("Unknown processing option: {unknown}"))),
        }
        Ok(())
    }

    fn resize(&mut self, arguments: &[&str]) -> Result<(), Error> {
        let [kind, size @ ..] = arguments else { return Err(wrong("resize", arguments)) };
        if size.len() > 7 {
            return Err(wrong("resize", arguments));
        }
        if !kind.is_empty() {
            self.transform.resize = resize_type(kind).ok_or_else(|| wrong("resize type", arguments))?;
        }
        if size.is_empty() { Ok(()) } else { self.size(size) }
    }

    fn size(&mut self, arguments: &[&str]) -> Result<(), Error> {
        if arguments.len() > 7 {
            return Err(wrong("size", arguments));
        }
        let given = |index: usize| arguments.get(index).copied().filter(|argument| !argument.is_empty());
        if let Some(width) = given(0) {
            self.transform.width = whole(width)?;
        }
        if let Some(height) = given(1) {
            self.transform.height = whole(height)?;
        }
        if let Some(enlarge) = given(2) {
            self.transform.enlarge = truth(enlarge);
        }
        if given(3).is_some() {
            self.extend(&arguments[3..])?;
        }
        Ok(())
    }

    fn extend(&mut self, arguments: &[&str]) -> Result<(), Error> {
        let [on, place @ ..] = arguments else { return Err(wrong("extend", arguments)) };
        if arguments.len() > 4 {
            return Err(wrong("extend", arguments));
        }
        let mut where_to = self.transform.extend.unwrap_or_default();
        if !place.is_empty() {
            gravity(&mut where_to, place)?;
            if where_to.place == Place::Smart {
                return Err(Error::invalid_url("extend doesn't support smart gravity"));
            }
        }
        self.transform.extend = truth(on).then_some(where_to);
        Ok(())
    }

    fn crop(&mut self, arguments: &[&str]) -> Result<(), Error> {
        let [width, rest @ ..] = arguments else { return Err(wrong("crop", arguments)) };
        if arguments.len() > 5 {
            return Err(wrong("crop", arguments));
        }
        let crop = &mut self.transform.crop;
        crop.width = number(width)?;
        if let Some(height) = rest.first() {
            crop.height = number(height)?;
        }
        if rest.len() > 1 {
            gravity(crop.gravity.get_or_insert_default(), &rest[1..])?;
        }
        Ok(())
    }

    fn trim(&mut self, arguments: &[&str]) -> Result<(), Error> {
        let [threshold, rest @ ..] = arguments else { return Err(wrong("trim", arguments)) };
        if arguments.len() > 4 {
            return Err(wrong("trim", arguments));
        }
        self.trim.threshold = number(threshold)?;
        let given = |index: usize| rest.get(index).copied().filter(|argument| !argument.is_empty());
        if let Some(text) = given(0) {
            self.trim.colour = Some(colour(text).ok_or_else(|| wrong("trim color", arguments))?);
        }
        if let Some(on) = given(1) {
            self.trim.equal_horizontally = truth(on);
        }
        if let Some(on) = given(2) {
            self.trim.equal_vertically = truth(on);
        }
        self.transform.trim = Some(self.trim);
        Ok(())
    }

    fn watermark(&mut self, arguments: &[&str]) -> Result<(), Error> {
        let [opacity, rest @ ..] = arguments else { return Err(wrong("watermark", arguments)) };
        if arguments.len() > 7 {
            return Err(wrong("watermark", arguments));
        }
        let mark = &mut self.watermark;
        mark.opacity = number(opacity)
            .ok()
            .filter(|opacity| *opacity <= 1.0)
            .ok_or_else(|| wrong("watermark opacity", arguments))?;
        let given = |index: usize| rest.get(index).copied().filter(|argument| !argument.is_empty());
        match given(0) {
            None => {}
            Some("re") => mark.replicate = true,
            Some(name) => {
                let found = place(name).filter(|place| !matches!(place, Place::Smart | Place::FocusPoint));
                mark.gravity.place = found.ok_or_else(|| wrong("watermark position", arguments))?;
            }
        }
        if let Some(x) = given(1) {
            mark.gravity.x = f64::from(integer::<i32>(x)?);
        }
        if let Some(y) = given(2) {
            mark.gravity.y = f64::from(integer::<i32>(y)?);
        }
        if let Some(scale) = given(3) {
            mark.scale = number(scale)?;
        }
        self.transform.watermark = (mark.opacity > 0.0).then_some(*mark);
        Ok(())
    }
}

fn wrong(what: &str, arguments: &[&str]) -> Error {
    Error::invalid_url(format!("Invalid {what}: {}", arguments.join(":")))
}

fn integer<T: std::str::FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| wrong("number", &[text]))
}

/// Not negative. What does not fit asks for as much as there is.
fn whole(text: &str) -> Result<u32, Error> {
    let value: i64 = integer(text)?;
    if value < 0 { Err(wrong("number", &[text])) } else { Ok(u32::try_from(value).unwrap_or(u32::MAX)) }
}

/// Not negative.
fn number(text: &str) -> Result<f64, Error> {
    let value: f64 = integer(text)?;
    if value >= 0.0 && value.is_finite() { Ok(value) } else { Err(wrong("number", &[text])) }
}

/// Above zero.
fn positive(text: &str) -> Result<f64, Error> {
    number(text).and_then(|value| if value > 0.0 { Ok(value) } else { Err(wrong("number", &[text])) })
}

fn quality(text: &str) -> Result<u8, Error> {
    whole(text)?.try_into().ok().filter(|quality| *quality <= 100).ok_or_else(|| wrong("quality", &[text]))
}

/// What Go takes for true; all else is false.
pub(crate) fn truth(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

fn image_type(name: &str) -> Result<Format, Error> {
    name.parse().map_err(|_| wrong("image format", &[name]))
}

fn resize_type(name: &str) -> Option<Resize> {
    Some(match name {
        "fit" => Resize::Fit,
        "fill" => Resize::Fill,
        "fill-down" => Resize::FillDown,
        "force" => Resize::Force,
        "auto" => Resize::Auto,
        _ => return None,
    })
}

fn place(name: &str) -> Option<Place> {
    Some(match name {
        "ce" => Place::Center,
        "no" => Place::North,
        "ea" => Place::East,
        "so" => Place::South,
        "we" => Place::West,
        "nowe" => Place::NorthWest,
        "noea" => Place::NorthEast,
        "sowe" => Place::SouthWest,
        "soea" => Place::SouthEast,
        "sm" => Place::Smart,
        "fp" => Place::FocusPoint,
        _ => return None,
    })
}

fn gravity(gravity: &mut Gravity, arguments: &[&str]) -> Result<(), Error> {
    let [name, offsets @ ..] = arguments else { return Err(wrong("gravity", arguments)) };
    let place = place(name).ok_or_else(|| wrong("gravity", arguments))?;
    let fits = match place {
        Place::Smart => offsets.is_empty(),
        Place::FocusPoint => offsets.len() == 2,
        _ => offsets.len() <= 2,
    };
    if !fits {
        return Err(wrong("gravity arguments", arguments));
    }
    gravity.place = place;
    let offset = |text: &str| {
        let value: f64 = integer(text)?;
        let fits = value.is_finite() && (place != Place::FocusPoint || (0.0..=1.0).contains(&value));
        if fits { Ok(value) } else { Err(wrong("gravity", arguments)) }
    };
    if let Some(x) = offsets.first() {
        gravity.x = offset(x)?;
    }
    if let Some(y) = offsets.get(1) {
        gravity.y = offset(y)?;
    }
    Ok(())
}

/// As in CSS: one for all sides, two for vertical and horizontal, and so on; empty ones keep what they were.
fn padding(padding: &mut Padding, arguments: &[&str]) -> Result<(), Error> {
    if arguments.is_empty() || arguments.len() > 4 {
        return Err(wrong("padding", arguments));
    }
    let given = |index: usize| match arguments.get(index) {
        Some(text) if !text.is_empty() => whole(text).map(Some),
        _ => Ok(None),
    };
    if let Some(all) = given(0)? {
        *padding = Padding { top: all, right: all, bottom: all, left: all };
    }
    if let Some(sides) = given(1)? {
        (padding.right, padding.left) = (sides, sides);
    }
    if let Some(bottom) = given(2)? {
        padding.bottom = bottom;
    }
    if let Some(left) = given(3)? {
        padding.left = left;
    }
    Ok(())
}

/// Three or six hexadecimal digits.
fn colour(text: &str) -> Option<[u8; 3]> {
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| u8::from_str_radix(text.get(range)?, 16).ok();
    match text.len() {
        3 => Some([part(0..1)? * 17, part(1..2)? * 17, part(2..3)? * 17]),
        6 => Some([part(0..2)?, part(2..4)?, part(4..6)?]),
        _ => None,
    }
}

fn background(arguments: &[&str]) -> Result<Option<[u8; 3]>, Error> {
    match arguments {
        [""] => Ok(None),
        [text] => colour(text).map(Some).ok_or_else(|| wrong("background argument", arguments)),
        [red, green, blue] => Ok(Some([integer(red)?, integer(green)?, integer(blue)?])),
        _ => Err(wrong("background arguments", arguments)),
    }
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;

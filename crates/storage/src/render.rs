//! Pictures on the way out: made once, kept in the store, made again when the sweeper has taken them away.
//!
//! What imgproxy does for the original happens in this process: its pipeline is `imaging`'s, its limits and qualities are
//! those that the Supabase CLI gives it. A finished picture is a blob like any other, entered in the ledger before it is
//! written; no row refers to it, so the sweeper removes it with the orphans when it is a day old. Its name is a digest of
//! the object's version and of everything that decides about the picture, and so is its entity tag: whatever replaces the
//! object makes new names, and nothing has to be thrown away in time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use imaging::{
    Accepts, Format, Header, Limits, Once, Patience, Quality, Resize, Settings, Transform, Workshop,
};
use sha2::{Digest, Sha256};

use crate::blob::{Attributes, BlobName, StoreError};
use crate::config::Images;
use crate::domain::{Domain, Object, Transformations};
use crate::error::{Code, Error, Result};
use crate::render_rate::RenderRate;
use crate::{blob, sql};

/// What a source may be, as the CLI sets imgproxy up.
const LIMITS: Limits =
    Limits { pixels: 50_000_000, bytes: 25_000_000, frames: 60, svg_check_bytes: 32 * 1024 };

/// A side that nobody asked for is no longer than this. The CLI's preset crops to it; here the picture shrinks.
const BOUNDS: (u32, u32) = (3000, 8192);

/// How many pictures may wait for a thread.
const MOST_WAITING: usize = 1024;

/// A finished picture.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    pub(crate) format: Format,
    pub(crate) bytes: Bytes,
}

/// Makes pictures.
pub(crate) struct Renderer {
    workshop: Option<Workshop>,
    once: Once<BlobName, Result<Picture>>,
    settings: Arc<Settings>,
    rate: Option<RenderRate>,
}

/// What is to be made of an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    transform: Transform,
    /// `X-Transformations`, in imgproxy's words.
    pub(crate) text: String,
    /// Whether the answer depends on `Accept`.
    pub(crate) negotiated: bool,
}

impl Wanted {
    /// From what was asked for and what the client takes. Sizes are brought between `least` and `most`.
    pub(crate) fn new(asked: &Transformations, accept: Option<&str>, least: u32, most: u32) -> Self {
        let side =
            |side: Option<u32>| side.filter(|side| *side > 0).map(|side| side.clamp(least, most.max(least)));
        let (height, width) = (side(asked.height), side(asked.width));
        let (resize, word) = match asked.resize.as_deref() {
            Some("contain") => (Resize::Fit, "fit"),
            Some("fill") => (Resize::Force, "force"),
            _ => (Resize::Fill, "fill"),
        };
        let sized = height.is_some() || width.is_some();
        let avif = asked.format.as_deref() == Some("avif");
        let negotiated = asked.format.is_none();
        let webp = negotiated && accept.is_some_and(|accept| accept.contains("image/webp"));
        let quality = asked.quality.and_then(|quality| u8::try_from(quality).ok());
        let transform = Transform {
            resize: if sized { resize } else { Resize::Fit },
            width: width.unwrap_or(0),
            height: height.unwrap_or(0),
            bounds: Some(BOUNDS),
            format: avif.then_some(Format::Avif),
            accepts: Accepts { prefer_webp: webp, ..Accepts::default() },
            quality: Quality {
                explicit: quality,
                formats: BTreeMap::from([(Format::Avif, 62)]),
                default: 80,
            },
            ..Transform::default()
        };
        let mut items = Vec::new();
        let mut item =
            |name: &str, value: Option<String>| items.extend(value.map(|value| format!("{name}:{value}")));
        item("height", height.map(|height| height.to_string()));
        item("width", width.map(|width| width.to_string()));
        item("resizing_type", sized.then(|| word.to_owned()));
        item("quality", quality.map(|quality| quality.to_string()));
        item("format", avif.then(|| "avif".to_owned()));
        Self { transform, text: items.join(","), negotiated }
    }

    /// The name of the picture that this object makes; also its entity tag.
    pub(crate) fn name(&self, object: &Object) -> Result<BlobName> {
        let row = &object.row;
        let mut hash = Sha256::new();
        // A row without version has an entity tag that changes with its content.
        for part in [&row.id, row.version.as_deref().unwrap_or_default(), object.etag().unwrap_or_default()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(format!("{:?}", self.transform));
        let name = format!("image-{}", URL_SAFE_NO_PAD.encode(hash.finalize()));
        BlobName::of_version(&name).ok_or_else(|| Error::internal("a digest is a name"))
    }
}

/// imgproxy's refusals, as the original passes them on: 400 on the wire, the real status in the body.
fn refused(status: u16, message: &'static str) -> Error {
    let code = if status < 500 { Code::InvalidRequest } else { Code::InternalError };
    Error::new(code, message).with_status(status)
}

fn from_imaging(error: imaging::Error) -> Error {
    use imaging::Error as E;
    tracing::debug!(%error, "no picture");
    match error {
        E::UnknownFormat
        | E::TooManyPixels { .. }
        | E::TooManyBytes(_)
        | E::CannotRead(_)
        | E::CannotWrite(_) => refused(422, "Invalid source image"),
        E::Busy => refused(429, "Too many requests"),
        E::Timeout => refused(503, "Timeout"),
        E::Damaged { .. } | E::Encoder { .. } | E::Cancelled => refused(500, "Internal error"),
    }
}

impl Renderer {
    /// As many threads as there are cores.
    pub(crate) fn open(config: &Images) -> Self {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let workshop = Workshop::open(threads, MOST_WAITING);
        let workshop = workshop.inspect_err(|error| tracing::error!(%error, "no threads for images")).ok();
        let rate = config.max_per_second.map(RenderRate::new);
        Self { workshop, once: Once::default(), settings: Arc::default(), rate }
    }

    /// Counts a request for the picture at this path from this address. An error is the time to wait.
    pub(crate) fn count(&self, address: &str, path: &str) -> Result<(), Duration> {
        match &self.rate {
            Some(rate) => rate.count(format!("{address} {path}"), Instant::now()),
            None => Ok(()),
        }
    }

    /// The picture: from the store, of somebody else's request for the same that is under way, or made now.
    pub(crate) async fn picture(&self, domain: &Domain, object: Object, wanted: Wanted) -> Result<Picture> {
        let limit = domain.config().images.timeout;
        let name = wanted.name(&object)?;
        let domain = domain.clone();
        let work = {
            let name = name.clone();
            move || async move {
                let Some(renderer) = domain.renderer() else { return Err(Error::internal("no renderer")) };
                renderer.find_or_make(&domain, object, wanted, name).await
            }
        };
        let late = || refused(503, "Timeout");
        tokio::time::timeout(limit, self.once.run(name, work)).await.map_err(|_| late())?
    }

    async fn find_or_make(
        &self,
        domain: &Domain,
        object: Object,
        wanted: Wanted,
        name: BlobName,
    ) -> Result<Picture> {
        match kept(domain, &name).await {
            Ok(Some(picture)) => {
                metrics::counter!("storage_images_total", "outcome" => "kept").increment(1);
                return Ok(picture);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "a kept picture could not be read"),
        }
        let source = self.source(domain, object).await?;
        let header = Header::read(&source, &LIMITS).map_err(from_imaging)?;
        if header.format == Format::Svg && wanted.transform.format.is_none() {
            return Ok(Picture { format: Format::Svg, bytes: imaging::sanitize_svg(&source).into() });
        }
        let Some(workshop) = &self.workshop else { return Err(Error::internal("no threads for images")) };
        let (settings, transform) = (self.settings.clone(), wanted.transform);
        let patience = Patience::until(Instant::now() + domain.config().images.timeout);
        let work = move |patience: &Patience| {
            imaging::render(&source, &header, &transform, &settings, &LIMITS, patience)
        };
        let rendered = workshop.run(patience, work).await.map_err(from_imaging)?;
        metrics::counter!("storage_images_total", "outcome" => "made").increment(1);
        let picture = Picture { format: rendered.format, bytes: rendered.bytes };
        // Whoever asked is not to wait for the disk, nor to suffer from it.
        tokio::spawn(keep(domain.clone(), name, picture.clone()));
        Ok(picture)
    }

    /// The object's bytes, if they are not too many.
    async fn source(&self, domain: &Domain, object: Object) -> Result<Bytes> {
        let size = domain.size_of(&object).await?;
        if size > LIMITS.bytes as u64 {
            return Err(refused(422, "Invalid source image"));
        }
        let opened = domain.open(object, None).await?;
        collected(opened.blob.body, LIMITS.bytes).await?.ok_or_else(|| refused(422, "Invalid source image"))
    }
}

/// The bytes of a body; `None` if they are more than `most`.
async fn collected(mut body: blob::Outflow, most: usize) -> Result<Option<Bytes>, StoreError> {
    let mut bytes = BytesMut::new();
    while let Some(part) = body.try_next().await? {
        if bytes.len() + part.len() > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&part);
    }
    Ok(Some(bytes.freeze()))
}

/// A picture that was made before. Its type is told by its bytes.
async fn kept(domain: &Domain, name: &BlobName) -> Result<Option<Picture>, StoreError> {
    let found = match domain.store().get(name, None).await {
        Ok(found) => found,
        Err(StoreError::NotFound) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(bytes) = collected(found.body, LIMITS.bytes * 4).await? else { return Ok(None) };
    Ok(imaging::sniff(&bytes, 0).map(|format| Picture { format, bytes }))
}

async fn keep(domain: Domain, name: BlobName, picture: Picture) {
    // An entry that is there already is another node's, or one whose blob is on its way out.
    if let Err(error) = sql::ledger::enter(&domain, &name).await {
        tracing::debug!(%error, "a picture is not kept");
        return;
    }
    let attributes = Attributes {
        content_type: Some(picture.format.mime().to_owned()),
        size: Some(picture.bytes.len() as u64),
        ..Attributes::default()
    };
    if let Err(error) = domain.store().put(&name, &attributes, blob::once(picture.bytes)).await {
        tracing::warn!(%error, "a picture could not be kept");
        domain.abandon(vec![name]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(asked: &Transformations, accept: &str) -> Wanted {
        Wanted::new(asked, Some(accept), 1, 2000)
    }

    #[test]
    fn sizes_are_kept_within_bounds() {
        let asked = Transformations { width: Some(9000), height: Some(0), ..Transformations::default() };
        let wanted = wanted(&asked, "*/*");
        assert_eq!((wanted.transform.width, wanted.transform.height), (2000, 0));
        assert_eq!(wanted.text, "width:2000,resizing_type:fill");
    }

    #[test]
    fn each_resize_is_imgproxys() {
        for (word, resize, text) in [
            ("cover", Resize::Fill, "fill"),
            ("contain", Resize::Fit, "fit"),
            ("fill", Resize::Force, "force"),
        ] {
            let asked = Transformations {
                height: Some(2),
                width: Some(3),
                resize: Some(word.to_owned()),
                quality: Some(50),
                format: Some("avif".to_owned()),
            };
            let wanted = wanted(&asked, "image/webp");
            assert_eq!((wanted.transform.resize, wanted.transform.format), (resize, Some(Format::Avif)));
            assert_eq!(wanted.text, format!("height:2,width:3,resizing_type:{text},quality:50,format:avif"));
        }
    }

    #[test]
    fn webp_is_for_those_who_take_it_unless_the_origins_type_is_asked_for() {
        let webp = |format: Option<&str>, accept: &str| {
            let asked = Transformations { format: format.map(str::to_owned), ..Transformations::default() };
            let wanted = wanted(&asked, accept);
            (wanted.transform.accepts.prefer_webp, wanted.negotiated)
        };
        assert_eq!(webp(None, "image/avif,image/webp,*/*"), (true, true));
        assert_eq!(webp(None, "*/*"), (false, true));
        assert_eq!(webp(Some("origin"), "image/webp"), (false, false));
    }
}

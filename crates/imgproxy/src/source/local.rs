use std::io::SeekFrom;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use ::http::{HeaderMap, HeaderValue, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use md5::{Digest, Md5};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::{Answer, Body, path_of};
use crate::Error;

/// Files below a folder.
pub(super) struct Local {
    root: PathBuf,
    etag: bool,
}

impl Local {
    pub(super) fn new(root: PathBuf, etag: bool) -> Self {
        Self { root, etag }
    }

    /// The file of an address. `..` goes up, but never above the folder.
    fn file(&self, path: &str) -> PathBuf {
        let mut inside = PathBuf::new();
        for part in Path::new(path).components() {
            match part {
                Component::Normal(name) => inside.push(name),
                Component::ParentDir => {
                    inside.pop();
                }
                _ => {}
            }
        }
        // To join nothing would add a slash.
        if inside.as_os_str().is_empty() { self.root.clone() } else { self.root.join(inside) }
    }

    pub(super) async fn ask(&self, address: &str, asked: &HeaderMap) -> Result<Answer, Error> {
        let path = path_of(address);
        let failed = |error: std::io::Error| Error::failing(error.to_string());
        let file = self.file(&path);
        let missing = || Answer {
            status: StatusCode::NOT_FOUND,
            headers: HeaderMap::new(),
            length: None,
            body: Body::Whole(Bytes::from(format!("{path} doesn't exist"))),
        };
        let mut file = match tokio::fs::File::open(file).await {
            Ok(file) => file,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(missing());
            }
            Err(error) => return Err(failed(error)),
        };
        let about = file.metadata().await.map_err(failed)?;
        // A pipe or a device would never end.
        if !about.is_file() {
            return Ok(missing());
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let (mut status, mut start, mut length) = (StatusCode::OK, 0, about.len());
        match asked.get(header::RANGE).map(|range| range.to_str().ok().and_then(parse_range)) {
            None => {
                if self.etag {
                    let changed = about.modified().map_err(failed)?;
                    let nanoseconds = changed.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
                    let tag = format!("{path}__{}__{nanoseconds}", about.len());
                    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Md5::digest(tag)));
                    let same = asked.get(header::IF_NONE_MATCH).is_some_and(|asked| asked == tag.as_str());
                    if let Ok(tag) = HeaderValue::try_from(tag) {
                        headers.insert(header::ETAG, tag);
                    }
                    if same {
                        status = StatusCode::NOT_MODIFIED;
                        return Ok(Answer { status, headers, length: None, body: Body::Whole(Bytes::new()) });
                    }
                }
            }
            Some(Some((from, to))) if from < about.len() => {
                let last = to.unwrap_or(u64::MAX).min(about.len() - 1);
                (status, start, length) = (StatusCode::PARTIAL_CONTENT, from, last - from + 1);
                let range = format!("bytes {from}-{last}/{}", about.len());
                if let Ok(range) = HeaderValue::try_from(range) {
                    headers.insert(header::CONTENT_RANGE, range);
                }
                file.seek(SeekFrom::Start(start)).await.map_err(failed)?;
            }
            Some(_) => {
                status = StatusCode::RANGE_NOT_SATISFIABLE;
                return Ok(Answer { status, headers, length: Some(0), body: Body::Whole(Bytes::new()) });
            }
        }
        if start == 0 && length > 0 {
            let mut beginning = vec![0; 512.min(length as usize)];
            file.read_exact(&mut beginning).await.map_err(failed)?;
            if let Some(format) = imaging::sniff(&beginning, beginning.len()) {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.mime()));
            }
            file.seek(SeekFrom::Start(0)).await.map_err(failed)?;
        }
        Ok(Answer { status, headers, length: Some(length), body: Body::File(file.take(length)) })
    }
}

/// First and last byte of the first range. Ranges that count from the end are not understood, as in the original.
fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let first = text.strip_prefix("bytes=")?.split(',').map(str::trim).find(|range| !range.is_empty())?;
    let (start, end) = first.split_once('-')?;
    let start: u64 = start.trim().parse().ok()?;
    match end.trim() {
        "" => Some((start, None)),
        end => end.parse().ok().filter(|end| *end >= start).map(|end| (start, Some(end))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_above_the_folder_can_be_named() {
        let local = Local::new(PathBuf::from("/srv/pictures"), false);
        let file = |path: &str| local.file(path).to_string_lossy().into_owned();
        assert_eq!(file("/a/b.jpg"), "/srv/pictures/a/b.jpg");
        assert_eq!(file("/../../etc/passwd"), "/srv/pictures/etc/passwd");
        assert_eq!(file("/a/../../b"), "/srv/pictures/b");
        assert_eq!(file("//etc//passwd"), "/srv/pictures/etc/passwd");
        assert_eq!(file(""), "/srv/pictures");
    }

    #[test]
    fn ranges_have_a_beginning() {
        assert_eq!(parse_range("bytes=0-9"), Some((0, Some(9))));
        assert_eq!(parse_range("bytes= 5- , 7-8"), Some((5, None)));
        for wrong in ["", "bytes=", "bytes=-5", "bytes=5-4", "lines=1-2", "bytes=a-b"] {
            assert_eq!(parse_range(wrong), None, "{wrong}");
        }
    }
}

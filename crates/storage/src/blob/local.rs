//! Blobs as files.
//!
//! A blob is written in place under its own name: names are used once and nothing refers to a blob before a row does, so
//! that there is nothing to rename. It is flushed to the disk, and its folder with it, before the write is reported.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use md5::{Digest, Md5};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{Attributes, Blob, BlobName, BoxFuture, Inflow, Outflow, Piece, Store, StoreError, Written};

/// How much is collected before a write, and read at a time.
const BLOCK: usize = 256 << 10;

/// Where and how blobs are kept as files.
#[derive(Debug, Clone)]
pub struct LocalStore(Arc<Layout>);

#[derive(Debug)]
struct Layout {
    root: PathBuf,
    upstream: Option<PathBuf>,
    fsync: bool,
}

impl LocalStore {
    /// A store in the folder `root`, which is made when it is missing.
    ///
    /// `upstream` is the folder of a volume of the original program that holds tenants' folders
    /// (`<volume>/<bucket setting>`): its files are read, and deleted with their objects. `fsync` says whether a blob
    /// outlives a power cut once it is acknowledged; only tests do without.
    pub fn open(
        root: impl Into<PathBuf>,
        upstream: Option<PathBuf>,
        fsync: bool,
    ) -> Result<Self, StoreError> {
        let root = root.into();
        make_folder(&root, fsync)?;
        Ok(Self(Arc::new(Layout { root, upstream, fsync })))
    }

    fn file(&self, name: &BlobName) -> Result<PathBuf, StoreError> {
        match (name.version(), &self.0.upstream) {
            (Some(_), _) => Ok(self.0.root.join(name.path())),
            (None, Some(upstream)) => Ok(upstream.join(name.path())),
            (None, None) => Err(StoreError::NotFound),
        }
    }
}

fn make_folder(path: &Path, fsync: bool) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    match path.parent() {
        Some(parent) if fsync && !parent.as_os_str().is_empty() => sync_folder(parent),
        _ => Ok(()),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// A file being written. Dropped before its end, it is removed.
struct Sink {
    file: File,
    path: PathBuf,
    digest: Md5,
    size: u64,
    whole: bool,
}

impl Sink {
    fn create(path: PathBuf, fsync: bool) -> io::Result<Self> {
        let open = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_folder(path.parent().unwrap_or(&path), fsync)?;
                open()?
            }
            other => other?,
        };
        Ok(Self { file, path, digest: Md5::new(), size: 0, whole: false })
    }

    fn write(mut self, chunks: &[Bytes]) -> io::Result<Self> {
        for chunk in chunks {
            self.digest.update(chunk);
            self.file.write_all(chunk)?;
            self.size += chunk.len() as u64;
        }
        Ok(self)
    }

    fn finish(mut self, fsync: bool) -> io::Result<Written> {
        if fsync {
            self.file.sync_data()?;
            if let Some(folder) = self.path.parent() {
                sync_folder(folder)?;
            }
        }
        self.whole = true;
        let digest = std::mem::take(&mut self.digest);
        Ok(Written { size: self.size, md5: digest.finalize().into() })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if !self.whole
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove a blob that was not finished");
        }
    }
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    joined(spawn_blocking(work)).await
}

async fn joined<T>(task: JoinHandle<Result<T, StoreError>>) -> Result<T, StoreError> {
    task.await.unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())))
}

impl Store for LocalStore {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn put<'a>(
        &'a self,
        name: &'a BlobName,
        _attributes: &'a Attributes,
        mut body: Inflow,
    ) -> BoxFuture<'a, Result<Written, StoreError>> {
        Box::pin(async move {
            let path = self.file(name)?;
            let fsync = self.0.fsync;
            // One write is under way while the next block arrives.
            let mut writing: Option<JoinHandle<Result<Sink, StoreError>>> = None;
            let mut block: Vec<Bytes> = Vec::new();
            let mut collected = 0;
            while let Some(chunk) = body.next().await {
                let chunk = chunk?;
                collected += chunk.len();
                block.push(chunk);
                if collected >= BLOCK {
                    let before = match writing.take() {
                        Some(task) => Some(joined(task).await?),
                        None => None,
                    };
                    let (chunks, path) = (std::mem::take(&mut block), path.clone());
                    collected = 0;
                    writing = Some(spawn_blocking(move || {
                        let sink = before.map_or_else(|| Sink::create(path, fsync), Ok)?;
                        Ok(sink.write(&chunks)?)
                    }));
                }
            }
            let before = match writing.take() {
                Some(task) => Some(joined(task).await?),
                None => None,
            };
            blocking(move || {
                let sink = before.map_or_else(|| Sink::create(path, fsync), Ok)?;
                Ok(sink.write(&block)?.finish(fsync)?)
            })
            .await
        })
    }

    fn get<'a>(
        &'a self,
        name: &'a BlobName,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Blob, StoreError>> {
        Box::pin(async move {
            let path = self.file(name)?;
            blocking(move || {
                let file = File::open(path)?;
                let metadata = file.metadata()?;
                if !metadata.is_file() {
                    return Err(StoreError::NotFound);
                }
                let size = metadata.len();
                let range = match range {
                    None => 0..size,
                    Some(range) if range.start < size && range.start < range.end => {
                        range.start..range.end.min(size)
                    }
                    Some(_) => return Err(StoreError::Range),
                };
                // A small one is read here and now: one change of threads for all of it.
                let first = read(&file, &range)?;
                let rest = range.start + first.len() as u64..range.end;
                let body: Outflow = if rest.is_empty() {
                    Box::pin(stream::once(std::future::ready(Ok(first))))
                } else {
                    outflow(file, first, rest)
                };
                Ok(Blob { size, range, body })
            })
            .await
        })
    }

    fn head<'a>(&'a self, name: &'a BlobName) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let path = self.file(name)?;
            blocking(move || {
                let metadata = fs::metadata(path)?;
                if metadata.is_file() { Ok(metadata.len()) } else { Err(StoreError::NotFound) }
            })
            .await
        })
    }

    fn copy<'a>(
        &'a self,
        from: &'a BlobName,
        to: &'a BlobName,
        _attributes: &'a Attributes,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let (source, target) = (self.file(from)?, self.file(to)?);
            let (ours, fsync) = (from.version().is_some(), self.0.fsync);
            blocking(move || {
                if ours && link(&source, &target, fsync)? {
                    return Ok(());
                }
                let mut from = File::open(&source)?;
                let mut sink = Sink::create(target, fsync)?;
                sink.size = io::copy(&mut from, &mut sink.file)?;
                sink.finish(fsync)?;
                Ok(())
            })
            .await
        })
    }

    fn compose<'a>(
        &'a self,
        pieces: &'a [Piece],
        to: &'a BlobName,
        _attributes: &'a Attributes,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let target = self.file(to)?;
            let sources = pieces.iter().map(|piece| self.file(&piece.name)).collect::<Result<Vec<_>, _>>()?;
            let fsync = self.0.fsync;
            blocking(move || {
                let mut sink = Sink::create(target, fsync)?;
                for source in sources {
                    // The kernel copies; on file systems that can, it only shares the blocks.
                    sink.size += io::copy(&mut File::open(source)?, &mut sink.file)?;
                }
                let size = sink.size;
                sink.finish(fsync)?;
                Ok(size)
            })
            .await
        })
    }

    fn delete<'a>(&'a self, names: &'a [BlobName]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let files: Vec<(PathBuf, bool)> = names
                .iter()
                .filter_map(|name| Some((self.file(name).ok()?, name.version().is_none())))
                .collect();
            let layout = self.0.clone();
            blocking(move || {
                for (path, adopted) in files {
                    match fs::remove_file(&path) {
                        Ok(()) if adopted => remove_empty_folders(&path, layout.upstream.as_deref()),
                        // Else it could come back after a power cut, and nobody would know it any more.
                        Ok(()) if layout.fsync => sync_folder(path.parent().unwrap_or(&path))?,
                        Ok(()) => {}
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok(())
            })
            .await
        })
    }

    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let layout = self.0.clone();
            blocking(
                move || if fs::metadata(&layout.root)?.is_dir() { Ok(()) } else { Err(StoreError::NotFound) },
            )
            .await
        })
    }

    fn path(&self, name: &BlobName) -> Option<PathBuf> {
        self.file(name).ok()
    }
}

/// Gives a blob a second name; blobs never change, so both can share the bytes. False where the file system cannot.
fn link(source: &Path, target: &Path, fsync: bool) -> Result<bool, StoreError> {
    let linked = match fs::hard_link(source, target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && source.exists() => {
            make_folder(target.parent().unwrap_or(target), fsync)?;
            fs::hard_link(source, target)
        }
        other => other,
    };
    match linked {
        Ok(()) => {
            if fsync {
                sync_folder(target.parent().unwrap_or(target))?;
            }
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::NotFound),
        Err(_) => Ok(false),
    }
}

/// At most one block of the range.
fn read(file: &File, range: &Range<u64>) -> io::Result<Bytes> {
    let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX).min(BLOCK);
    let mut block = vec![0; wanted];
    file.read_exact_at(&mut block, range.start)?;
    Ok(Bytes::from(block))
}

/// The first block and then the rest of the file, one block read ahead.
fn outflow(file: File, first: Bytes, rest: Range<u64>) -> Outflow {
    struct Reading {
        file: Arc<File>,
        rest: Range<u64>,
        ready: Option<Bytes>,
        ahead: Option<JoinHandle<Result<Bytes, StoreError>>>,
    }
    impl Reading {
        fn read_ahead(&mut self) {
            if !self.rest.is_empty() {
                let (file, rest) = (self.file.clone(), self.rest.clone());
                self.ahead = Some(spawn_blocking(move || Ok(read(&file, &rest)?)));
            }
        }
    }
    let reading = Reading { file: Arc::new(file), rest, ready: Some(first), ahead: None };
    Box::pin(stream::unfold(reading, |mut reading| async move {
        if let Some(first) = reading.ready.take() {
            reading.read_ahead();
            return Some((Ok(first), reading));
        }
        let block = joined(reading.ahead.take()?).await;
        match block {
            Ok(block) => {
                reading.rest.start += block.len() as u64;
                reading.read_ahead();
                Some((Ok(block), reading))
            }
            Err(error) => Some((Err(error), reading)),
        }
    }))
}

/// As the original does: no folder stays when its last file goes. The tenant's own folder and those above it do.
fn remove_empty_folders(file: &Path, root: Option<&Path>) {
    let Some(root) = root else { return };
    let kept = root.components().count() + 1;
    let mut folder = file.parent();
    while let Some(path) = folder {
        if path.components().count() <= kept || fs::remove_dir(path).is_err() {
            return;
        }
        folder = path.parent();
    }
}

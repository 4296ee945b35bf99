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

use super::buffers::{BLOCK, Buffers};
use super::{Attributes, Blob, BlobName, BoxFuture, Inflow, Outflow, Piece, Store, StoreError, Written};

/// Where and how blobs are kept as files.
#[derive(Debug, Clone)]
pub struct LocalStore(Arc<Layout>);

#[derive(Debug)]
struct Layout {
    root: PathBuf,
    upstream: Option<PathBuf>,
    fsync: bool,
    buffers: Buffers,
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
        Ok(Self(Arc::new(Layout { root, upstream, fsync, buffers: Buffers::default() })))
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
    File::open(path)?.sync_all()?;
    #[cfg(test)]
    tests::note("folder", path);
    Ok(())
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
            #[cfg(test)]
            tests::note("file", &self.path);
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
            let buffers = self.0.buffers.clone();
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
                let first = read(&buffers, &file, &range)?;
                let rest = range.start + first.len() as u64..range.end;
                let body: Outflow = if rest.is_empty() {
                    Box::pin(stream::once(std::future::ready(Ok(first))))
                } else {
                    outflow(buffers, file, first, rest)
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

    fn described<'a>(&'a self, name: &'a BlobName) -> BoxFuture<'a, Attributes> {
        Box::pin(async move {
            let (None, Ok(path)) = (name.version(), self.file(name)) else { return Attributes::default() };
            let read = move || Attributes {
                content_type: attribute(&path, "user.supabase.content-type"),
                cache_control: attribute(&path, "user.supabase.cache-control"),
                size: None,
            };
            spawn_blocking(read).await.unwrap_or_default()
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

/// An extended attribute of a file. None where there is none, or the file system knows of none.
fn attribute(path: &Path, name: &str) -> Option<String> {
    let mut value = vec![0; 4096];
    let length = rustix::fs::getxattr(path, name, &mut value).ok()?;
    value.truncate(length);
    String::from_utf8(value).ok().filter(|text| !text.is_empty())
}

/// At most one block of the range.
fn read(buffers: &Buffers, file: &File, range: &Range<u64>) -> io::Result<Bytes> {
    let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX).min(BLOCK);
    buffers.fill(wanted, |buffer| file.read_exact_at(buffer, range.start))
}

/// The first block and then the rest of the file, one block read ahead.
fn outflow(buffers: Buffers, file: File, first: Bytes, rest: Range<u64>) -> Outflow {
    struct Reading {
        buffers: Buffers,
        file: Arc<File>,
        rest: Range<u64>,
        ready: Option<Bytes>,
        ahead: Option<JoinHandle<Result<Bytes, StoreError>>>,
    }
    impl Reading {
        fn read_ahead(&mut self) {
            if !self.rest.is_empty() {
                let (buffers, file, rest) = (self.buffers.clone(), self.file.clone(), self.rest.clone());
                self.ahead = Some(spawn_blocking(move || Ok(read(&buffers, &file, &rest)?)));
            }
        }
    }
    let reading = Reading { buffers, file: Arc::new(file), rest, ready: Some(first), ahead: None };
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Mutex;

    use super::*;
    use crate::blob::once;

    /// What has been brought to the disk, in order.
    static SYNCED: Mutex<Vec<(&str, PathBuf)>> = Mutex::new(Vec::new());

    pub(super) fn note(kind: &'static str, path: &Path) {
        SYNCED.lock().unwrap().push((kind, path.to_owned()));
    }

    fn synced(root: &Path) -> Vec<(&'static str, PathBuf)> {
        let mut all = SYNCED.lock().unwrap();
        let ours = |path: &Path| path.starts_with(root);
        let taken = all.iter().filter(|(_, path)| ours(path)).cloned().collect();
        all.retain(|(_, path)| !ours(path));
        taken
    }

    /// After a power cut a file is there with all its bytes when its data, its name in its folder, and its folder's name
    /// in the one above have been brought to the disk, in whatever order, before the write was reported.
    #[tokio::test]
    async fn a_write_is_reported_when_file_and_folders_are_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("blobs");
        let store = LocalStore::open(&root, None, true).unwrap();
        assert_eq!(synced(folder.path()), [("folder", folder.path().to_owned())]);
        let (one, two) = (BlobName::fresh(), BlobName::fresh());
        let file = |name: &BlobName| root.join(name.path());
        let shard = |name: &BlobName| file(name).parent().unwrap().to_owned();
        store.put(&one, &Attributes::default(), once(Bytes::from_static(b"x"))).await.unwrap();
        let wanted = [("folder", root.clone()), ("file", file(&one)), ("folder", shard(&one))];
        assert_eq!(synced(folder.path()), wanted);

        store.copy(&one, &two, &Attributes::default()).await.unwrap();
        let last = synced(folder.path()).pop();
        assert_eq!(last, Some(("folder", shard(&two))), "a second name for the same bytes");

        let three = BlobName::fresh();
        let pieces = [&one, &two].map(|name| Piece { name: name.clone(), size: 1 });
        assert_eq!(store.compose(&pieces, &three, &Attributes::default()).await.unwrap(), 2);
        let order = synced(folder.path());
        assert_eq!(order[order.len() - 2..], [("file", file(&three)), ("folder", shard(&three))]);

        store.delete(&[one.clone()]).await.unwrap();
        assert_eq!(synced(folder.path()), [("folder", shard(&one))]);
    }

    #[tokio::test]
    async fn a_large_blob_comes_back_whole_and_in_parts() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(folder.path().join("blobs"), None, false).unwrap();
        let name = BlobName::fresh();
        let content: Vec<u8> = (0..3 * BLOCK + 77).map(|at| (at % 251) as u8).collect();
        store.put(&name, &Attributes::default(), once(content.clone().into())).await.unwrap();
        for range in [None, Some(0..10), Some(BLOCK as u64 - 3..2 * BLOCK as u64 + 9)] {
            let blob = store.get(&name, range.clone()).await.unwrap();
            let chunks: Vec<Bytes> = blob.body.map(Result::unwrap).collect().await;
            let (from, to) =
                range.map_or((0, content.len()), |range| (range.start as usize, range.end as usize));
            assert_eq!(chunks.concat(), content[from..to]);
        }
    }
}

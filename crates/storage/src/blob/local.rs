//! Blobs as files.
//!
//! A blob is written in place under its own name: names are used once and nothing refers to a blob before a row does, so
//! that there is nothing to rename. It is flushed to the disk, and its folder with it, before the write is reported.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::task::{JoinHandle, spawn_blocking};

use super::buffers::{BLOCK, Buffers};
use super::digest::Digest;
use super::lane::{Lane, Work};
use super::leaves::Leaves;
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

/// How many chunks' bytes are hashed and written at a time.
const PIECE: usize = 128 << 10;

/// How much of a file is written before the system is told to bring it to the disk.
const WRITE_BACK: u64 = 4 << 20;

/// A file being written. Dropped before its end, it is removed.
struct Sink {
    file: File,
    path: PathBuf,
    size: u64,
    /// How much of it is on its way to the disk.
    on_its_way: u64,
    fsync: bool,
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
        Ok(Self { file, path, size: 0, on_its_way: 0, fsync, whole: false })
    }

    fn write(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        for chunk in chunks {
            self.file.write_all(chunk)?;
            self.size += chunk.len() as u64;
        }
        if self.fsync && self.size - self.on_its_way >= WRITE_BACK {
            write_back(&self.file, self.on_its_way..self.size);
            self.on_its_way = self.size;
        }
        Ok(())
    }

    /// The size of the file, which is on the disk now.
    fn finish(mut self) -> io::Result<u64> {
        if self.fsync {
            self.file.sync_data()?;
            #[cfg(test)]
            tests::note("file", &self.path);
            if let Some(folder) = self.path.parent() {
                sync_folder(folder)?;
            }
        }
        self.whole = true;
        Ok(self.size)
    }
}

/// Has a part of a file brought to the disk from now on, so that the flush at its end finds little to do. It promises
/// nothing, and so its failure means nothing: that flush tells.
fn write_back(file: &File, part: Range<u64>) {
    #[cfg(target_os = "linux")]
    if let (Ok(from), Ok(length)) = (i64::try_from(part.start), i64::try_from(part.end - part.start)) {
        #[allow(unsafe_code)]
        // SAFETY: a system call on an open descriptor that touches no memory of ours.
        unsafe {
            libc::sync_file_range(file.as_raw_fd(), from, length, libc::SYNC_FILE_RANGE_WRITE);
        }
    }
}

impl Work for Sink {
    fn piece(&mut self, chunks: &[Bytes]) -> Result<(), StoreError> {
        Ok(self.write(chunks)?)
    }
}

/// What a body is hashed with.
enum Hash {
    Whole(Digest),
    ByLeaves(Leaves),
}

impl Hash {
    fn new(by_leaves: bool) -> Result<Self, StoreError> {
        Ok(if by_leaves { Self::ByLeaves(Leaves::new()) } else { Self::Whole(Digest::new()?) })
    }

    /// What is known of a blob of `size` bytes.
    fn finish(self, size: u64) -> Result<Written, StoreError> {
        let (md5, leaves) = match self {
            Self::Whole(digest) => (digest.finish()?, None),
            Self::ByLeaves(hashed) => {
                let (md5, leaves) = hashed.finish();
                (md5, Some(leaves))
            }
        };
        Ok(Written { size, md5, leaves })
    }
}

impl Work for Hash {
    fn piece(&mut self, chunks: &[Bytes]) -> Result<(), StoreError> {
        for chunk in chunks {
            match self {
                Self::Whole(digest) => digest.update(chunk)?,
                Self::ByLeaves(leaves) => leaves.update(chunk),
            }
        }
        Ok(())
    }
}

/// The next piece of a body: its last one is shorter, and empty when nothing is left.
async fn next_piece(body: &mut Inflow) -> Result<(Vec<Bytes>, bool), StoreError> {
    let (mut piece, mut collected) = (Vec::new(), 0);
    while collected < PIECE {
        let Some(chunk) = body.next().await else { return Ok((piece, true)) };
        let chunk = chunk?;
        collected += chunk.len();
        piece.push(chunk);
    }
    Ok((piece, false))
}

impl Drop for Sink {
    fn drop(&mut self) {
        if !self.whole
            && let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
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
        attributes: &'a Attributes,
        mut body: Inflow,
    ) -> BoxFuture<'a, Result<Written, StoreError>> {
        Box::pin(async move {
            let path = self.file(name)?;
            let (fsync, by_leaves) = (self.0.fsync, attributes.by_leaves);
            let (piece, last) = next_piece(&mut body).await?;
            if last {
                // A small one: one change of threads for all of it.
                return blocking(move || {
                    let (mut sink, mut hash) = (Sink::create(path, fsync)?, Hash::new(by_leaves)?);
                    sink.piece(&piece)?;
                    hash.piece(&piece)?;
                    hash.finish(sink.finish()?)
                })
                .await;
            }
            let sink = blocking(move || Ok(Sink::create(path, fsync)?)).await?;
            let (writing, hashing) = (Lane::new(sink), Lane::new(Hash::new(by_leaves)?));
            let mut next = (piece, last);
            loop {
                let (piece, last) = next;
                writing.push(piece.clone()).await?;
                hashing.push(piece).await?;
                if last {
                    break;
                }
                next = next_piece(&mut body).await?;
            }
            // The hash may still be behind while the disk is waited for.
            let sink = writing.finish().await?;
            let size = blocking(move || Ok(sink.finish()?)).await?;
            hashing.finish().await?.finish(size)
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
                let body =
                    if rest.is_empty() { Outflow::Ready(first) } else { outflow(buffers, file, first, rest) };
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
                sink.finish()?;
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
                Ok(sink.finish()?)
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
                let mut touched = BTreeSet::new();
                for (path, adopted) in &files {
                    match fs::remove_file(path) {
                        Ok(()) if *adopted => remove_empty_folders(path, layout.upstream.as_deref()),
                        Ok(()) if layout.fsync => {
                            touched.insert(path.parent().unwrap_or(path));
                        }
                        Ok(()) => {}
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                // Else they could come back after a power cut, and nobody would know them any more.
                for folder in touched {
                    sync_folder(folder)?;
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
                ..Attributes::default()
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
    Outflow::Coming(Box::pin(stream::unfold(reading, |mut reading| async move {
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
    })))
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

        store.delete(std::slice::from_ref(&one)).await.unwrap();
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

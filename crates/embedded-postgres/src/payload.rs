//! The payload of the release executable: files appended behind it.
//!
//! ```text
//! executable │ section │ section │ … │ index (JSON) │ footer (64 bytes)
//!
//! footer: version u32 │ index length u32 │ payload length u64 │ SHA-256 of the index │ 8 zeros │ "MONOBASE"
//! ```
//!
//! Numbers are little-endian. Offsets in the index count from the start of the payload, so the executable in front
//! may be exchanged without touching them. Sections are read by `pread`: their size never counts as memory, and the
//! loader never sees them. Each section's SHA-256 is in the index and is checked while it is unpacked.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;

/// The section with the engine: a `tar.zst` of its folder.
pub const ENGINE: &str = "engine";
/// The section with the bootstrapped data directory: a `tar.zst`.
pub const TEMPLATE: &str = "template";

const MAGIC: &[u8; 8] = b"MONOBASE";
const VERSION: u32 = 1;
const FOOTER: usize = 64;
/// No index is near this; a larger one is garbage that happens to end in the magic.
const INDEX_LIMIT: usize = 1 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    name: String,
    offset: u64,
    length: u64,
    sha256: String,
    /// Which build of the thing it is, such as the engine's id.
    id: String,
}

/// The sections behind an executable.
#[derive(Debug, Clone)]
pub struct Payload {
    file: Arc<File>,
    start: u64,
    entries: Arc<[Entry]>,
}

/// One file of the payload.
#[derive(Debug, Clone)]
pub struct Section {
    file: Arc<File>,
    offset: u64,
    length: u64,
    sha256: String,
    id: String,
}

impl Payload {
    /// The payload behind the executable at `path`; `None` when nothing is appended, as in a development build.
    pub fn open(path: &Path) -> Result<Option<Self>, Error> {
        let read = |source| Error::io("cannot read", path, source);
        let file = File::open(path).map_err(read)?;
        let size = file.metadata().map_err(read)?.len();
        let Some(footer_at) = size.checked_sub(FOOTER as u64) else { return Ok(None) };
        let mut footer = [0; FOOTER];
        file.read_exact_at(&mut footer, footer_at).map_err(read)?;
        if &footer[56..] != MAGIC {
            return Ok(None);
        }
        let damaged = |what: &str| Error::DamagedPayload(what.to_owned());
        if number(&footer[0..4]) != u64::from(VERSION) {
            return Err(damaged("unknown format"));
        }
        let index_length = number(&footer[4..8]);
        let start = size.checked_sub(number(&footer[8..16])).ok_or_else(|| damaged("it is cut short"))?;
        let index_at = footer_at.checked_sub(index_length).filter(|at| *at >= start);
        let (Some(index_at), true) = (index_at, index_length <= INDEX_LIMIT as u64) else {
            return Err(damaged("it is cut short"));
        };
        let mut index = vec![0; index_length as usize];
        file.read_exact_at(&mut index, index_at).map_err(read)?;
        if Sha256::digest(&index)[..] != footer[16..48] {
            return Err(damaged("the digest of its index differs"));
        }
        let entries: Vec<Entry> =
            serde_json::from_slice(&index).map_err(|error| damaged(&error.to_string()))?;
        let room = index_at - start;
        if entries.iter().any(|entry| entry.offset.checked_add(entry.length).is_none_or(|end| end > room)) {
            return Err(damaged("a section lies outside of it"));
        }
        Ok(Some(Self { file: Arc::new(file), start, entries: entries.into() }))
    }

    /// The section of that name.
    pub fn section(&self, name: &str) -> Option<Section> {
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        Some(Section {
            file: self.file.clone(),
            offset: self.start + entry.offset,
            length: entry.length,
            sha256: entry.sha256.clone(),
            id: entry.id.clone(),
        })
    }
}

impl Section {
    /// Which build of the thing it is.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its SHA-256, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Its size in bytes.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Reads it from the start.
    pub fn reader(&self) -> SectionReader {
        SectionReader { section: self.clone(), position: 0, digest: Sha256::new() }
    }
}

/// Reads a section and digests what it read.
pub struct SectionReader {
    section: Section,
    position: u64,
    digest: Sha256,
}

impl SectionReader {
    /// Reads what is left and compares the digest.
    pub fn verify(mut self) -> Result<(), Error> {
        io::copy(&mut self, &mut io::sink())
            .map_err(|error| Error::DamagedPayload(format!("it cannot be read: {error}")))?;
        if hex::encode(self.digest.finalize()) == self.section.sha256 {
            Ok(())
        } else {
            Err(Error::DamagedPayload("the digest of a section differs".into()))
        }
    }
}

impl Read for SectionReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.section.length - self.position).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let count = self.section.file.read_at(&mut buffer[..wanted], self.section.offset + self.position)?;
        if count == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.digest.update(&buffer[..count]);
        self.position += count as u64;
        Ok(count)
    }
}

/// A file to append: `(name, id, file)`.
pub type Part<'a> = (&'a str, &'a str, &'a Path);

/// Writes `output`: the executable with the parts behind it.
pub fn append(executable: &Path, parts: &[Part<'_>], output: &Path) -> Result<(), Error> {
    let write = |source| Error::io("cannot write", output, source);
    fs::copy(executable, output).map_err(write)?;
    let mut target = OpenOptions::new().append(true).open(output).map_err(write)?;
    let mut entries = Vec::new();
    let mut offset = 0;
    for (name, id, path) in parts {
        let content = fs::read(path).map_err(|source| Error::io("cannot read", path, source))?;
        target.write_all(&content).map_err(write)?;
        let length = content.len() as u64;
        let sha256 = hex::encode(Sha256::digest(&content));
        entries.push(Entry { name: (*name).into(), id: (*id).into(), offset, length, sha256 });
        offset += length;
    }
    let index = serde_json::to_vec(&entries).map_err(|error| write(error.into()))?;
    let mut footer = [0; FOOTER];
    footer[0..4].copy_from_slice(&VERSION.to_le_bytes());
    footer[4..8].copy_from_slice(&u32::try_from(index.len()).unwrap_or(u32::MAX).to_le_bytes());
    footer[8..16].copy_from_slice(&(offset + index.len() as u64 + FOOTER as u64).to_le_bytes());
    footer[16..48].copy_from_slice(&Sha256::digest(&index));
    footer[56..].copy_from_slice(MAGIC);
    target
        .write_all(&index)
        .and_then(|()| target.write_all(&footer))
        .and_then(|()| target.sync_all())
        .map_err(write)
}

/// A little-endian number of up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn packed(folder: &Path) -> std::path::PathBuf {
        let (executable, part, output) = (folder.join("exe"), folder.join("part"), folder.join("out"));
        fs::write(&executable, b"\x7fELF and so on").unwrap();
        fs::write(&part, b"the engine").unwrap();
        append(&executable, &[("engine", "18.4-1", &part), ("template", "t", &part)], &output).unwrap();
        output
    }

    #[test]
    fn sections_are_read_back_and_verified() {
        let folder = tempfile::tempdir().unwrap();
        let payload = Payload::open(&packed(folder.path())).unwrap().unwrap();
        let section = payload.section(ENGINE).unwrap();
        let mut content = String::new();
        let mut reader = section.reader();
        reader.read_to_string(&mut content).unwrap();
        reader.verify().unwrap();
        assert_eq!((content.as_str(), section.id(), section.len()), ("the engine", "18.4-1", 10));
        assert!(payload.section("studio").is_none());
    }

    #[test]
    fn an_executable_with_nothing_behind_it_has_no_payload() {
        let folder = tempfile::tempdir().unwrap();
        for content in [&b"short"[..], &[0; 500]] {
            let path = folder.path().join("exe");
            fs::write(&path, content).unwrap();
            assert!(Payload::open(&path).unwrap().is_none());
        }
    }

    #[test]
    fn every_flipped_byte_of_the_payload_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = packed(folder.path());
        let good = fs::read(&path).unwrap();
        let payload_start = b"\x7fELF and so on".len();
        // The last eight bytes are the magic: without it there is no payload at all. The eight before are not used.
        for at in (payload_start..good.len() - 16).chain(good.len() - 8..good.len()) {
            let mut bad = good.clone();
            bad[at] ^= 0x20;
            fs::write(&path, &bad).unwrap();
            let verified = Payload::open(&path).and_then(|payload| {
                let payload = payload.ok_or_else(|| Error::DamagedPayload("none".into()))?;
                for name in [ENGINE, TEMPLATE] {
                    let section =
                        payload.section(name).ok_or_else(|| Error::DamagedPayload("gone".into()))?;
                    section.reader().verify()?;
                }
                Ok(())
            });
            assert!(verified.is_err(), "byte {at} of {} changed unnoticed", good.len());
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_no_payload_or_a_damaged_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = packed(folder.path());
        let good = fs::read(&path).unwrap();
        for length in 0..good.len() {
            fs::write(&path, &good[..length]).unwrap();
            assert!(!matches!(Payload::open(&path), Ok(Some(_))), "cut at {length}");
        }
    }
}

//! `tar.zst` archives of folders: the form in which engine and template travel.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::{
        self,
        fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    },
    path::{Component, Path, PathBuf},
};

use crate::{Error, payload::SectionReader};

const BLOCK: usize = 4096;

/// Unpacks a section of the payload into `target`, a folder that must not exist, and checks its digest. What is there
/// after an error is to be thrown away.
pub(crate) fn unpack(mut section: SectionReader, target: &Path) -> Result<(), Error> {
    unpack_stream(&mut section, target)?;
    section.verify()
}

fn unpack_stream(source: &mut dyn Read, target: &Path) -> Result<(), Error> {
    let damaged = |error: io::Error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull(target.to_owned()),
        _ => Error::DamagedPayload(error.to_string()),
    };
    let write = |source| Error::io("cannot write", target, source);
    fs::DirBuilder::new().mode(0o700).create(target).map_err(write)?;
    let decoder = zstd::Decoder::new(source).map_err(damaged)?;
    let mut archive = tar::Archive::new(decoder);
    let mut buffer = vec![0; 256 * 1024];
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = inside(target, &entry.path().map_err(damaged)?).map_err(damaged)?;
        let mode = entry.header().mode().map_err(damaged)?;
        match entry.header().entry_type() {
            tar::EntryType::Directory => {
                if path != target {
                    fs::DirBuilder::new().mode(mode).create(&path).map_err(write)?;
                }
            }
            tar::EntryType::Symlink => {
                let link = entry.link_name().map_err(damaged)?.unwrap_or_default();
                unix::fs::symlink(link, &path).map_err(write)?;
            }
            tar::EntryType::Regular => {
                let file =
                    OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).map_err(write)?;
                copy_sparsely(&mut entry, &file, &mut buffer).map_err(damaged)?;
            }
            other => return Err(damaged(io::Error::other(format!("an entry of kind {other:?}")))),
        }
    }
    Ok(())
}

/// Writes all but the zeros: a fresh WAL segment is 16 MB of them.
fn copy_sparsely(source: &mut dyn Read, target: &File, buffer: &mut [u8]) -> io::Result<()> {
    let mut position = 0;
    loop {
        let count = fill(source, buffer)?;
        if count == 0 {
            return target.set_len(position);
        }
        // Runs of blocks with something in them, so that a file without holes is one write a buffer.
        let mut begin = None;
        for at in (0..count).step_by(BLOCK) {
            let end = count.min(at + BLOCK);
            let empty = buffer[at..end].iter().all(|byte| *byte == 0);
            match (empty, begin) {
                (false, None) => begin = Some(at),
                (true, Some(from)) => {
                    target.write_all_at(&buffer[from..at], position + from as u64)?;
                    begin = None;
                }
                _ => {}
            }
        }
        if let Some(from) = begin {
            target.write_all_at(&buffer[from..count], position + from as u64)?;
        }
        position += count as u64;
    }
}

fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Where an entry goes; never outside of the target.
fn inside(target: &Path, name: &Path) -> io::Result<PathBuf> {
    let mut path = target.to_owned();
    for component in name.components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            _ => {
                return Err(io::Error::other(format!("an entry outside of the archive: {}", name.display())));
            }
        }
    }
    Ok(path)
}

/// Packs a folder, sorted, with nothing of this machine in it (owners, times), so that equal folders give equal archives.
pub(crate) fn pack(folder: &Path, level: i32, output: &Path) -> Result<(), Error> {
    let write = |source| Error::io("cannot write", output, source);
    let file = File::create(output).map_err(write)?;
    let mut encoder = zstd::Encoder::new(file, level).map_err(write)?;
    encoder.long_distance_matching(true).map_err(write)?;
    encoder.multithread(2).map_err(write)?;
    let mut builder = tar::Builder::new(encoder);
    builder.mode(tar::HeaderMode::Deterministic);
    builder.follow_symlinks(false);
    append_folder(&mut builder, folder, Path::new(""))?;
    let encoder = builder.into_inner().map_err(write)?;
    encoder.finish().and_then(|mut file| file.flush()).map_err(write)
}

fn append_folder<W: Write>(builder: &mut tar::Builder<W>, folder: &Path, name: &Path) -> Result<(), Error> {
    let read = |source| Error::io("cannot read", folder, source);
    let mut children: Vec<_> =
        fs::read_dir(folder).map_err(read)?.collect::<io::Result<Vec<_>>>().map_err(read)?;
    children.sort_by_key(fs::DirEntry::file_name);
    for child in children {
        let (path, name) = (child.path(), name.join(child.file_name()));
        let pack = |source| Error::io("cannot pack", &path, source);
        let mut header = tar::Header::new_gnu();
        let found = fs::symlink_metadata(&path).map_err(pack)?;
        header.set_metadata_in_mode(&found, tar::HeaderMode::Deterministic);
        // Deterministic mode widens permissions; a data directory must stay closed.
        header.set_mode(std::os::unix::fs::MetadataExt::mode(&found) & 0o777);
        if found.is_symlink() {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, &name, fs::read_link(&path).map_err(pack)?).map_err(pack)?;
        } else if found.is_dir() {
            header.set_size(0);
            builder.append_data(&mut header, &name, io::empty()).map_err(pack)?;
            append_folder(builder, &path, &name)?;
        } else {
            header.set_size(found.len());
            builder.append_data(&mut header, &name, File::open(&path).map_err(pack)?).map_err(pack)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn a_folder_survives_packing_with_modes_links_and_holes() {
        let base = tempfile::tempdir().unwrap();
        let (folder, copy, archive) =
            (base.path().join("a"), base.path().join("b"), base.path().join("a.tar.zst"));
        fs::create_dir_all(folder.join("bin")).unwrap();
        fs::write(folder.join("bin/tool"), "#!/bin/sh").unwrap();
        fs::set_permissions(folder.join("bin/tool"), fs::Permissions::from_mode(0o755)).unwrap();
        unix::fs::symlink("tool", folder.join("bin/link")).unwrap();
        let mut content = vec![0; 3 << 20];
        content[1 << 20] = 7;
        content.extend(b"tail");
        fs::write(folder.join("segment"), &content).unwrap();

        pack(&folder, 3, &archive).unwrap();
        unpack_stream(&mut File::open(&archive).unwrap(), &copy).unwrap();

        assert_eq!(fs::read(copy.join("segment")).unwrap(), content);
        assert!(fs::metadata(copy.join("segment")).unwrap().blocks() * 512 < 1 << 20, "zeros were written");
        assert_eq!(fs::metadata(copy.join("bin/tool")).unwrap().mode() & 0o777, 0o755);
        assert_eq!(fs::read_link(copy.join("bin/link")).unwrap(), Path::new("tool"));
    }

    #[test]
    fn entries_cannot_leave_the_target() {
        for name in ["../x", "/etc/passwd", "a/../../x"] {
            assert!(inside(Path::new("/target"), Path::new(name)).is_err(), "{name}");
        }
        assert_eq!(inside(Path::new("/target"), Path::new("./a/b")).unwrap(), Path::new("/target/a/b"));
    }
}

//! `[storage.buckets.<id>]`: buckets that a project wants, and the files that belong into them.
//!
//! A bucket that is missing is made at the start, and filled from its `objects_path`. One that exists stays as it is: what
//! has been changed since is the project's.

use std::fs;
use std::path::{Path, PathBuf};

use config::Config;
use serde_json::{Map, json};
use storage::blob::{BodyError, Inflow};
use storage::domain::{BucketName, Condition, Domain, Mode, NewBucket, Upload, UploadKind};
use storage::{Code, Context};
use tokio::io::AsyncReadExt as _;

use crate::Error;

/// How much of a file is read at a time.
const BLOCK: usize = 64 << 10;

/// Makes the buckets and returns how many were missing, and how many objects they got.
pub(crate) async fn make(domain: &Domain, config: &Config) -> Result<(usize, usize), Error> {
    let (mut made, mut filled) = (0, 0);
    for (id, bucket) in config.file.storage.buckets.iter() {
        let failed = |reason: String| Error::Settings {
            service: "storage",
            reason: format!("[storage.buckets.{id}]: {reason}"),
        };
        let settings = domain.config();
        let name =
            BucketName::parse(id, &settings.reserved_suffix).map_err(|error| failed(error.message.into()))?;
        let types = &bucket.allowed_mime_types;
        let new = NewBucket {
            id: name.clone(),
            name,
            public: bucket.public,
            file_size_limit: bucket.file_size_limit.map(|size| size.0).filter(|size| *size > 0),
            allowed_mime_types: (!types.is_empty()).then(|| types.clone()),
        };
        let path = bucket.objects_path.as_deref().filter(|path| !path.is_empty());
        let folder = config.paths.supabase.join(path.unwrap_or_default());
        // Before the bucket is made: a folder that is missing now is filled from at the next start.
        let listed = if path.is_some() && domain.find_bucket(id).await.is_err() {
            let folder = folder.clone();
            let listing = tokio::task::spawn_blocking(move || files(&folder));
            let listed = listing.await.map_err(|error| failed(error.to_string()))?;
            listed.map_err(Error::file("read", &config.paths.supabase.join(path.unwrap_or_default())))?
        } else {
            Vec::new()
        };
        let context = Context::of_service(&settings.service_role, "storage.bucket.create");
        match domain.create_bucket(&context, &new).await {
            Ok(()) => made += 1,
            Err(error) if error.code == Code::BucketAlreadyExists => continue,
            Err(error) => return Err(failed(error.message.into())),
        }
        for file in listed {
            upload(domain, id, &folder, &file)
                .await
                .map_err(|reason| failed(format!("{}: {reason}", file.display())))?;
            filled += 1;
        }
    }
    Ok((made, filled))
}

/// The regular files of a folder and of those in it, or the one file that it is, in the order of their names.
fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if fs::symlink_metadata(path)?.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut found = Vec::new();
    for entry in entries {
        let kind = entry.file_type()?;
        if kind.is_dir() {
            found.extend(files(&entry.path())?);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

async fn upload(domain: &Domain, bucket: &str, folder: &Path, file: &Path) -> Result<(), String> {
    let within = file.strip_prefix(folder).ok().filter(|path| !path.as_os_str().is_empty());
    let name = within.or_else(|| file.file_name().map(Path::new)).ok_or("a file without a name")?;
    let key = name.to_str().ok_or("its name is no UTF-8")?;
    let text = |error: storage::Error| error.message.into_owned();
    let key = domain.key(key).map_err(text)?;
    let opened = tokio::fs::File::open(file).await.map_err(|error| error.to_string())?;
    let size = opened.metadata().await.map_err(|error| error.to_string())?.len();
    let bucket = domain.find_bucket(bucket).await.map_err(text)?;
    let content_type = content_type(file);
    bucket.check_content_type(content_type).map_err(text)?;
    let limit = bucket.limit(domain.config().file_size_limit);
    let upload = Upload {
        bucket,
        key,
        mode: Mode::Upsert,
        condition: Condition::Any,
        content_type: content_type.to_owned(),
        cache_control: "max-age=3600".to_owned(),
        extra: Map::new(),
        user_metadata: Some(json!({})),
        size: Some(size),
        limit,
        kind: UploadKind::Standard,
    };
    let context = Context::of_service(&domain.config().service_role, "storage.object.upload");
    domain.upload(&context, upload, inflow(opened)).await.map(drop).map_err(text)
}

fn inflow(file: tokio::fs::File) -> Inflow {
    Box::pin(futures_util::stream::try_unfold(file, |mut file| async move {
        let mut block = vec![0; BLOCK];
        let count = file.read(&mut block).await.map_err(|error| BodyError::Incomplete(error.to_string()))?;
        block.truncate(count);
        Ok((count > 0).then(|| (block.into(), file)))
    }))
}

/// By the ending of the name, as the CLI tells most of them.
fn content_type(file: &Path) -> &'static str {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "avif" => "image/avif",
        "css" => "text/css; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "gif" => "image/gif",
        "htm" | "html" => "text/html; charset=utf-8",
        "ico" => "image/vnd.microsoft.icon",
        "jpeg" | "jpg" => "image/jpeg",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "md" => "text/markdown; charset=utf-8",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        "wav" => "audio/wav",
        "webm" => "video/webm",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "xml" => "text/xml; charset=utf-8",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn files_of_a_folder_are_found_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.txt", "a/z.txt", "a/deep/c.txt"] {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, name).unwrap();
        }
        let found = files(folder.path()).unwrap();
        let names: Vec<_> =
            found.iter().map(|file| file.strip_prefix(folder.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a/deep/c.txt", "a/z.txt", "b.txt"]);
        assert_eq!(files(&folder.path().join("b.txt")).unwrap(), [folder.path().join("b.txt")]);
    }

    #[test]
    fn types_come_from_endings() {
        assert_eq!(content_type(Path::new("x/A.PNG")), "image/png");
        assert_eq!(content_type(Path::new("x/none")), "application/octet-stream");
    }
}

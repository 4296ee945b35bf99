//! The engine: PostgreSQL's programs on disk.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;

use crate::{
    Error, archive, cache,
    payload::{self, Payload, Section},
    pins, tree,
};

/// Where to look for the engine.
#[derive(Debug, Clone, Default)]
pub enum EngineSource {
    /// `MONOBASE_ENGINE` when set; else the payload of this executable; else the cache folder.
    #[default]
    Auto,
    /// The payload of the executable at this path.
    Payload(PathBuf),
    /// A folder as `scripts/engine` makes it.
    Folder(PathBuf),
}

/// An engine on disk, ready to run. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    folder: Arc<Path>,
    manifest: Arc<Manifest>,
    template: Option<Section>,
}

/// `engine.json`.
#[derive(Debug, Deserialize)]
struct Manifest {
    id: String,
    postgres: String,
    pgvector: String,
}

impl Engine {
    /// Finds the engine. The first start of a release unpacks it into the cache folder, which takes about a quarter of
    /// a second; several at once wait for one. Blocks.
    pub fn locate(source: EngineSource) -> Result<Self, Error> {
        match source {
            EngineSource::Folder(folder) => Self::open(folder, None),
            EngineSource::Payload(executable) => match Payload::open(&executable)? {
                Some(payload) => Self::unpacked(&payload),
                None => Err(Error::NoEngine(executable)),
            },
            EngineSource::Auto => {
                if let Some(folder) = env::var_os("MONOBASE_ENGINE").filter(|value| !value.is_empty()) {
                    return Self::open(folder.into(), None);
                }
                // Not `current_exe`: that is a path, which another file may have taken since we were started.
                if let Some(payload) = Payload::open(Path::new("/proc/self/exe"))? {
                    return Self::unpacked(&payload);
                }
                let id = pins::engine_id();
                let found = cache::search()
                    .into_iter()
                    .map(|cache| cache.join("engine").join(&id))
                    .find(|folder| folder.join("engine.json").is_file());
                match found {
                    Some(folder) => {
                        cache::trusted(&folder)?;
                        Self::open(folder, None)
                    }
                    None => Err(Error::NoEngine(cache::folder().join("engine").join(id))),
                }
            }
        }
    }

    fn open(folder: PathBuf, template: Option<Section>) -> Result<Self, Error> {
        let path = folder.join("engine.json");
        let manifest = fs::read(&path).map_err(|_| Error::NoEngine(folder.clone()))?;
        let manifest = serde_json::from_slice(&manifest).map_err(|error| Error::Io {
            action: "cannot understand",
            path,
            source: error.into(),
        })?;
        let folder = fs::canonicalize(&folder).map_err(|source| Error::io("cannot open", &folder, source))?;
        Ok(Self { folder: folder.into(), manifest: Arc::new(manifest), template })
    }

    /// The engine of a payload, unpacked once into the cache.
    fn unpacked(payload: &Payload) -> Result<Self, Error> {
        let section = payload
            .section(payload::ENGINE)
            .ok_or_else(|| Error::DamagedPayload("it has no engine".into()))?;
        let template = payload.section(payload::TEMPLATE);
        // The digest in the name: two builds of one version never share a folder.
        let name = format!("{}-{}", section.id(), &section.sha256()[..12.min(section.sha256().len())]);
        for cache in cache::search() {
            let folder = cache.join("engine").join(&name);
            if is_whole(&folder) {
                cache::trusted(&folder)?;
                return Self::open(folder, template);
            }
        }
        let engines = cache::writable("engine")?;
        let folder = engines.join(&name);
        let lock_path = engines.join(".lock");
        let lock =
            File::create(&lock_path).map_err(|source| Error::io("cannot write", &lock_path, source))?;
        lock.lock().map_err(|source| Error::io("cannot lock", &lock_path, source))?;
        // Another process may have done it while we waited.
        if !is_whole(&folder) {
            let work = engines.join(format!(".{name}.{}", std::process::id()));
            remove(&work)?;
            let unpacked = archive::unpack(section.reader(), &work)
                .and_then(|()| {
                    fs::write(unsynced(&work), boot()).map_err(|e| Error::io("cannot write", &work, e))
                })
                .and_then(|()| {
                    // PostgreSQL may run as another user.
                    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
                    fs::set_permissions(&work, open).map_err(|e| Error::io("cannot write", &work, e))
                })
                .and_then(|()| remove(&folder))
                .and_then(|()| fs::rename(&work, &folder).map_err(|e| Error::io("cannot write", &folder, e)));
            if let Err(error) = unpacked {
                // The first error is the one to tell; what cannot be removed is left to the next unpacking.
                let _ = remove(&work);
                return Err(error);
            }
            make_durable_later(folder.clone());
        }
        Self::open(folder, template)
    }

    /// Its folder, with `bin`, `lib` and `share`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// One of its programs, such as `psql`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// Which build it is.
    pub fn id(&self) -> &str {
        &self.manifest.id
    }

    /// PostgreSQL's version.
    pub fn version(&self) -> &str {
        &self.manifest.postgres
    }

    /// pgvector's version.
    pub fn pgvector(&self) -> &str {
        &self.manifest.pgvector
    }

    /// PostgreSQL's major version, as `PG_VERSION` files have it.
    pub fn major(&self) -> &str {
        self.version().split('.').next().unwrap_or_default()
    }

    /// The bootstrapped data directory that came with it, if one did.
    pub(crate) fn template(&self) -> Option<&Section> {
        self.template.as_ref()
    }
}

/// Marks an engine whose files may not have reached the disk, with the boot they were written in.
fn unsynced(folder: &Path) -> PathBuf {
    folder.join(".unsynced")
}

/// Identifies the current boot of the machine; empty where the kernel does not say.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// Whether the engine was unpacked completely and cannot have lost files in a power cut since.
fn is_whole(folder: &Path) -> bool {
    folder.join("engine.json").is_file()
        && fs::read_to_string(unsynced(folder)).map_or(true, |written_in| written_in == boot())
}

/// The engine's 60 MB are not waited for: until they are on disk, a marker says that a reboot makes them doubtful.
fn make_durable_later(folder: PathBuf) {
    let work = move || {
        let synced = tree::make_durable(&folder).and_then(|()| remove(&unsynced(&folder)));
        if let Err(error) = synced {
            tracing::debug!(%error, "the engine will be unpacked again after a reboot");
        }
    };
    if let Err(error) = std::thread::Builder::new().name("engine-sync".into()).spawn(work) {
        tracing::debug!(%error, "the engine will be unpacked again after a reboot");
    }
}

/// Removes a file or folder of the cache if it is there.
fn remove(path: &Path) -> Result<(), Error> {
    let result = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("cannot remove", path, error))
        }
        _ => Ok(()),
    }
}

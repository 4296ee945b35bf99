//! Data directories that are costly to make, made once and kept.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use bootstrap::{Class, Options, Outcome, Passwords};
use database::ConnectConfig;
use nix::sys::signal::Signal;

use crate::cluster::{PASSWORD, SUPERUSER};
use crate::install::{Server, cache_folder};
use crate::process::{Folder, Postmaster, command, give_away, run};

/// Raise it when this file makes something else of the same SQL.
const RECIPE: u32 = 2;

/// What a data directory holds at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Nothing but `initdb` with this first role.
    Plain(&'static str),
    /// A bootstrapped database `postgres`.
    Bootstrapped,
}

/// Copies a data directory to `target`, which must not exist.
pub(crate) fn unpack(server: Server, content: Content, target: &Path) {
    let source = cached(server, content);
    let mut copy = Command::new("cp");
    copy.args(["-a", "--reflink=auto"]).arg(&source).arg(target);
    run(copy);
}

/// The folder of a data directory in the cache, made when it is missing.
fn cached(server: Server, content: Content) -> PathBuf {
    let cache = cache_folder();
    fs::create_dir_all(&cache).unwrap_or_else(|error| panic!("cannot make {}: {error}", cache.display()));
    let kind = match content {
        Content::Plain(superuser) => format!("plain-{superuser}"),
        Content::Bootstrapped => bootstrap::schema_digest()[..24].to_owned(),
    };
    let name = format!("{}-{}-{RECIPE}-{kind}", server.name(), server.require().id);
    let target = cache.join(&name);
    if target.exists() {
        // Keeps it from being forgotten. Not ours when another user made it, and then not ours to keep.
        let _ = File::open(&target).and_then(|folder| folder.set_modified(SystemTime::now()));
        return target;
    }

    // Several test processes may want it at once: one makes it, the others wait.
    let lock = cache.join(format!(".{name}.lock"));
    let lock = File::create(&lock).unwrap_or_else(|error| panic!("cannot write {}: {error}", lock.display()));
    lock.lock().unwrap_or_else(|error| panic!("cannot lock the test template: {error}"));
    if target.exists() {
        return target;
    }
    forget_old(&cache);
    let work = cache.join(format!(".{name}.{}", std::process::id()));
    let _ = fs::remove_dir_all(&work);
    fs::create_dir(&work).unwrap_or_else(|error| panic!("cannot make {}: {error}", work.display()));
    give_away(&work);
    match content {
        Content::Plain(superuser) => initdb(server, superuser, &work),
        Content::Bootstrapped => {
            fs::remove_dir(&work).unwrap_or_else(|error| panic!("cannot use {}: {error}", work.display()));
            unpack(server, Content::Plain(SUPERUSER), &work);
            bootstrap_into(server, &work);
        }
    }
    fs::rename(&work, &target).unwrap_or_else(|error| panic!("cannot rename {}: {error}", work.display()));
    target
}

fn initdb(server: Server, superuser: &str, data: &Path) {
    let mut initdb = command(server.program("initdb"));
    initdb.arg("-D").arg(data).args([
        "-U",
        superuser,
        "-E",
        "UTF8",
        "-A",
        "trust",
        "--no-sync",
        "--no-instructions",
    ]);
    // As the product initialises its own.
    initdb.args(["--locale-provider=icu", "--icu-locale=en-US", "--locale=C"]);
    run(initdb);
}

fn bootstrap_into(server: Server, data: &Path) {
    let folder = Folder::new();
    let mut postmaster = Postmaster::start(&server.require().bin, data, folder.path(), &server.settings());
    let config = ConnectConfig::unix(folder.path(), 5432, SUPERUSER).with_database("postgres");
    // A thread of its own, because we may be inside a test's runtime.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap_or_else(|error| panic!("cannot make a runtime: {error}"));
        let report = runtime
            .block_on(bootstrap::apply(&config, &options()))
            .unwrap_or_else(|error| panic!("bootstrap failed: {error}"));
        assert_eq!(report.outcome, Outcome::Created, "{report:?}");
    })
    .join()
    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    postmaster.stop(Signal::SIGINT);
}

/// How the databases of tests are bootstrapped.
pub(crate) fn options() -> Options {
    Options { class: Class::Embedded, passwords: Passwords::shared(PASSWORD), ..Options::default() }
        .with_jwt(Some(crate::cluster::JWT_SECRET), 3600)
}

/// Removes what no run has made use of for a day: every change of the SQL leaves another one behind.
fn forget_old(cache: &Path) {
    let day = Duration::from_secs(24 * 3600);
    let Ok(entries) = fs::read_dir(cache) else { return };
    for entry in entries.flatten() {
        let old = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|modified| SystemTime::now().duration_since(modified).is_ok_and(|age| age > day));
        if old && entry.path().is_dir() {
            // Somebody may be at it too.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

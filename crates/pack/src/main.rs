//! Makes the release: appends the engine and a bootstrapped data directory to the executable. Run by `scripts/dist`.
//!
//! ```text
//! pack EXECUTABLE OUTPUT
//! ```

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, bail};
use bootstrap::Class;
use database::{Connection, ident::quote_ident};
use embedded_postgres::{Cluster, Engine, EngineSource, Options, SUPERUSER, Seed, payload, template};

/// zstd's: slow to pack, as quick to unpack as any.
const LEVEL: i32 = 19;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [executable, output] = &arguments[..] else { bail!("usage: pack EXECUTABLE OUTPUT") };
    if payload::Payload::open(executable)?.is_some() {
        bail!("{} is packed already", executable.display());
    }
    let engine = Engine::locate(EngineSource::Auto).map_err(with_hint)?;
    let work = tempfile::tempdir().context("cannot make a temporary folder")?;

    let engine_archive = work.path().join("engine.tar.zst");
    let template_archive = work.path().join("template.tar.zst");
    let began = Instant::now();
    bootstrapped(&engine, &work.path().join("cluster"), &template_archive).await?;
    report("template", &template_archive, began)?;
    let began = Instant::now();
    template::pack_engine(&engine, LEVEL, &engine_archive)?;
    report("engine", &engine_archive, began)?;

    let template_id = format!("{}-{}", engine.id(), bootstrap::schema_digest());
    if let Some(folder) = output.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let parts = [
        (payload::ENGINE, engine.id(), &*engine_archive),
        (payload::TEMPLATE, template_id.as_str(), &*template_archive),
    ];
    // Renamed into place, so that what stands at `output` is always whole and a running one is not written to.
    let new = output.with_extension("new");
    payload::append(executable, &parts, &new)?;
    fs::rename(&new, output).with_context(|| format!("cannot write {}", output.display()))?;
    report("release", output, Instant::now())
}

/// A cluster after its whole bootstrap, without anybody's password, packed.
async fn bootstrapped(engine: &Engine, folder: &Path, output: &Path) -> anyhow::Result<()> {
    let mut options = Options::new(folder);
    options.seed = Seed::Initdb;
    options.settings = vec![("fsync".into(), "off".into())];
    if engine.major().parse().is_ok_and(|major: u32| major >= bootstrap::OLDEST_WITH_CONTROL_PATH) {
        let cache = embedded_postgres::cache_folder();
        let path = bootstrap::install_extensions(&cache)
            .with_context(|| format!("cannot write extensions to {}", cache.display()))?;
        options.settings.push(("extension_control_path".into(), path));
    }
    let cluster = Cluster::start(engine, options).await.map_err(with_hint)?;
    let superuser = cluster.connect_config(SUPERUSER);
    let bootstrap =
        bootstrap::Options { class: Class::Embedded, template: true, ..bootstrap::Options::default() };
    bootstrap::apply(&superuser, &bootstrap).await.context("cannot bootstrap the template")?;

    let mut connection = Connection::connect(&superuser).await?;
    let databases = connection.query("select datname::text from pg_database where datallowconn", &[]).await?;
    for row in databases {
        let name: String = row.get(0)?;
        let mut connection = Connection::connect(&superuser.clone().with_database(&name)).await?;
        // What every copy would otherwise do again: statistics, and no old transaction ids.
        connection.simple_query("vacuum (freeze, analyze)").await?;
        connection.close().await?;
    }
    // Nobody can sign in to a fresh copy until its first start has set passwords of its own.
    let roles =
        connection.query("select rolname::text from pg_authid where rolpassword is not null", &[]).await?;
    for row in roles {
        let name: String = row.get(0)?;
        connection.simple_query(&format!("alter role {} password null", quote_ident(&name))).await?;
    }
    connection.close().await?;
    cluster.stop().await;
    template::pack(engine, folder, LEVEL, output).map_err(with_hint)
}

fn with_hint(error: embedded_postgres::Error) -> anyhow::Error {
    match error.hint() {
        Some(hint) => anyhow::anyhow!("{error}\nhint: {hint}"),
        None => error.into(),
    }
}

#[allow(clippy::print_stderr)]
fn report(what: &str, file: &Path, began: Instant) -> anyhow::Result<()> {
    let bytes = fs::metadata(file)?.len();
    let seconds = began.elapsed().as_secs_f64();
    let thousandths = bytes / 1000;
    eprintln!("{what:<10}{:>4}.{:03} MB  {seconds:.1} s", thousandths / 1000, thousandths % 1000);
    Ok(())
}

//! Memory: the server process alone, and the whole tree with PostgreSQL, idle and under load.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::Arguments;
use crate::backend::Backend;
use crate::load;
use crate::process::{rss_kib, tree_pss_kib};
use crate::rest::Application;
use crate::table::{head, line};

pub(crate) async fn measure(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let backend = Backend::start(&arguments.binary, folder.path()).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mib = |kib: u64| kib as f64 / 1024.0;
    let idle_server = mib(rss_kib(backend.pid())?);
    let idle_tree = mib(tree_pss_kib(backend.pid())?);
    let application = Application::create(&backend).await?;
    let address = backend.address;
    let under_load = tokio::spawn(async move { tokio::time::sleep(Duration::from_secs(2)).await });
    let request = application.request_bytes();
    let (outcome, loaded) =
        tokio::join!(load::run(address, 64, Duration::from_secs(arguments.seconds.max(4)), request), async {
            under_load.await.context("the timer")?;
            Ok::<_, anyhow::Error>((mib(rss_kib(backend.pid())?), mib(tree_pss_kib(backend.pid())?)))
        });
    let (loaded_server, loaded_tree) = loaded?;
    outcome?;
    head("Memory (MiB); the limit is PostgreSQL's own share of the tree");
    line("server RSS, idle", idle_server, idle_tree - idle_server, "MiB", "< 40 MB");
    line("whole tree PSS, idle", idle_tree, idle_tree - idle_server, "MiB", "< 120 MB");
    line("server RSS, 64 connections under load", loaded_server, loaded_tree - loaded_server, "MiB", "-");
    line("whole tree PSS, 64 connections under load", loaded_tree, loaded_tree - loaded_server, "MiB", "-");
    backend.stop()
}

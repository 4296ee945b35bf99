//! A database of 10,000 tables with 50,000 columns and 10,000 foreign keys: how long its catalogue takes to load, what it
//! weighs, and whether requests notice.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Alone, socket};
use crate::Arguments;
use crate::backend::{Backend, free_port};
use crate::load::{self, Http};
use crate::table::{head, line, median, note};

const TABLES: usize = 10_000;
const A_BATCH: usize = 250;

pub(crate) async fn measure(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let backend = Backend::start(&arguments.binary, folder.path()).await?;
    fill(&backend).await?;
    let (socket_folder, port) = socket(&backend).await?;
    let login =
        format!("postgres:///postgres?host={socket_folder}&port={port}&user=authenticator&password=postgres");
    let admin = free_port()? + 7;
    let started = Instant::now();
    let rest = Alone::start(
        arguments,
        &backend,
        &login,
        &[("PGRST_DB_SCHEMAS", "big"), ("PGRST_ADMIN_SERVER_PORT", &admin.to_string())],
    )?;
    rest.ready().await?;
    let first_answer = started.elapsed();
    let rss = || Ok::<_, anyhow::Error>(crate::process::rss_kib(rest.pid())? as f64 / 1024.0);
    let after_first = rss()?;
    let mut database = backend.connect("postgres").await?;
    let duration = Duration::from_secs(arguments.seconds);
    let request = |_: usize| b"GET /t77?select=id,a&id=eq.1 HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec();
    let (mut calm, mut reloading, mut rates) = (Vec::new(), Vec::new(), [Vec::new(), Vec::new()]);
    let mut loads = Vec::new();
    for _ in 0..arguments.runs {
        let outcome = load::run(rest.address, 8, duration, request).await?;
        calm.push(outcome.p99.as_secs_f64() * 1e3);
        rates[0].push(outcome.per_second);
        let until = Instant::now() + duration;
        let reloads = async {
            while Instant::now() < until {
                database.simple_query("notify pgrst, 'reload schema'").await?;
                tokio::time::sleep(Duration::from_millis(1000)).await;
            }
            Ok::<_, anyhow::Error>(())
        };
        let (outcome, reloaded) = tokio::join!(load::run(rest.address, 8, duration, request), reloads);
        reloaded?;
        let outcome = outcome?;
        reloading.push(outcome.p99.as_secs_f64() * 1e3);
        rates[1].push(outcome.per_second);
        // One more, with nothing beside it.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        database.simple_query("notify pgrst, 'reload schema'").await?;
        tokio::time::sleep(Duration::from_millis(2500)).await;
        loads.push(load_seconds(admin).await?);
    }
    head(
        "REST, catalogue of 10,000 tables, 50,000 columns, 10,000 foreign keys; limit: the same without reloads",
    );
    note("load of the catalogue", median(&loads) * 1e3, "ms (< 1500 ms)");
    note("start → first answer", first_answer.as_secs_f64() * 1e3, "ms");
    note("server RSS after the first load", after_first, "MB");
    note("server RSS after many", rss()?, "MB");
    line("p99 of requests, 8 connections, a reload a second", median(&reloading), median(&calm), "ms", "-");
    line("requests per second", median(&rates[1]), median(&rates[0]), "1/s", "-");
    drop(rest);
    backend.stop()
}

async fn fill(backend: &Backend) -> Result<()> {
    let mut database = backend.connect("postgres").await?;
    database
        .simple_query("create schema big; grant usage on schema big to anon; set synchronous_commit = off")
        .await?;
    for first in (1..=TABLES).step_by(A_BATCH) {
        let mut script = String::from("begin;");
        for number in first..first + A_BATCH {
            let parent = if number == 1 { 1 } else { 1 + (number * 7919) % (number - 1) };
            script.push_str(&format!(
                "create table big.t{number} (id int primary key, parent int references big.t{parent}, \
                 a text not null default 'x', b timestamptz default now(), c jsonb);"
            ));
        }
        script.push_str("commit;");
        database.simple_query(&script).await?;
    }
    database
        .simple_query(
            "grant select on all tables in schema big to anon; insert into big.t77 (id) values (1); analyze",
        )
        .await?;
    Ok(())
}

/// What the service says its last load took.
async fn load_seconds(admin: u16) -> Result<f64> {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], admin));
    let answer =
        Http::connect(address).await?.request(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let text = String::from_utf8(answer.body)?;
    let line = text.lines().find_map(|line| line.strip_prefix("pgrst_schema_cache_query_time_seconds "));
    let Some(line) = line else { bail!("no load time in {text}") };
    line.trim().parse().context("a number of seconds")
}

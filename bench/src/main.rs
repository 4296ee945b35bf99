//! Measures the release binary, each figure beside a limit that is measured in the same run.
//!
//! Figures on shared machines swing twofold within minutes, so both sides of a ratio run alternately and the medians count.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod auth;
mod backend;
mod images;
mod load;
mod memory;
mod pgbench;
mod process;
mod realtime;
mod realtime_changes;
mod record;
mod rest;
mod startup;
mod storage;
mod table;
mod transaction;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measure monobase, each figure beside its limit of the same run
#[derive(Parser)]
struct Arguments {
    /// The binary to measure
    #[arg(long, env = "MONOBASE_BIN")]
    binary: PathBuf,
    /// The folder with `pgbench` and `postgres`
    #[arg(long, env = "PGBENCH_DIR", default_value = "/usr/lib/postgresql/15/bin")]
    pgbench: PathBuf,
    /// Alternating runs of both sides
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Seconds for one run of one side
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    #[command(subcommand)]
    measure: Measure,
}

#[derive(Subcommand)]
enum Measure {
    /// Empty folder → first REST answer; restart → first answer
    Startup,
    /// Auth alone beside the original (`GOTRUE_BIN`) and bare bcrypt: reads, refreshes, sign-ins, a storm of them
    Auth,
    /// Resident and proportional memory, idle and under load
    Memory,
    /// REST by primary key, signed in, under row level security, through the front door
    Rest,
    /// REST: a list with embeds, an insert, a function, 10,000 rows in one insert
    RestKinds {
        /// Only the kind whose name contains this: `list`, `insert` or `function`
        #[arg(long)]
        only: Option<String>,
    },
    /// REST: a million rows in one answer
    RestLarge,
    /// REST: a catalogue of 10,000 tables, and requests during its reload
    RestCatalogue,
    /// REST: from a query string to SQL
    RestPlan,
    /// The request transaction alone, without the server: our database client against pgbench
    Transaction,
    /// Database changes: statement to socket, row level security with a thousand users, what an idle server asks
    RealtimeChanges,
    /// Objects: downloads beside nginx, uploads beside `dd`, a bucket of a million, and the original (`STORAGE_API_DIR`)
    Storage {
        /// Only downloads and uploads of this many bytes: 1024, 1048576 or 104857600
        #[arg(long)]
        size: Option<usize>,
    },
    /// Thumbnails of a large JPEG, beside libvips
    Imaging,
    /// Broadcasts to 2,000 websockets, and the memory of 10,000 idle ones
    Realtime,
    /// The server that broadcasts are measured against
    #[command(hide = true)]
    BareFanOut {
        /// Where it listens
        port: u16,
    },
    /// Everything
    All,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Measure::BareFanOut { port } = arguments.measure {
        return realtime::serve_bare(port);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match &arguments.measure {
            Measure::Startup => startup::measure(&arguments).await,
            Measure::Auth => auth::measure(&arguments).await,
            Measure::Memory => memory::measure(&arguments).await,
            Measure::Rest => rest::measure(&arguments).await,
            Measure::RestKinds { only } => rest::kinds::measure(&arguments, only.as_deref()).await,
            Measure::RestLarge => rest::kinds::large(&arguments).await,
            Measure::RestCatalogue => rest::catalogue::measure(&arguments).await,
            Measure::RestPlan => rest::plan::measure(&arguments),
            Measure::Transaction => transaction::measure(&arguments).await,
            Measure::RealtimeChanges => realtime_changes::measure(&arguments).await,
            Measure::Storage { size } => storage::measure(&arguments, *size).await,
            Measure::Imaging => images::measure(&arguments).await,
            Measure::Realtime => realtime::measure(&arguments).await,
            Measure::BareFanOut { .. } => Ok(()),
            Measure::All => {
                images::measure(&arguments).await?;
                transaction::measure(&arguments).await?;
                startup::measure(&arguments).await?;
                memory::measure(&arguments).await?;
                rest::measure(&arguments).await?;
                auth::measure(&arguments).await?;
                storage::measure(&arguments, None).await?;
                rest::kinds::measure(&arguments, None).await?;
                rest::kinds::large(&arguments).await?;
                rest::catalogue::measure(&arguments).await?;
                rest::plan::measure(&arguments)?;
                realtime_changes::measure(&arguments).await?;
                realtime::measure(&arguments).await
            }
        }
    })
}

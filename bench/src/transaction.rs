//! The request transaction alone: role, claims, settings, one row by primary key under row level security.
//!
//! Our client's pool against pgbench, on the same private cluster, with the statements that the client was seen to send.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use database::{ConnectConfig, Connection, Param, Pool, PoolConfig, RequestContext, SslMode, Statement};

use crate::Arguments;
use crate::backend::free_port;
use crate::pgbench::{Script, Target};
use crate::process::cpu_micros;
use crate::record::{Recorded, Recorder};
use crate::table::{head, line, median, note};

const KEYS: u32 = 10_000;
/// A key that stands for "any key" when statements are recorded.
const MARK: &str = "4242";
const CONNECTIONS: [usize; 3] = [4, 8, 16];
const USER: &str = "11111111-1111-4111-8111-111111111111";

const SETUP: &str = "
    create role authenticator login noinherit;
    create role authenticated;
    grant authenticated to authenticator;
    create schema auth;
    grant usage on schema auth to authenticated;
    create function auth.uid() returns uuid language sql stable as $$
      select coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid
    $$;
    create table public.items (id int primary key, owner uuid not null, body text not null);
    alter table public.items enable row level security;
    create policy own on public.items to authenticated using (owner = (select auth.uid()));
    grant select on public.items to authenticated;";

/// A private cluster, stopped and removed when dropped.
struct Cluster {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
}

/// PostgreSQL refuses to run as root: everything of it runs as `postgres` then.
fn as_server_user(program: PathBuf) -> Command {
    if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

impl Cluster {
    async fn start(programs: &Path) -> Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::Builder::new().prefix("bench").tempdir_in("/tmp")?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777))?;
        let data = folder.path().join("data");
        let made = as_server_user(programs.join("initdb"))
            .args(["-U", "postgres", "-N", "-E", "UTF8", "--locale=C", "-A", "trust", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()?;
        if !made.success() {
            bail!("initdb failed");
        }
        let port = free_port()?;
        let settings =
            ["listen_addresses=", "fsync=off", "shared_buffers=64MB", "jit=off", "max_connections=60"];
        let child = as_server_user(programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-p", &port.to_string()])
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let cluster = Cluster { child, folder, port };
        let config = cluster.config("postgres");
        let begun = Instant::now();
        let mut connection = loop {
            match Connection::connect(&config).await {
                Ok(connection) => break connection,
                Err(error) if begun.elapsed() > Duration::from_secs(20) => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        connection.simple_query(SETUP).await?;
        let fill = format!(
            "insert into items select i, '{USER}', 'item number ' || i from generate_series(1, {KEYS}) i"
        );
        connection.simple_query(&fill).await?;
        connection.simple_query("vacuum analyze items").await?;
        Ok(cluster)
    }

    fn config(&self, user: &str) -> ConnectConfig {
        ConnectConfig::unix(self.folder.path(), self.port, user).with_database("postgres")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let file = self.folder.path().join("data/postmaster.pid");
        let pid = std::fs::read_to_string(file).ok().and_then(|text| text.lines().next()?.parse().ok());
        if let Some(pid) = pid {
            // Fast shutdown. If it is gone already there is nothing to stop.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGINT);
        }
        let _ = self.child.wait();
    }
}

fn context() -> RequestContext<'static> {
    let claims = format!(
        r#"{{"sub":"{USER}","role":"authenticated","aud":"authenticated","exp":1999999999,"email":"bench@example.com","session_id":"{USER}","app_metadata":{{"provider":"email","providers":["email"]}},"user_metadata":{{}}}}"#
    );
    RequestContext::new("authenticated")
        .with_claims(claims)
        .with("search_path", "\"public\", \"extensions\"")
        .with("request.method", "GET")
        .with("request.path", "/items")
        .read_only()
}

async fn request(pool: &Pool, context: &RequestContext<'_>, key: &str) -> Result<()> {
    let params = [Param::Text(key)];
    let results =
        pool.request(context, &[Statement::new("select id, body from items where id = $1", &params)]).await?;
    if results.first().and_then(|result| result.scalar()) != Some(key) {
        bail!("the row did not come");
    }
    Ok(())
}

fn pool(config: ConnectConfig, size: usize) -> Pool {
    Pool::new(config, PoolConfig { max_size: size, ..PoolConfig::default() })
}

/// What the client sends for one such request, once everything is prepared.
async fn record(cluster: &Cluster) -> Result<Vec<Recorded>> {
    let socket = cluster.folder.path().join(format!(".s.PGSQL.{}", cluster.port));
    let recorder = Recorder::start(socket).await?;
    let config = ConnectConfig::tcp("127.0.0.1", recorder.port, "authenticator").with_database("postgres");
    let pool = pool(config.with_ssl_mode(SslMode::Disable), 1);
    let context = context();
    request(&pool, &context, MARK).await?;
    recorder.take();
    request(&pool, &context, MARK).await?;
    Ok(recorder.take())
}

struct Run {
    per_second: f64,
    cpu_micros: f64,
}

/// Requests over `connections` connections, as fast as they are answered, on a runtime like the server's.
fn run(config: ConnectConfig, connections: usize, duration: Duration) -> Result<Run> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let pool = pool(config, connections);
        let context = Arc::new(context());
        let (count, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        // Connections and plans before the clock starts.
        let mut held = Vec::new();
        for _ in 0..connections {
            held.push(pool.acquire().await?);
        }
        drop(held);
        let cpu = cpu_micros(std::process::id())?;
        let begun = Instant::now();
        let workers: Vec<_> = (0..connections)
            .map(|worker| {
                let (pool, context, count, stop) =
                    (pool.clone(), context.clone(), count.clone(), stop.clone());
                tokio::spawn(async move {
                    let mut key = worker as u32;
                    while !stop.load(Ordering::Relaxed) {
                        key = (key + 7919) % KEYS;
                        request(&pool, &context, &(key + 1).to_string()).await?;
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok::<(), anyhow::Error>(())
                })
            })
            .collect();
        tokio::time::sleep(duration).await;
        let done = count.load(Ordering::Relaxed) as f64;
        let (elapsed, cpu) = (begun.elapsed(), cpu_micros(std::process::id())? - cpu);
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.await.context("a worker panicked")??;
        }
        Ok(Run { per_second: done / elapsed.as_secs_f64(), cpu_micros: cpu as f64 / done })
    })
}

pub(crate) async fn measure(arguments: &Arguments) -> Result<()> {
    let cluster = Cluster::start(&arguments.pgbench).await?;
    let statements = record(&cluster).await?;
    println!("our statements for one request transaction:");
    for statement in &statements {
        println!("  {}", statement.sql);
    }
    let script = Script::pipelined(&statements, MARK, KEYS)?;
    let socket_folder = cluster.folder.path().to_string_lossy().into_owned();
    let target =
        Target { socket_folder: &socket_folder, port: cluster.port, user: "authenticator", password: "" };
    let duration = Duration::from_secs(arguments.seconds);
    let (mut limit, mut ours, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        limit.push(script.best(&arguments.pgbench, &target, arguments.seconds)?);
        let mut best = Run { per_second: 0.0, cpu_micros: 0.0 };
        for connections in CONNECTIONS {
            let config = cluster.config("authenticator");
            let run = tokio::task::spawn_blocking(move || run(config, connections, duration)).await??;
            if run.per_second > best.per_second {
                best = run;
            }
        }
        ours.push(best.per_second);
        cpu.push(best.cpu_micros);
    }
    head("The request transaction alone; both sides: best of 4/8/16 connections");
    line("request transactions per second", median(&ours), median(&limit), "1/s", ">= 0.8");
    note("  client CPU per request", median(&cpu), "µs");
    Ok(())
}

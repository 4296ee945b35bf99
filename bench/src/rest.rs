//! REST by primary key, signed in, under row level security, through the whole front door.

pub(crate) mod catalogue;
pub(crate) mod kinds;
pub(crate) mod plan;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::Arguments;
use crate::backend::{Backend, free_port};
use crate::load::{self, Http};
use crate::pgbench::{Script, Target};
use crate::process::{cpu_micros, cpu_micros_below, cpu_micros_below_since};
use crate::record::{Recorded, Recorder};
use crate::table::{head, line, median, note};

const KEYS: u32 = 10_000;

/// A table under row level security, filled for one signed-in user.
pub(crate) struct Application {
    address: SocketAddr,
    api_key: String,
    token: String,
}

impl Application {
    pub(crate) async fn create(backend: &Backend) -> Result<Self> {
        let api_key = backend.status()?["ANON_KEY"].as_str().context("ANON_KEY")?.to_owned();
        let mut connection = backend.connect("postgres").await?;
        connection
            .simple_query(
                "create table public.items (
                   id int primary key, owner uuid not null default auth.uid(), body text not null);
                 alter table public.items enable row level security;
                 create policy own on public.items to authenticated using (owner = (select auth.uid()));",
            )
            .await?;
        let body = r#"{"email":"bench@example.com","password":"correct horse battery"}"#;
        let request = format!(
            "POST /auth/v1/signup HTTP/1.1\r\nhost: {}\r\napikey: {api_key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            backend.address,
            body.len()
        );
        let answer = Http::connect(backend.address).await?.request(request.as_bytes()).await?;
        if answer.status != 200 {
            bail!("sign-up answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        let session: Value = serde_json::from_slice(&answer.body)?;
        let token = session["access_token"].as_str().context("access_token")?.to_owned();
        let user = session["user"]["id"].as_str().context("user id")?;
        connection
            .simple_query(&format!(
                "insert into public.items select i, '{user}', 'item number ' || i from generate_series(1, {KEYS}) i;
                 analyze public.items;"
            ))
            .await?;
        let application = Self { address: backend.address, api_key, token };
        application.wait_for_table().await?;
        Ok(application)
    }

    /// The catalogue is reloaded behind the table's back, so the first request may come too early.
    async fn wait_for_table(&self) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let answer = Http::connect(self.address).await?.request(&self.bytes("/rest/v1", 1)).await?;
            if answer.status == 200 && answer.body.starts_with(b"[{") {
                return Ok(());
            }
            if Instant::now() > until {
                bail!("REST answers {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn bytes(&self, prefix: &str, key: u32) -> Vec<u8> {
        format!(
            "GET {prefix}/items?select=id,body&id=eq.{key} HTTP/1.1\r\nhost: {}\r\napikey: {}\r\nauthorization: Bearer {}\r\naccept: application/json\r\n\r\n",
            self.address, self.api_key, self.token
        )
        .into_bytes()
    }

    /// The n-th request: keys are visited in a scattered order.
    pub(crate) fn request_bytes(&self) -> impl Fn(usize) -> Rc<[u8]> + Clone + 'static {
        let all: Rc<[Rc<[u8]>]> =
            (0..1024_u32).map(|n| self.bytes("/rest/v1", n * 7919 % KEYS + 1).into()).collect();
        move |n| all[n % all.len()].clone()
    }
}

pub(crate) async fn measure(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let backend = Backend::start(&arguments.binary, folder.path()).await?;
    let application = Application::create(&backend).await?;
    let (socket_folder, port) = socket(&backend).await?;
    let statements = record(arguments, &backend, &application.bytes("", 4242), &socket_folder, port).await?;
    println!("our statements for one request:");
    for statement in &statements {
        println!("  {}", statement.sql.replace('\n', " "));
    }
    let script = Script::pipelined(&statements, "4242", KEYS)?;
    let target = Target { socket_folder: &socket_folder, port, user: "authenticator", password: "postgres" };
    let duration = Duration::from_secs(arguments.seconds);
    let mut limit = Vec::new();
    let mut ours = vec![Vec::new(); CONNECTIONS.len()];
    let mut cpu = vec![Vec::new(); CONNECTIONS.len()];
    let mut below = vec![Vec::new(); CONNECTIONS.len()];
    let mut tails = vec![Vec::new(); CONNECTIONS.len()];
    let mut middles = vec![Vec::new(); CONNECTIONS.len()];
    for _ in 0..arguments.runs {
        limit.push(script.best(&arguments.pgbench, &target, arguments.seconds)?);
        for (index, connections) in CONNECTIONS.into_iter().enumerate() {
            let before = (cpu_micros(backend.pid())?, cpu_micros_below(backend.pid())?);
            let outcome =
                load::run(backend.address, connections, duration, application.request_bytes()).await?;
            let share = |micros: u64| micros as f64 / outcome.requests as f64;
            cpu[index].push(share(cpu_micros(backend.pid())? - before.0));
            below[index].push(share(cpu_micros_below_since(backend.pid(), &before.1)?));
            ours[index].push(outcome.per_second);
            tails[index].push(outcome.p99.as_secs_f64() * 1e3);
            middles[index].push(outcome.p50.as_secs_f64() * 1e3);
        }
    }
    head("REST by primary key under RLS, signed in; limit: pgbench, best of 4/8/16 connections, pipelined");
    for (index, connections) in CONNECTIONS.into_iter().enumerate() {
        line(
            &format!("requests per second, {connections} connections"),
            median(&ours[index]),
            median(&limit),
            "1/s",
            ">= 0.5",
        );
        note("  server CPU per request", median(&cpu[index]), "µs");
        note("  PostgreSQL CPU per request", median(&below[index]), "µs");
        note("  p50", median(&middles[index]), "ms");
        note("  p99", median(&tails[index]), "ms");
    }
    backend.stop()
}

const CONNECTIONS: [usize; 3] = [8, 16, 64];

async fn socket(backend: &Backend) -> Result<(String, u16)> {
    let mut connection = backend.connect("postgres").await?;
    let row = connection
        .query_one(
            "select split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port')",
            &[],
        )
        .await?;
    let folder: String = row.get(0)?;
    let folder = crate::process::folder_of(crate::process::postmaster(backend.pid())?, &folder)?;
    Ok((folder.display().to_string(), row.get::<String>(1)?.parse()?))
}

/// What REST sends for one such request: a second REST server, alone, behind a recording proxy.
async fn record(
    arguments: &Arguments,
    backend: &Backend,
    request: &[u8],
    socket_folder: &str,
    port: u16,
) -> Result<Vec<Recorded>> {
    let recorder = Recorder::start(PathBuf::from(socket_folder).join(format!(".s.PGSQL.{port}"))).await?;
    let login =
        format!("postgres://authenticator:postgres@127.0.0.1:{}/postgres?sslmode=disable", recorder.port);
    let rest = Alone::start(arguments, backend, &login, &[])?;
    let until = Instant::now() + Duration::from_secs(10);
    // Twice: the first request also prepares the statements.
    let mut answered = 0;
    loop {
        recorder.take();
        if let Ok(mut http) = Http::connect(rest.address).await
            && let Ok(answer) = http.request(request).await
            && answer.status < 300
        {
            answered += 1;
            if answered == 2 {
                return Ok(recorder.take());
            }
            continue;
        }
        if Instant::now() > until {
            bail!("`serve rest` did not answer");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

struct Alone {
    child: Child,
    address: SocketAddr,
}

impl Alone {
    /// Starts it with a login, and variables that win over the usual ones.
    fn start(
        arguments: &Arguments,
        backend: &Backend,
        login: &str,
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let port = free_port()?;
        let secret = backend.status()?["JWT_SECRET"].as_str().context("JWT_SECRET")?.to_owned();
        let child = Command::new(&arguments.binary)
            .args(["serve", "rest"])
            .env("PGRST_DB_URI", login)
            .env("PGRST_DB_SCHEMAS", "public,graphql_public")
            .env("PGRST_DB_EXTRA_SEARCH_PATH", "public,extensions")
            .env("PGRST_DB_MAX_ROWS", "1000")
            .env("PGRST_DB_ANON_ROLE", "anon")
            .env("PGRST_JWT_SECRET", secret)
            .env("PGRST_SERVER_HOST", "127.0.0.1")
            .env("PGRST_SERVER_PORT", port.to_string())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)) })
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has loaded its catalogue.
    async fn ready(&self) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(60);
        let request = b"OPTIONS / HTTP/1.1\r\nhost: localhost\r\n\r\n";
        loop {
            if let Ok(mut http) = Http::connect(self.address).await
                && let Ok(answer) = http.request(request).await
                && answer.status == 200
            {
                return Ok(());
            }
            if Instant::now() > until {
                bail!("`serve rest` did not become ready");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! Database changes: from the statement to the socket, with and without row level security, and what an idle server asks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use database::{Connection, Param, PipelinedRequest, RequestContext, Statement};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokens::{KeyRing, KeySet};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::Arguments;
use crate::backend::Backend;
use crate::table::{head, note};

/// Subscribers of the measurement without row level security.
const SUBSCRIBERS: usize = 200;
/// Users of the one with.
const USERS: usize = 1000;

/// How often a client says that it is there; one that is silent for a minute is closed.
const BEAT: Duration = Duration::from_secs(20);

/// Rows on their way: when each was sent, by its number.
type Sent = Arc<Mutex<HashMap<u64, Instant>>>;

/// Where sockets are opened, and who signs their tokens.
struct Door {
    address: std::net::SocketAddr,
    api_key: String,
    ring: KeyRing,
}

/// A row that arrived.
struct Arrival {
    after: Duration,
}

pub(crate) async fn measure(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let backend = Backend::start(&arguments.binary, folder.path()).await?;
    let mut admin = backend.connect("postgres").await?;
    admin
        .simple_query(
            "create table public.plain (id bigint primary key, owner text not null, body text);
             create table public.secured (id bigint primary key, owner text not null, body text);
             alter table public.secured enable row level security;
             create policy own on public.secured for select to authenticated
                 using (owner = (select auth.jwt() ->> 'sub'));
             alter publication supabase_realtime add table public.plain, public.secured;",
        )
        .await?;

    let names = backend.status()?;
    let text = |name: &str| names[name].as_str().map(str::to_owned).context("a name of `status`");
    let door = Door {
        address: backend.address,
        api_key: text("ANON_KEY")?,
        ring: KeyRing::new(KeySet::from_secret(&text("JWT_SECRET")?)?),
    };
    head("Database changes");
    idle(&backend, arguments).await?;
    plain(&door, &mut admin, arguments).await?;
    // The last is more than is asked for: what it can take.
    for rate in [100, 1000, 1500] {
        secured(&door, &mut admin, arguments, rate).await?;
    }
    limit(&backend).await?;
    drop(admin);
    backend.stop()
}

/// What an idle server asks of the database in a minute.
async fn idle(backend: &Backend, arguments: &Arguments) -> Result<()> {
    let minute = Duration::from_secs(if arguments.seconds < 4 { 10 } else { 60 });
    let mut admin = backend.connect("supabase_admin").await?;
    admin.simple_query("create extension if not exists pg_stat_statements schema extensions").await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    admin.simple_query("select extensions.pg_stat_statements_reset()").await?;
    tokio::time::sleep(minute).await;
    let sql = "select coalesce(sum(calls), 0)::text from extensions.pg_stat_statements \
               where query not like '%pg_stat_statements%'";
    let results = admin.simple_query(sql).await?;
    let count: f64 = results.first().and_then(|result| result.scalar()).context("a count")?.parse()?;
    note(&format!("idle: statements in {} s", minute.as_secs()), count, "statements, of all services");
    Ok(())
}

/// Each subscriber filters its own rows; no row level security.
async fn plain(door: &Door, admin: &mut Connection, arguments: &Arguments) -> Result<()> {
    let sent = Sent::default();
    let (arrivals, mut arrived) = mpsc::unbounded_channel();
    let mut clients = Vec::new();
    for number in 0..SUBSCRIBERS {
        let entry = json!({"event": "INSERT", "schema": "public", "table": "plain", "filter": format!("owner=eq.{number}")});
        clients.push(listen(door, number, entry, sent.clone(), arrivals.clone()).await?);
    }
    let rows = write(admin, "plain", 500, SUBSCRIBERS, arguments.seconds.max(4), &sent).await?;
    let mut latencies = collect(&mut arrived, rows).await?;
    report("200 filtered subscribers, 500 changes/s", rows, &mut latencies, "p50 < 5, p99 < 25");
    clients.iter().for_each(JoinHandle::abort);
    Ok(())
}

/// Every user listens to the whole table; the policy shows each its own rows.
async fn secured(door: &Door, admin: &mut Connection, arguments: &Arguments, rate: u64) -> Result<()> {
    let sent = Sent::default();
    let (arrivals, mut arrived) = mpsc::unbounded_channel();
    let mut clients = Vec::new();
    for number in 0..USERS {
        let entry = json!({"event": "INSERT", "schema": "public", "table": "secured"});
        clients.push(listen(door, number, entry, sent.clone(), arrivals.clone()).await?);
    }
    admin.simple_query("truncate public.secured").await?;
    let began = Instant::now();
    let rows = write(admin, "secured", rate, USERS, arguments.seconds.max(4), &sent).await?;
    let mut latencies = collect(&mut arrived, rows).await?;
    let checks = rows as f64 * USERS as f64 / began.elapsed().as_secs_f64();
    let target = match rate {
        100 => "p99 < 100",
        1000 => "p99 < 250",
        _ => "no target",
    };
    report(&format!("row level security, 1000 users, {rate} changes/s"), rows, &mut latencies, target);
    note("  visibility checks a second, the last delivery included", checks, "checks/s (≥ 1,000,000)");
    clients.iter().for_each(JoinHandle::abort);
    // The sockets' ends are noticed before the next measurement begins.
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(())
}

/// The same questions, asked by bare connections: what the database can do.
async fn limit(backend: &Backend) -> Result<()> {
    const KEYS: i64 = 50;
    let keys: Vec<String> = (1..=KEYS).map(|key| key.to_string()).collect();
    let keys = format!("{{{}}}", keys.join(","));
    let ask = async |mut connection: Connection| -> Result<f64> {
        let contexts: Vec<RequestContext<'_>> = (0..USERS)
            .map(|user| {
                RequestContext::new("authenticated")
                    .with_claims(format!("{{\"role\":\"authenticated\",\"sub\":\"{user}\"}}"))
            })
            .collect();
        let params = [Param::Text(&keys)];
        let statements =
            [Statement::new("select id from public.secured where id = any ($1::bigint[])", &params)];
        let requests: Vec<PipelinedRequest<'_>> =
            contexts.iter().map(|context| PipelinedRequest { context, statements: &statements }).collect();
        let began = Instant::now();
        let mut asked = 0;
        while began.elapsed() < Duration::from_secs(3) {
            for answer in connection.pipeline(&requests).await? {
                answer?;
            }
            asked += requests.len() * KEYS as usize;
        }
        Ok(asked as f64 / began.elapsed().as_secs_f64())
    };
    let connection = backend.connect("supabase_admin").await?;
    note("limit: batches of 50 keys, one bare connection", ask(connection).await?, "checks/s");
    let (one, two) = (backend.connect("supabase_admin").await?, backend.connect("supabase_admin").await?);
    let (one, two) = tokio::join!(ask(one), ask(two));
    note("limit: two bare connections", one? + two?, "checks/s");
    Ok(())
}

/// Writes rows at a rate, each for one of `owners` in turn; how many.
async fn write(
    admin: &mut Connection,
    table: &str,
    rate: u64,
    owners: usize,
    seconds: u64,
    sent: &Sent,
) -> Result<usize> {
    let statement = format!(
        "insert into public.{table} select k, (k % {owners})::text, 'some words' from generate_series($1::bigint, $2::bigint) k"
    );
    // At most 200 statements a second, so that the writer is not what is measured.
    let together = (rate / 200).max(1);
    let ticks = rate * seconds / together;
    let mut interval = tokio::time::interval(Duration::from_secs_f64(together as f64 / rate as f64));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut next = 1u64;
    for _ in 0..ticks {
        interval.tick().await;
        let (first, last) = (next, next + together - 1);
        let now = Instant::now();
        if let Ok(mut sent) = sent.lock() {
            sent.extend((first..=last).map(|number| (number, now)));
        }
        let (first, last) = (first.to_string(), last.to_string());
        admin.run(&[Statement::new(&statement, &[Param::Text(&first), Param::Text(&last)])]).await?;
        next += together;
    }
    Ok((next - 1) as usize)
}

async fn collect(arrived: &mut mpsc::UnboundedReceiver<Arrival>, rows: usize) -> Result<Vec<Duration>> {
    let mut latencies = Vec::with_capacity(rows);
    while latencies.len() < rows {
        match tokio::time::timeout(Duration::from_secs(30), arrived.recv()).await {
            Ok(Some(arrival)) => latencies.push(arrival.after),
            _ => bail!("{} of {rows} rows arrived", latencies.len()),
        }
    }
    Ok(latencies)
}

fn report(name: &str, rows: usize, latencies: &mut [Duration], target: &str) {
    latencies.sort_unstable();
    let at = |part: f64| {
        let index = ((latencies.len() as f64 * part) as usize).min(latencies.len().saturating_sub(1));
        latencies.get(index).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
    };
    note(&format!("{name}: rows"), rows as f64, "delivered, each once");
    note("  statement to socket, p50", at(0.5), &format!("ms ({target})"));
    note("  statement to socket, p99", at(0.99), &format!("ms ({target})"));
}

/// A signed-in user's socket that listens to one table and reports what arrives.
async fn listen(
    door: &Door,
    user: usize,
    entry: Value,
    sent: Sent,
    arrivals: mpsc::UnboundedSender<Arrival>,
) -> Result<JoinHandle<()>> {
    let token = door
        .ring
        .sign(&json!({"role": "authenticated", "sub": user.to_string(), "exp": 4_102_444_800u64}))?;
    let stream = TcpStream::connect(door.address).await?;
    stream.set_nodelay(true)?;
    let url = format!("ws://{}/realtime/v1/websocket?vsn=2.0.0&apikey={}", door.address, door.api_key);
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await?;
    let join = json!({"config": {"postgres_changes": [entry], "presence": {"enabled": false}}, "access_token": token});
    socket.send(Message::text(json!(["1", "1", "realtime:bench", "phx_join", join]).to_string())).await?;
    loop {
        let message = next(&mut socket).await?;
        if message[3] == "system" {
            if message[4]["status"] != "ok" {
                bail!("not subscribed: {}", message[4]);
            }
            break;
        }
    }
    Ok(tokio::spawn(async move {
        let mut beats = tokio::time::interval_at(tokio::time::Instant::now() + BEAT, BEAT);
        loop {
            let message = tokio::select! {
                message = next(&mut socket) => message,
                _ = beats.tick() => {
                    let beat = json!([null, "2", "phoenix", "heartbeat", {}]);
                    if socket.send(Message::text(beat.to_string())).await.is_err() {
                        return;
                    }
                    continue;
                }
            };
            let Ok(message) = message else { return };
            if message[3] != "postgres_changes" {
                continue;
            }
            let now = Instant::now();
            let number = message[4]["data"]["record"]["id"].as_u64().unwrap_or_default();
            let at = sent.lock().ok().and_then(|sent| sent.get(&number).copied());
            if let Some(at) = at {
                // Nobody listens any more at the end.
                let _ = arrivals.send(Arrival { after: now - at });
            }
        }
    }))
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Result<Value> {
    loop {
        match socket.next().await.context("the socket was closed")?? {
            Message::Text(text) => return Ok(serde_json::from_str(&text)?),
            Message::Close(_) => bail!("the socket was closed"),
            _ => {}
        }
    }
}

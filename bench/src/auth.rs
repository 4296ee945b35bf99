//! Auth alone, beside the original on the same database where its binary is there (`GOTRUE_BIN`), and beside bare bcrypt.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::Arguments;
use crate::backend::{Backend, free_port};
use crate::load::{self, Http};
use crate::table::{head, line, median, note};

const SECRET: &str = "super-secret-jwt-token-with-at-least-32-characters-long";
const PASSWORD: &str = "correct horse battery";
/// Enough to keep both cores busy.
const CONNECTIONS: usize = 8;
/// People who sign in at once during a storm.
const STORM: usize = 16;
/// The pace at which `GET /user` is asked meanwhile.
const PER_SECOND: u64 = 200;

/// A service alone, ours or the original; stopped when dropped.
struct Alone {
    child: Child,
    address: SocketAddr,
}

impl Alone {
    async fn start(binary: &Path, arguments: &[&str], database: &str) -> Result<Self> {
        let port = free_port()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut child = Command::new(binary)
            .args(arguments)
            .current_dir("/tmp")
            .env("GOTRUE_API_HOST", "127.0.0.1")
            .env("PORT", port.to_string())
            .env("API_EXTERNAL_URL", format!("http://{address}"))
            .env("GOTRUE_SITE_URL", "http://localhost:3000")
            .env("GOTRUE_DB_DRIVER", "postgres")
            .env("DATABASE_URL", database)
            .env("GOTRUE_DB_MAX_POOL_SIZE", "10")
            .env("GOTRUE_JWT_SECRET", SECRET)
            .env("GOTRUE_JWT_AUD", "authenticated")
            .env("GOTRUE_JWT_DEFAULT_GROUP_NAME", "authenticated")
            .env("GOTRUE_MAILER_AUTOCONFIRM", "true")
            .env("GOTRUE_LOG_LEVEL", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        let until = Instant::now() + Duration::from_secs(20);
        let request = format!("GET /health HTTP/1.1\r\nhost: {address}\r\n\r\n");
        loop {
            if let Ok(mut http) = Http::connect(address).await
                && http.request(request.as_bytes()).await.is_ok_and(|answer| answer.status == 200)
            {
                return Ok(Self { child, address });
            }
            if let Some(status) = child.try_wait()? {
                bail!("{} ended with {status}", binary.display());
            }
            if Instant::now() > until {
                bail!("{} does not answer", binary.display());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn post(&self, path: &str, body: &Value) -> Vec<u8> {
        let body = body.to_string();
        format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .into_bytes()
    }

    fn get_user(&self, token: &str) -> Vec<u8> {
        format!("GET /user HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\r\n", self.address)
            .into_bytes()
    }

    fn sign_in(&self, email: &str) -> Vec<u8> {
        self.post("/token?grant_type=password", &json!({"email": email, "password": PASSWORD}))
    }

    async fn session(&self, request: &[u8]) -> Result<Value> {
        let answer = Http::connect(self.address).await?.request(request).await?;
        if answer.status != 200 {
            bail!("status {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Refreshes a second, each connection in a session of its own, always with the newest token.
    async fn refreshes(&self, email: &str, duration: Duration) -> Result<f64> {
        let mut tokens = Vec::new();
        for _ in 0..CONNECTIONS {
            let session = self.session(&self.sign_in(email)).await?;
            tokens.push(session["refresh_token"].as_str().context("refresh_token")?.to_owned());
        }
        let began = Instant::now();
        let until = began + duration;
        let local = tokio::task::LocalSet::new();
        let total = local
            .run_until(async {
                let tasks: Vec<_> = tokens
                    .into_iter()
                    .map(|mut token| {
                        let address = self.address;
                        tokio::task::spawn_local(async move {
                            let mut http = Http::connect(address).await?;
                            let mut done = 0_usize;
                            while Instant::now() < until {
                                let body = json!({"refresh_token": token}).to_string();
                                let request = format!(
                                    "POST /token?grant_type=refresh_token HTTP/1.1\r\nhost: {address}\r\n\
                                     content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                                    body.len()
                                );
                                let answer = http.request(request.as_bytes()).await?;
                                if answer.status != 200 {
                                    bail!("status {}", answer.status);
                                }
                                let session: Value = serde_json::from_slice(&answer.body)?;
                                token =
                                    session["refresh_token"].as_str().context("refresh_token")?.to_owned();
                                done += 1;
                            }
                            Ok(done)
                        })
                    })
                    .collect();
                let mut total = 0;
                for task in tasks {
                    total += task.await??;
                }
                Ok::<_, anyhow::Error>(total)
            })
            .await?;
        Ok(total as f64 / began.elapsed().as_secs_f64())
    }

    /// The 99th percentile of `GET /user` in milliseconds at a fixed pace, with so many people signing in without a pause.
    /// Latency counts from when a request was due.
    async fn tail(&self, token: &str, email: &str, duration: Duration, storm: usize) -> Result<f64> {
        let began = Instant::now();
        let until = began + duration;
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let address = self.address;
                let signing_in: Vec<_> = (0..storm)
                    .map(|_| {
                        let request = self.sign_in(email);
                        tokio::task::spawn_local(async move {
                            let mut http = Http::connect(address).await?;
                            while Instant::now() < until {
                                http.request(&request).await?;
                            }
                            Ok::<_, anyhow::Error>(())
                        })
                    })
                    .collect();
                let total = PER_SECOND * duration.as_secs();
                let lanes = 20;
                let asking: Vec<_> = (0..lanes)
                    .map(|lane| {
                        let request = self.get_user(token);
                        tokio::task::spawn_local(async move {
                            let mut http = Http::connect(address).await?;
                            let mut latencies = Vec::new();
                            for turn in (lane..total).step_by(lanes as usize) {
                                let due = began + Duration::from_micros(1_000_000 / PER_SECOND * turn);
                                tokio::time::sleep_until(due.into()).await;
                                let answer = http.request(&request).await?;
                                if answer.status != 200 {
                                    bail!("status {}", answer.status);
                                }
                                latencies.push(due.elapsed());
                            }
                            Ok(latencies)
                        })
                    })
                    .collect();
                let mut all = Vec::new();
                for task in asking {
                    all.extend(task.await??);
                }
                for task in signing_in {
                    task.await??;
                }
                all.sort_unstable();
                let at = all.len() * 99 / 100;
                Ok(all.get(at).context("no request was sent")?.as_secs_f64() * 1e3)
            })
            .await
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Verifications a second that the cores can do: the limit of sign-ins.
fn bare_bcrypt(duration: Duration) -> Result<f64> {
    let hash = bcrypt::hash(PASSWORD, 10)?;
    let cores = std::thread::available_parallelism()?.get();
    let began = Instant::now();
    let total: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|_| {
                scope.spawn(|| {
                    let mut done = 0;
                    while began.elapsed() < duration {
                        if bcrypt::verify(PASSWORD, &hash).unwrap_or(false) {
                            done += 1;
                        }
                    }
                    done
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
    });
    Ok(total as f64 / began.elapsed().as_secs_f64())
}

/// Figures of one side.
#[derive(Default)]
struct Side {
    user: Vec<f64>,
    refresh: Vec<f64>,
    sign_in: Vec<f64>,
    idle: Vec<f64>,
    storm: Vec<f64>,
}

pub(crate) async fn measure(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let backend = Backend::start(&arguments.binary, folder.path()).await?;
    let url = backend.status()?["DB_URL"].as_str().context("DB_URL")?.to_owned();
    let place = url.split_once('@').map(|(_, place)| place.to_owned()).context("DB_URL names a server")?;
    let database = format!("postgres://supabase_auth_admin:postgres@{place}");
    let ours = Alone::start(&arguments.binary, &["serve", "auth"], &database).await?;
    let original = match std::env::var_os("GOTRUE_BIN") {
        Some(binary) => Some(Alone::start(Path::new(&binary), &["serve"], &database).await?),
        None => None,
    };
    let email = "bench@example.com";
    let signed_up = ours.post("/signup", &json!({"email": email, "password": PASSWORD}));
    let session = ours.session(&signed_up).await?;
    let token = session["access_token"].as_str().context("access_token")?.to_owned();
    let duration = Duration::from_secs(arguments.seconds);
    let (mut our, mut their, mut bare) = (Side::default(), Side::default(), Vec::new());
    for _ in 0..arguments.runs {
        for (server, side) in [(Some(&ours), &mut our), (original.as_ref(), &mut their)] {
            let Some(server) = server else { continue };
            let request = server.get_user(&token);
            let user = load::run(server.address, CONNECTIONS, duration, move |_| request.clone()).await?;
            side.user.push(user.per_second);
            side.refresh.push(server.refreshes(email, duration).await?);
            let request = server.sign_in(email);
            let sign_in = load::run(server.address, CONNECTIONS, duration, move |_| request.clone()).await?;
            side.sign_in.push(sign_in.per_second);
            side.idle.push(server.tail(&token, email, duration, 0).await?);
            side.storm.push(server.tail(&token, email, duration, STORM).await?);
        }
        bare.push(tokio::task::spawn_blocking(move || bare_bcrypt(duration)).await??);
    }
    head(match original {
        Some(_) => "Auth alone; limit: the original on the same database, in the same run",
        None => "Auth alone; GOTRUE_BIN names no original to compare with",
    });
    line("GET /user, per second", median(&our.user), median(&their.user), "1/s", ">= 3");
    line("refresh, per second", median(&our.refresh), median(&their.refresh), "1/s", ">= 3");
    line(
        "password sign-in, per second (limit: bare bcrypt)",
        median(&our.sign_in),
        median(&bare),
        "1/s",
        ">= 0.9",
    );
    note("  the original's password sign-in", median(&their.sign_in), "1/s");
    line(
        "p99 of GET /user at 200/s in a storm (limit: idle)",
        median(&our.storm),
        median(&our.idle),
        "ms",
        "<= 3",
    );
    note("  the original's, idle", median(&their.idle), "ms");
    note("  the original's, in a storm", median(&their.storm), "ms");
    drop((ours, original));
    backend.stop()
}

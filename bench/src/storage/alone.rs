//! The service alone, ours or the original, each over files of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::BUCKET;
use crate::backend::{Backend, free_port};
use crate::load::Http;

pub(super) const ACCESS_KEY: &str = "bench-access-key";
pub(super) const ACCESS_SECRET: &str = "bench-access-secret";
/// The database of the original.
const THEIR_DATABASE: &str = "original";

/// What the original takes for granted: its migrations neither open their schema to the roles of requests (whose
/// unqualified names would then find nothing) nor grant them what they create.
const EXPECTED: &str = "
    create schema extensions;
    create extension \"uuid-ossp\" schema extensions;
    grant usage on schema extensions to public;
    create schema storage authorization supabase_storage_admin;
    grant usage on schema storage to anon, authenticated, service_role;
    alter default privileges for role supabase_storage_admin in schema storage
        grant all on tables to anon, authenticated, service_role;
    alter default privileges for role supabase_storage_admin in schema storage
        grant all on functions to anon, authenticated, service_role;
";

/// Which program.
#[derive(Clone, Copy)]
pub(super) enum Program<'a> {
    /// `monobase serve storage`.
    Ours(&'a Path),
    /// A built checkout of the original.
    Original(&'a Path),
}

/// A service alone; stopped when dropped. Or the same behind the front door, which somebody else stops.
pub(super) struct Alone {
    child: Option<Child>,
    pub(super) address: SocketAddr,
    /// What stands before the service's own paths.
    prefix: &'static str,
    /// A token of the service role.
    pub(super) token: String,
    turns: AtomicUsize,
}

impl Alone {
    pub(super) async fn start(program: Program<'_>, backend: &Backend, folder: &Path) -> Result<Self> {
        let status = backend.status()?;
        let known = |name: &str| status[name].as_str().map(str::to_owned).context("a name of `status`");
        let url = known("DB_URL")?;
        let (place, _) = url
            .split_once('@')
            .and_then(|(_, place)| place.rsplit_once('/'))
            .context("DB_URL names a server")?;
        let (name, database, mut command) = match program {
            Program::Ours(binary) => {
                let mut command = Command::new(binary);
                command.args(["serve", "storage"]).current_dir("/tmp");
                ("ours", "postgres", command)
            }
            Program::Original(built) => {
                let mut connection = backend.connect("supabase_admin").await?;
                let sql = format!("create database {THEIR_DATABASE} owner supabase_storage_admin");
                connection.simple_query(&sql).await?;
                let mut connection = backend.connect_to("supabase_admin", THEIR_DATABASE).await?;
                connection.simple_query(EXPECTED).await?;
                let mut command = Command::new("node");
                command.arg("dist/start/server.js").current_dir(built).env("NODE_ENV", "production");
                ("original", THEIR_DATABASE, command)
            }
        };
        let volume = folder.join(name);
        std::fs::create_dir(&volume)?;
        let port = free_port()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let log = folder.join(format!("{name}.log"));
        let mut child = command
            .env("SERVER_HOST", "127.0.0.1")
            .env("SERVER_PORT", port.to_string())
            .env("SERVER_ADMIN_PORT", (port + 7).to_string())
            .env(
                "DATABASE_URL",
                format!("postgres://supabase_storage_admin:postgres@{place}/{database}?sslmode=disable"),
            )
            .env("AUTH_JWT_SECRET", known("JWT_SECRET")?)
            .env("ANON_KEY", known("ANON_KEY")?)
            .env("SERVICE_KEY", known("SERVICE_ROLE_KEY")?)
            .env("STORAGE_BACKEND", "file")
            .env("STORAGE_FILE_BACKEND_PATH", &volume)
            .env("STORAGE_S3_BUCKET", "stub")
            .env("STORAGE_S3_REGION", "local")
            .env("TENANT_ID", "stub")
            .env("UPLOAD_FILE_SIZE_LIMIT", "1000000000")
            .env("S3_PROTOCOL_ACCESS_KEY_ID", ACCESS_KEY)
            .env("S3_PROTOCOL_ACCESS_KEY_SECRET", ACCESS_SECRET)
            .env("LOG_LEVEL", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        let until = Instant::now() + Duration::from_secs(60);
        let request = format!("GET /status HTTP/1.1\r\nhost: {address}\r\n\r\n");
        loop {
            if let Ok(mut http) = Http::connect(address).await
                && http.request(request.as_bytes()).await.is_ok_and(|answer| answer.status == 200)
            {
                break;
            }
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended with {status}: {}", std::fs::read_to_string(&log)?);
            }
            if Instant::now() > until {
                child.kill()?;
                bail!("{name} does not answer: {}", std::fs::read_to_string(&log)?);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let token = known("SERVICE_ROLE_KEY")?;
        Ok(Self { child: Some(child), address, prefix: "", token, turns: AtomicUsize::new(0) })
    }

    /// The same service as part of the whole.
    pub(super) fn behind(&self, backend: &Backend) -> Self {
        Self {
            child: None,
            address: backend.address,
            prefix: "/storage/v1",
            token: self.token.clone(),
            turns: AtomicUsize::new(0),
        }
    }

    /// The same service, asked by somebody else.
    pub(super) fn asked_by(&self, token: String) -> Self {
        Self { child: None, address: self.address, prefix: self.prefix, token, turns: AtomicUsize::new(0) }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// A number that was not used before.
    pub(super) fn salt(&self) -> usize {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    /// The key of a file: the service alone and the one behind the door share rows, but each keeps blobs of its own.
    pub(super) fn key(&self, bytes: usize) -> String {
        if self.prefix.is_empty() { bytes.to_string() } else { format!("door/{bytes}") }
    }

    pub(super) fn download(&self, key: &str) -> Vec<u8> {
        let (prefix, address) = (self.prefix, self.address);
        format!("GET {prefix}/object/public/{BUCKET}/{key} HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes()
    }

    pub(super) fn upload_head(&self, key: &str, length: usize) -> String {
        let (prefix, address, token) = (self.prefix, self.address, &self.token);
        format!(
            "POST {prefix}/object/{BUCKET}/{key} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             apikey: {token}\r\nx-upsert: true\r\ncontent-type: application/octet-stream\r\n\
             content-length: {length}\r\n\r\n"
        )
    }

    /// Makes whole upload requests.
    pub(super) fn upload_requests(&self, content: Vec<u8>) -> impl Fn(&str) -> Vec<u8> + Clone + 'static {
        let (before, after) = {
            let head = self.upload_head("<KEY>", content.len());
            let (before, after) = head.split_once("<KEY>").unwrap_or((&head, ""));
            (before.as_bytes().to_vec(), after.as_bytes().to_vec())
        };
        move |key| [&before, key.as_bytes(), &after, &content].concat()
    }

    pub(super) async fn upload(&self, http: &mut Http, key: &str, content: &[u8]) -> Result<()> {
        let answer = http.send_in_pieces(self.upload_head(key, content.len()).as_bytes(), content, 1).await?;
        if answer.status != 200 {
            bail!("an upload was answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        Ok(())
    }

    pub(super) fn json(&self, method: &str, path: &str, body: &serde_json::Value) -> Vec<u8> {
        let (prefix, address, token) = (self.prefix, self.address, &self.token);
        let body = body.to_string();
        format!(
            "{method} {prefix}{path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             apikey: {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    pub(super) async fn create_bucket(&self, name: &str) -> Result<()> {
        let request = self.json("POST", "/bucket", &json!({"name": name, "public": true}));
        let answer = Http::connect(self.address).await?.request(&request).await?;
        if answer.status != 200 {
            bail!("a bucket was answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        Ok(())
    }

    pub(super) async fn delete(&self, keys: impl Iterator<Item = String>) -> Result<()> {
        let keys: Vec<String> = keys.collect();
        let request = self.json("DELETE", &format!("/object/{BUCKET}"), &json!({"prefixes": keys}));
        let answer = Http::connect(self.address).await?.request(&request).await?;
        if answer.status != 200 {
            bail!("a deletion was answered {}", answer.status);
        }
        Ok(())
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

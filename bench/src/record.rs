//! Records the statements that a client sends, by standing between it and the server and reading Parse and Bind.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};

/// A statement as it went over the wire, with its parameters in text form (`None` is NULL).
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) sql: String,
    pub(crate) values: Vec<Option<String>>,
    /// The types that the client stated, as oids; 0 or absent for what the server infers.
    pub(crate) types: Vec<u32>,
}

/// A proxy on loopback that forwards to a PostgreSQL socket and remembers every statement that is bound.
pub(crate) struct Recorder {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Recorded>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Recorder {
    pub(crate) async fn start(socket: PathBuf) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", crate::backend::free_port()?)).await?;
        let port = listener.local_addr()?.port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (socket, log) = (socket.clone(), log.clone());
                tokio::spawn(async move {
                    let Ok(server) = UnixStream::connect(&socket).await else { return };
                    let (mut server_read, mut server_write) = server.into_split();
                    let (mut client_read, mut client_write) = client.into_split();
                    tokio::spawn(async move { tokio::io::copy(&mut server_read, &mut client_write).await });
                    if let Err(error) = forward(&mut client_read, &mut server_write, &log).await {
                        eprintln!("recorder: {error:#}");
                    }
                });
            }
        });
        Ok(Self { port, seen, task })
    }

    /// What was bound since the last call.
    pub(crate) fn take(&self) -> Vec<Recorded> {
        self.seen.lock().map(|mut seen| std::mem::take(&mut *seen)).unwrap_or_default()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(
    client: &mut (impl AsyncReadExt + Unpin),
    server: &mut (impl AsyncWriteExt + Unpin),
    log: &Mutex<Vec<Recorded>>,
) -> Result<()> {
    let mut statements: Statements = HashMap::new();
    // The first message has no type byte.
    let mut length = [0; 4];
    client.read_exact(&mut length).await?;
    let mut body = vec![0; (u32::from_be_bytes(length) as usize).saturating_sub(4)];
    client.read_exact(&mut body).await?;
    server.write_all(&length).await?;
    server.write_all(&body).await?;
    loop {
        let mut head = [0; 5];
        if client.read_exact(&mut head).await.is_err() {
            return Ok(());
        }
        let size = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; size.saturating_sub(4)];
        client.read_exact(&mut body).await?;
        match head[0] {
            b'P' => {
                let mut rest = &body[..];
                let name = string(&mut rest)?;
                let sql = string(&mut rest)?;
                let types = (0..int16(&mut rest)?)
                    .map(|_| Ok(u32::from_be_bytes(take(&mut rest, 4)?.try_into()?)))
                    .collect::<Result<_>>()?;
                statements.insert(name, (sql, types));
            }
            b'B' => {
                let recorded = bound(&body, &statements)?;
                if let Ok(mut log) = log.lock() {
                    log.push(recorded);
                }
            }
            _ => {}
        }
        server.write_all(&head).await?;
        server.write_all(&body).await?;
    }
}

/// Texts and types of parameters by name.
type Statements = HashMap<String, (String, Vec<u32>)>;

fn bound(body: &[u8], statements: &Statements) -> Result<Recorded> {
    let mut rest = body;
    let _portal = string(&mut rest)?;
    let name = string(&mut rest)?;
    let (sql, types) = statements.get(&name).context("a statement that was never parsed")?.clone();
    let formats = (0..int16(&mut rest)?).map(|_| int16(&mut rest)).collect::<Result<Vec<_>>>()?;
    let count = int16(&mut rest)?;
    let mut values = Vec::new();
    for index in 0..count as usize {
        let format = match formats.len() {
            0 => 0,
            1 => formats[0],
            _ => *formats.get(index).context("a format for each parameter")?,
        };
        let length = i32::from_be_bytes(take(&mut rest, 4)?.try_into()?);
        if length < 0 {
            values.push(None);
            continue;
        }
        let bytes = take(&mut rest, length as usize)?;
        if format != 0 {
            bail!("a binary parameter cannot be given to pgbench: {sql}");
        }
        values.push(Some(String::from_utf8(bytes.to_vec())?));
    }
    Ok(Recorded { sql, values, types })
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count).context("a message that is too short")?;
    *rest = left;
    Ok(taken)
}

fn int16(rest: &mut &[u8]) -> Result<i16> {
    Ok(i16::from_be_bytes(take(rest, 2)?.try_into()?))
}

fn string(rest: &mut &[u8]) -> Result<String> {
    let end = rest.iter().position(|byte| *byte == 0).context("a string without end")?;
    let text = String::from_utf8(take(rest, end)?.to_vec())?;
    take(rest, 1)?;
    Ok(text)
}

//! The control socket: how `monobase status` and `monobase stop` speak to a running server.
//!
//! HTTP over a unix socket in the state folder: `GET /info`, `POST /stop`. Only the user who runs the
//! server, and root, are let in: the kernel says who calls.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Json;
use axum::routing::{get, post};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::Info;

/// A server on this machine answers in microseconds; one that is being debugged, perhaps not at all.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than any [`Info`].
const LARGEST_ANSWER: usize = 1 << 20;

/// The server's end of the socket. Dropping it closes and removes the socket.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    state: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    info: OnceLock<Info>,
    stop: Notify,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared { .. }")
    }
}

/// The socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A server of this state folder answers already.
    #[error("monobase is already running here")]
    Running,
    /// The system refused.
    #[error("the control socket {} cannot be opened", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

impl Control {
    /// Opens the socket, replacing what a killed server left. Answers from here on, with "starting"
    /// until [`Control::ready`].
    pub async fn open(path: &Path) -> Result<Self, ControlError> {
        let failed = |source| ControlError::Io { path: path.to_owned(), source };
        if UnixStream::connect(path).await.is_ok() {
            return Err(ControlError::Running);
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let listener = OwnUser { listener: UnixListener::bind(path).map_err(failed)?, user: own_user() };
        let state = Arc::new(Shared { info: OnceLock::new(), stop: Notify::new() });
        let routes =
            Router::new().route("/info", get(info)).route("/stop", post(stop)).with_state(state.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "the control socket ended");
            }
        });
        Ok(Self { path: path.to_owned(), state, task })
    }

    /// The start is over.
    pub fn ready(&self, info: Info) {
        // A second call would be a second start; the first one's answer stands.
        let _ = self.state.info.set(info);
    }

    /// Waits until somebody asks for the end.
    pub async fn stop_requested(&self) {
        self.state.stop.notified().await;
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the control socket was gone already");
        }
    }
}

async fn info(State(state): State<Arc<Shared>>) -> Result<Json<Info>, StatusCode> {
    state.info.get().cloned().map(Json).ok_or(StatusCode::SERVICE_UNAVAILABLE)
}

async fn stop(State(state): State<Arc<Shared>>) -> StatusCode {
    state.stop.notify_one();
    StatusCode::ACCEPTED
}

fn own_user() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Accepts our own user and root, and hangs up on everybody else.
struct OwnUser {
    listener: UnixListener,
    user: u32,
}

impl axum::serve::Listener for OwnUser {
    type Io = UnixStream;
    type Addr = tokio::net::unix::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => match stream.peer_cred() {
                    Ok(peer) if peer.uid() == self.user || peer.uid() == 0 => return (stream, address),
                    _ => tracing::warn!("somebody else's process was turned away from the control socket"),
                },
                Err(error) => {
                    tracing::warn!(%error, "the control socket could not accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// What a client finds behind the socket.
#[derive(Clone, PartialEq, Eq)]
pub enum Status {
    /// Nobody is there.
    Down,
    /// A server is there and not ready yet.
    Starting,
    /// A server is ready.
    Up(Box<Info>),
}

/// Asks who is there.
pub async fn status(path: &Path) -> io::Result<Status> {
    match call(path, Method::GET, "/info").await? {
        None => Ok(Status::Down),
        Some((StatusCode::OK, body)) => {
            let info = serde_json::from_slice(&body).map_err(|error| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("the server speaks another version: {error}"),
                )
            })?;
            Ok(Status::Up(Box::new(info)))
        }
        Some((StatusCode::SERVICE_UNAVAILABLE, _)) => Ok(Status::Starting),
        Some((code, _)) => Err(io::Error::other(format!("the server answered {code}"))),
    }
}

/// Asks for the end; false when nobody is there. The server goes on ending after this returns.
pub async fn request_stop(path: &Path) -> io::Result<bool> {
    match call(path, Method::POST, "/stop").await? {
        None => Ok(false),
        Some((StatusCode::ACCEPTED, _)) => Ok(true),
        Some((code, _)) => Err(io::Error::other(format!("the server answered {code}"))),
    }
}

async fn call(path: &Path, method: Method, route: &str) -> io::Result<Option<(StatusCode, Vec<u8>)>> {
    // The socket of a deep folder lies where others can write: theirs is not ours.
    match fs::metadata(path) {
        Ok(metadata) if metadata.uid() == own_user() || metadata.uid() == 0 || own_user() == 0 => {}
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the control socket is another user's",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        // Left behind by a server that was killed.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let exchange = async {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let request = Request::builder()
            .method(method)
            .uri(route)
            .header(http::header::HOST, "monobase")
            .body(Empty::<bytes::Bytes>::new())
            .map_err(io::Error::other)?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(io::Error::other)?;
            let code = answer.status();
            let body =
                Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await.map_err(io::Error::other)?;
            Ok(Some((code, body.to_bytes().to_vec())))
        };
        // The connection moves the bytes; the answer ends the exchange.
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            ended = connection => match ended {
                Ok(()) => answer.await,
                Err(error) => Err(io::Error::other(error)),
            },
        }
    };
    tokio::time::timeout(PATIENCE, exchange)
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the server does not answer"))?
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn some_info() -> Info {
        Info {
            pid: 1,
            version: "0".to_owned(),
            project: "p".to_owned(),
            services: vec![],
            variables: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
        }
    }

    #[tokio::test]
    async fn a_server_is_seen_starting_up_and_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/control.sock");
        assert!(status(&path).await.unwrap() == Status::Down);
        assert!(!request_stop(&path).await.unwrap());

        let control = Control::open(&path).await.unwrap();
        assert!(status(&path).await.unwrap() == Status::Starting);
        assert!(matches!(Control::open(&path).await, Err(ControlError::Running)));
        control.ready(some_info());
        assert!(status(&path).await.unwrap() == Status::Up(Box::new(some_info())));
        assert!(request_stop(&path).await.unwrap());
        control.stop_requested().await;
        drop(control);
        assert!(status(&path).await.unwrap() == Status::Down);
    }

    #[tokio::test]
    async fn what_a_killed_server_left_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(status(&path).await.unwrap() == Status::Down);
        assert!(Control::open(&path).await.is_ok());
    }
}

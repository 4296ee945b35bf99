//! The accept loop: one task a connection, bounded in number, finished in order at shutdown.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::body::{Meter, Outbound};
use crate::config::Limits;
use crate::connection::{Activity, Guarded, InProgress};
use crate::workers;

/// How long a failing `accept` (no file descriptors left) rests before the next try.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Where connections come from.
pub trait Accept: Send {
    /// One connection.
    type Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Its own address.
    fn local(&self) -> io::Result<SocketAddr>;

    /// The next connection and who made it.
    fn next(&self) -> impl Future<Output = io::Result<(Self::Socket, SocketAddr)>> + Send;

    /// Takes a socket from the reactor that accepted it; what is returned gives it to the one it is called on.
    fn detach(socket: Self::Socket)
    -> io::Result<impl FnOnce() -> io::Result<Self::Socket> + Send + 'static>;
}

impl Accept for TcpListener {
    type Socket = TcpStream;

    fn local(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    async fn next(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) = self.accept().await?;
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "cannot switch off Nagle's algorithm");
        }
        Ok((socket, peer))
    }

    fn detach(socket: TcpStream) -> io::Result<impl FnOnce() -> io::Result<TcpStream> + Send + 'static> {
        let socket = socket.into_std()?;
        Ok(move || TcpStream::from_std(socket))
    }
}

/// Who connects through a socket in the file system is on this machine, and has no address.
const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Accept for UnixListener {
    type Socket = UnixStream;

    fn local(&self) -> io::Result<SocketAddr> {
        Ok(HERE)
    }

    async fn next(&self) -> io::Result<(UnixStream, SocketAddr)> {
        Ok((self.accept().await?.0, HERE))
    }

    fn detach(socket: UnixStream) -> io::Result<impl FnOnce() -> io::Result<UnixStream> + Send + 'static> {
        let socket = socket.into_std()?;
        Ok(move || UnixStream::from_std(socket))
    }
}

/// What answers the requests of a listener.
pub trait Handler: Send + Sync + 'static {
    /// What is known about a connection from its start.
    type Peer: Send + Sync + 'static;
    /// What lives until the answer's last byte was handed over.
    type Guard: Meter + Send + 'static;

    /// A new connection from `peer` to `local`.
    fn connected(&self, peer: SocketAddr, local: SocketAddr) -> Self::Peer;

    /// Answers one request. It never fails: every refusal is an answer.
    fn answer(
        &self,
        peer: &Self::Peer,
        request: Request<Incoming>,
    ) -> impl Future<Output = (Response<axum::body::Body>, Self::Guard)> + Send;
}

/// Serves a socket until `stop` becomes true, then lets the requests in progress end, within `drain`.
///
/// New connections are refused from the moment of the stop on; idle ones are closed; those with a request finish it.
/// What is not finished after `drain` is cut. The future ends when no connection is left.
pub async fn serve<L: Accept, H: Handler>(
    listener: L,
    handler: Arc<H>,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
    drain: Duration,
) -> io::Result<()> {
    let local = listener.local()?;
    let slots = Arc::new(Semaphore::new(limits.max_connections));
    let limits = Arc::new(limits);
    let mut connections = JoinSet::new();
    loop {
        // Reap as we go: the set must not grow with every connection that ever was.
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((socket, peer, slot)) => {
                let (handler, limits, stop) = (handler.clone(), limits.clone(), stop.clone());
                let serve = move |socket, held| connection(socket, held, peer, local, handler, limits, stop);
                if let Err(error) = settle::<L, _>(&mut connections, socket, slot, serve) {
                    tracing::warn!(%error, "cannot serve a connection");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(drain, finished).await.is_err() {
        tracing::warn!(open = connections.len(), "closing connections whose requests did not finish in time");
        connections.shutdown().await;
    }
    Ok(())
}

/// Gives a connection to one of the threads for connections, or leaves it here when there are none.
fn settle<L: Accept, F: Future<Output = ()> + Send + 'static>(
    connections: &mut JoinSet<()>,
    socket: L::Socket,
    slot: OwnedSemaphorePermit,
    serve: impl FnOnce(L::Socket, Held) -> F + Send + 'static,
) -> io::Result<()> {
    let Some(place) = workers::place() else {
        connections.spawn(serve(socket, Held { place: None, slot }));
        return Ok(());
    };
    let attach = L::detach(socket)?;
    let runtime = place.runtime();
    let task = async move {
        match attach() {
            Ok(socket) => serve(socket, Held { place: Some(place), slot }).await,
            Err(error) => tracing::warn!(%error, "cannot serve a connection"),
        }
    };
    connections.spawn_on(task, runtime);
    Ok(())
}

/// What a connection takes up as long as its socket is open: also as a websocket, when HTTP is through with it.
#[expect(dead_code, reason = "held for the drops")]
pub(crate) struct Held {
    place: Option<workers::Place>,
    slot: OwnedSemaphorePermit,
}

/// Resolves when the stop is ordered, or nobody is left to order it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn accept<L: Accept>(
    listener: &L,
    slots: &Arc<Semaphore>,
) -> io::Result<(L::Socket, SocketAddr, OwnedSemaphorePermit)> {
    // The semaphore is never closed, so the permit always comes.
    let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (socket, peer) = listener.next().await?;
    Ok((socket, peer, slot))
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static, H: Handler>(
    socket: S,
    held: Held,
    peer: SocketAddr,
    local: SocketAddr,
    handler: Arc<H>,
    limits: Arc<Limits>,
    mut stop: watch::Receiver<bool>,
) {
    let known = handler.connected(peer, local);
    let activity = Activity::new();
    let io = TokioIo::new(Guarded::new(socket, activity.clone(), &limits, held));
    let service = service_fn(|request: Request<Incoming>| {
        let in_progress = activity.begin();
        // A proxy before us may disagree about where such a request ends (`Content-Length` beside
        // `Transfer-Encoding`); nothing that follows it on this connection is taken for a request.
        let last = request.headers().contains_key(TRANSFER_ENCODING);
        let (handler, known, activity) = (&handler, &known, &activity);
        async move {
            let (mut response, guard) = handler.answer(known, request).await;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                activity.upgrade();
            } else if last {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let guard = Exchange { guard, in_progress };
            Ok::<_, std::convert::Infallible>(response.map(|body| Outbound::new(body, guard)))
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .half_close(false)
            .header_read_timeout(None)
            .max_buf_size((limits.max_head * 2).max(8192))
            .serve_connection(io, service)
            .with_upgrades()
    );
    // To ask the stop each time would cost a request one part in a hundred: it wakes this task when it comes.
    let mut changed = stop.clone();
    changed.mark_unchanged();
    let mut stopped = pin!(stopped(&mut stop));
    let mut told = false;
    let ended = poll_fn(|cx| {
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(Some(ended));
        }
        if std::mem::replace(&mut told, true) && matches!(changed.has_changed(), Ok(false)) {
            return Poll::Pending;
        }
        stopped.as_mut().poll(cx).map(|()| None)
    });
    let ended = match ended.await {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended early");
    }
}

/// The handler's guard together with the mark that the connection is busy.
struct Exchange<G> {
    guard: G,
    #[expect(dead_code, reason = "held for its drop")]
    in_progress: InProgress,
}

impl<G: Meter> Meter for Exchange<G> {
    fn sent(&mut self, bytes: u64) {
        self.guard.sent(bytes);
    }
}

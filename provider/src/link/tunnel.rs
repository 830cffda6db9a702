//! The connection after the upgrade: the gateway is the HTTP/2 client, this node the server. Control
//! messages and, unless the link is direct, requests come over it. The lease token counts here alone.

use super::control::{self, End, Out};
use super::fault::Fault;
use super::join::Joined;
use super::lease::Token;
use super::{Entry, Node};
use crate::engine::ModelInfo;
use crate::http::{Peer, bearer, is_reset};
use axum::Router;
use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use openapi::node::{CONTROL_PATH, Granted, Link};
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Streams at once: the gateway's limit, and one for control.
const STREAMS_MAX: u32 = 1_025;
/// Frames for streams that are over, in a connection's whole life, before it ends for them: cancelled
/// requests leave some behind.
const STRAY_FRAMES_MAX: usize = 100_000;
/// Bytes of one answer that wait for the gateway.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
const HEADER_BYTES_MAX: u32 = 64 * 1024;
/// Of request bodies, on the way here: of one, and of all.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How a link ended in good order.
#[derive(Debug)]
pub(super) enum Left {
    Bye {
        reason: String,
        retry: bool,
    },
    /// The models are not those of the hello.
    Changed,
    /// The process ends.
    Drained,
}

/// What the requests of one connection share.
pub(super) struct Tunnel {
    pub(super) node: Arc<Node>,
    pub(super) entry: Arc<Entry>,
    pub(super) granted: Granted,
    pub(super) models: Vec<ModelInfo>,
    pub(super) offer: u64,
    pub(super) ends: Option<i64>,
    /// A heartbeat was answered.
    pub(super) renewed: AtomicBool,
    token: Arc<Token>,
    router: Router,
    controlled: AtomicBool,
    ended: mpsc::Sender<End>,
}

/// Serves until the lease or the connection ends. Also says whether a heartbeat was answered.
pub(super) async fn serve(
    node: &Arc<Node>,
    entry: &Arc<Entry>,
    router: &Router,
    joined: Joined,
) -> (Result<Left, Fault>, bool) {
    let Joined { granted, token, io, models, offer, ends } = joined;
    let _direct = match node.link {
        Link::Direct { .. } => Some(node.leases.hold(granted.gateway, token.clone())),
        Link::Tunnel => None,
    };
    let (ended, mut end) = mpsc::channel(1);
    let tunnel = Arc::new(Tunnel {
        node: Arc::clone(node),
        entry: Arc::clone(entry),
        granted,
        models,
        offer,
        ends,
        renewed: AtomicBool::new(false),
        token: Arc::new(token),
        router: router.clone(),
        controlled: AtomicBool::new(false),
        ended,
    });
    let kept = Arc::clone(&tunnel);
    let service = service_fn(move |request| Arc::clone(&tunnel).answer(request));
    let executor = Tracked(node.shutdown.tracker().clone());
    let mut connection = pin!(settings(executor).serve_connection(io, service));
    let lease = Duration::from_millis(kept.granted.lease_ms);
    let left = tokio::select! {
        ended = connection.as_mut() => Err(Fault::Broken(match ended {
            Ok(()) => "the gateway closed it".to_owned(),
            Err(error) => error.to_string(),
        })),
        end = end.recv() => match end {
            Some(End::Left(left)) => Ok(left),
            Some(End::Fault(fault)) => Err(fault),
            None => Err(Fault::Broken("nobody is in control".to_owned())),
        },
        // From then on the control exchange keeps watch.
        () = uncontrolled(&kept, lease) => Err(Fault::Silent),
        () = node.shutdown.closing().cancelled() => Ok(Left::Drained),
    };
    if left.is_ok() {
        // What runs may end; a gateway that has left closes the connection.
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            ended = connection => drop(ended),
            () = node.shutdown.dead().cancelled() => {}
            () = tokio::time::sleep(node.drain) => {}
        }
    }
    (left, kept.renewed.load(Relaxed))
}

async fn uncontrolled(tunnel: &Tunnel, lease: Duration) {
    tokio::time::sleep(lease).await;
    if tunnel.controlled.load(Relaxed) {
        std::future::pending::<()>().await;
    }
}

fn settings(executor: Tracked) -> hyper::server::conn::http2::Builder<Tracked> {
    let mut builder = hyper::server::conn::http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        // Clients that leave all at once must not end the tunnel: the defaults (20 streams reset before
        // they were looked at) are against strangers, and the gateway is none.
        .max_pending_accept_reset_streams(STREAMS_MAX as usize + 1)
        .max_local_error_reset_streams(STRAY_FRAMES_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_header_list_size(HEADER_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// Streams run on the process's tracker, so that a drain waits for them.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, future: F) {
        drop(self.0.spawn(future));
    }
}

// === impl Tunnel ===

impl Tunnel {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> io::Result<Response<Body>> {
        if request.uri().path() == CONTROL_PATH {
            return Ok(self.control(request));
        }
        self.entry.asked();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(match self.node.link {
            Link::Tunnel => Peer::Tunnel(Arc::clone(&self.token)),
            // Requests have another way.
            Link::Direct { .. } => Peer::Stranger,
        });
        let answered: Result<_, Infallible> = self.router.clone().oneshot(request).await;
        let Ok(response) = answered;
        if is_reset(&response) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(response)
    }

    /// The gateway's one control exchange.
    fn control(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let status = |status| {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = status;
            response
        };
        if request.method() != Method::POST {
            return status(StatusCode::METHOD_NOT_ALLOWED);
        }
        if !bearer(request.headers()).is_some_and(|shown| self.token.fits(shown)) {
            return status(StatusCode::UNAUTHORIZED);
        }
        if self.controlled.swap(true, Relaxed) {
            return status(StatusCode::CONFLICT);
        }
        let (out, body) = Out::new();
        let tracker = self.node.shutdown.tracker().clone();
        drop(tracker.spawn(async move {
            let end = control::run(&self, request.into_body(), out).await;
            // Nobody listens where the connection has ended first.
            let _ = self.ended.try_send(end);
        }));
        Response::new(body)
    }
}

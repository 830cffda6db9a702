//! How requests get to a provider: over connections that are dialled here, HTTP/1.1 and one request at
//! a time on each, or through the tunnel that the provider opened.

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::either::Either;

use super::dial;
use super::pool::Pool;
use super::tunnel::Tunnel;

pub(super) type Io = TokioIo<Either<Raw, TlsStream<Raw>>>;
/// A socket of this machine, or what stands for one.
pub(super) type Raw = Either<TcpStream, dial::Stream>;

pub(super) enum Way {
    Dialed(Dialed),
    Tunnel(Tunnel),
}

/// Where to connect to.
pub(super) struct Dialed {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) allow_private: bool,
    pub(super) security: Security,
    pub(super) pool: Pool,
}

/// What keeps the way safe.
pub(super) enum Security {
    Plain,
    /// A certificate by a public authority.
    Public,
    /// A certificate over the provider's own key; ours is shown.
    Pinned(TlsConnector),
}

impl Way {
    /// Whether requests can go that way, as far as is known here.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::Dialed(dialed) => !dialed.pool.is_closed(),
            Self::Tunnel(tunnel) => tunnel.is_open(),
        }
    }

    /// For good. Idle connections end at once; what a dialled connection carries may end.
    pub(super) fn close(&self) {
        match self {
            Self::Dialed(dialed) => dialed.pool.close(),
            Self::Tunnel(tunnel) => tunnel.close(),
        }
    }
}

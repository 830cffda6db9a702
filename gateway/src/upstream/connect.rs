//! From an endpoint to a fresh HTTP/1.1 connection: resolve, check the address, dial, TLS, handshake.

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::either::Either;

use super::endpoint::Endpoint;
use super::error::{Error, Phase};
use super::guard;
use super::link::Link;

pub(super) type Io = TokioIo<Either<TcpStream, TlsStream<TcpStream>>>;

/// Public roots only; providers pinned by key come with their own verifier.
static TLS: LazyLock<Option<TlsConnector>> = LazyLock::new(|| {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Some(TlsConnector::from(Arc::new(config)))
});

/// Dials `endpoint`; all of it within `limit`.
pub(super) async fn dial(endpoint: &Endpoint, limit: Duration) -> Result<Box<Link>, Error> {
    tokio::time::timeout(limit, dial_unbounded(endpoint))
        .await
        .unwrap_or(Err(Error::Timeout(Phase::Connect)))
}

async fn dial_unbounded(endpoint: &Endpoint) -> Result<Box<Link>, Error> {
    let stream = tcp(endpoint).await?;
    stream.set_nodelay(true).map_err(|e| Error::Connect(e.to_string()))?;
    let stream = if endpoint.tls {
        let name = ServerName::try_from(endpoint.host.clone())
            .map_err(|_| Error::Connect("the host is no valid TLS name".to_owned()))?;
        let tls = TLS.as_ref().ok_or_else(|| Error::Connect("TLS is not available".to_owned()))?;
        let stream = tls.connect(name, stream).await.map_err(|e| Error::Connect(e.to_string()))?;
        Either::Right(stream)
    } else {
        Either::Left(stream)
    };
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(64 * 1024)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|e| Error::Connect(e.to_string()))?;
    Ok(Link::new(sender, connection))
}

async fn tcp(endpoint: &Endpoint) -> Result<TcpStream, Error> {
    let addresses = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port))
        .await
        .map_err(|e| Error::Connect(e.to_string()))?;
    let allowed = guard::allowed(addresses, endpoint.allow_private);
    if allowed.is_empty() {
        return Err(Error::Forbidden);
    }
    let mut last = None;
    for address in allowed {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(Error::Connect(last.map_or_else(|| "no address".to_owned(), |error| error.to_string())))
}

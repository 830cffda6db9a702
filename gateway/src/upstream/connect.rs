//! From an endpoint to a fresh HTTP/1.1 connection: resolve, check the address, dial, TLS, handshake.

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::sync::{Arc, LazyLock};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;

use super::attempt::Context;
use super::dial::Dial;
use super::error::{Error, Phase};
use super::guard;
use super::link::Link;
use super::way::{Dialed, Raw, Security};

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

/// Dials; all of it within the limit.
pub(super) async fn dial(context: &Context, to: &Dialed) -> Result<Box<Link>, Error> {
    tokio::time::timeout(context.limits.connect, dial_unbounded(context.dialer.as_deref(), to))
        .await
        .unwrap_or(Err(Error::Timeout(Phase::Connect)))
}

async fn dial_unbounded(dialer: Option<&dyn Dial>, to: &Dialed) -> Result<Box<Link>, Error> {
    let stream = raw(dialer, to).await?;
    let tls = match &to.security {
        Security::Plain => None,
        Security::Public => {
            let public = TLS.as_ref();
            Some(public.ok_or_else(|| Error::Connect("TLS is not available".to_owned()))?)
        }
        Security::Pinned(pinned) => Some(pinned),
    };
    let stream = match tls {
        Some(tls) => {
            let name = ServerName::try_from(to.host.clone())
                .map_err(|_| Error::Connect("the host is no valid TLS name".to_owned()))?;
            let stream = tls.connect(name, stream).await;
            Either::Right(stream.map_err(|e| Error::Connect(e.to_string()))?)
        }
        None => Either::Left(stream),
    };
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(64 * 1024)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|e| Error::Connect(e.to_string()))?;
    Ok(Link::new(sender, connection))
}

async fn raw(dialer: Option<&dyn Dial>, to: &Dialed) -> Result<Raw, Error> {
    if let Some(dialer) = dialer {
        let stream = dialer.dial(&to.host, to.port).await;
        return stream.map(Raw::Right).map_err(|e| Error::Connect(e.to_string()));
    }
    let stream = tcp(to).await?;
    stream.set_nodelay(true).map_err(|e| Error::Connect(e.to_string()))?;
    Ok(Raw::Left(stream))
}

async fn tcp(to: &Dialed) -> Result<TcpStream, Error> {
    let addresses = tokio::net::lookup_host((to.host.as_str(), to.port))
        .await
        .map_err(|e| Error::Connect(e.to_string()))?;
    let allowed = guard::allowed(addresses, to.allow_private);
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

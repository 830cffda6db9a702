//! From a gateway's URL to a TLS 1.3 connection with it. Whom the certificate must be about is
//! decided here; that the other end is the gateway it says it is, its welcome proves (see
//! [`super::join`]).

use super::{Fault, Gateway, Trust};
use openapi::node::{EXPORTER_BYTES, EXPORTER_LABEL};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, pki_types};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Host;

/// Name look-up, connection and handshake together.
const CONNECT: Duration = Duration::from_secs(10);
const PORT_DEFAULT: u16 = 443;

/// A connection and what binds a hello to it.
pub(super) struct Dialled {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) exporter: [u8; EXPORTER_BYTES],
}

/// The client's side of TLS for one gateway, made once.
///
/// # Errors
/// Certificates that can't be used.
pub(super) fn tls(gateway: &Gateway) -> Result<Arc<ClientConfig>, identity::tls::Error> {
    use identity::tls::Server;
    let server = match (&gateway.trust, gateway.key) {
        (Trust::Authorities(list), _) => Server::Authorities(list.clone()),
        (Trust::Public, _) => Server::Public,
        (Trust::Unsaid, Some(key)) => Server::Key(key),
        // Nobody else can be in between there.
        (Trust::Unsaid, None) if is_loopback(gateway) => Server::Anyone,
        (Trust::Unsaid, None) => Server::Public,
    };
    let mut config = identity::tls::client(server, gateway.own.clone())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn is_loopback(gateway: &Gateway) -> bool {
    match gateway.url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => Ipv4Addr::is_loopback(&address),
        Some(Host::Ipv6(address)) => Ipv6Addr::is_loopback(&address),
        None => false,
    }
}

/// Connects once.
pub(super) async fn dial(gateway: &Gateway, tls: Arc<ClientConfig>) -> Result<Dialled, Fault> {
    let failed = |error: std::io::Error| Fault::Unreachable(error.to_string());
    let nowhere = || Fault::Unreachable("the URL has no usable host".to_owned());
    let port = gateway.url.port().unwrap_or(PORT_DEFAULT);
    let (name, host) = match gateway.url.host().ok_or_else(nowhere)? {
        Host::Domain(name) => {
            (ServerName::try_from(name.to_owned()).map_err(|_| nowhere())?, name.to_owned())
        }
        Host::Ipv4(address) => (by_address(address.into()), address.to_string()),
        Host::Ipv6(address) => (by_address(address.into()), address.to_string()),
    };
    let connected = async {
        let tcp = TcpStream::connect((host.as_str(), port)).await.map_err(failed)?;
        tcp.set_nodelay(true).map_err(failed)?;
        TlsConnector::from(tls).connect(name, tcp).await.map_err(failed)
    };
    let stream = tokio::time::timeout(CONNECT, connected)
        .await
        .map_err(|_| Fault::Unreachable("no connection in time".to_owned()))??;
    let (_, session) = stream.get_ref();
    let exporter = session
        .export_keying_material([0; EXPORTER_BYTES], EXPORTER_LABEL, None)
        .map_err(|error| Fault::Unreachable(error.to_string()))?;
    Ok(Dialled { stream, exporter })
}

fn by_address(address: IpAddr) -> ServerName<'static> {
    ServerName::IpAddress(pki_types::IpAddr::from(address))
}

//! The direct link's listener: TLS over the node's own key, for clients that show a key of their own.

use identity::Certificate;
use openapi::sign::SecretKey;
use rustls::ServerConfig;
use std::sync::Arc;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Certificate(#[from] identity::certificate::Error),
    #[error(transparent)]
    Tls(#[from] identity::tls::Error),
}

/// What the listener speaks; who shows no key is turned away in the handshake.
///
/// # Errors
/// A host name that fits into no certificate.
pub fn listener_tls(key: &SecretKey, host: &str) -> Result<Arc<ServerConfig>, Error> {
    let certificate = Certificate::self_signed(key, &[host.to_owned()])?;
    let mut config = identity::tls::server(certificate, identity::tls::Client::AnyKey)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

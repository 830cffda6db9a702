//! The listener's side of TLS: a configured certificate, or one over the gateway's own key.

use identity::Certificate;
use identity::certificate;
use identity::tls::{Client, server};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

use crate::app::App;
use crate::config::TlsFiles;

/// The upgrade is HTTP/1.1's.
const ALPN: &[u8] = b"http/1.1";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot use {} ({member})", path.display())]
    File { member: &'static str, path: PathBuf, source: pem::Error },
    #[error("{} holds no certificate ({member})", path.display())]
    Empty { member: &'static str, path: PathBuf },
    #[error(transparent)]
    Certificate(#[from] certificate::Error),
    #[error("the node listener's certificates can't be used (market.tls, market.client_ca)")]
    Unusable(#[from] identity::tls::Error),
}

/// For the listener at `addr`.
pub(super) fn acceptor(app: &App, addr: SocketAddr) -> Result<TlsAcceptor, Error> {
    let market = &app.settings.market;
    let own = match &market.tls {
        Some(files) => read(files)?,
        None => own(app, addr)?,
    };
    let clients = match &market.client_ca {
        Some(path) => Client::Authorities(certificates("market.client_ca", path)?),
        None => Client::Unasked,
    };
    let mut config = server(own, clients)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Nobody who pins the key looks at the names.
fn own(app: &App, addr: SocketAddr) -> Result<Certificate, Error> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !addr.ip().is_unspecified() && !addr.ip().is_loopback() {
        names.push(addr.ip().to_string());
    }
    Ok(Certificate::self_signed(app.market.identity(), &names)?)
}

fn read(files: &TlsFiles) -> Result<Certificate, Error> {
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| Error::File {
        member: "market.tls.key",
        path: files.key.clone(),
        source,
    })?;
    Ok(Certificate { chain: certificates("market.tls.cert", &files.cert)?, key })
}

fn certificates(member: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let file = |source| Error::File { member, path: path.to_owned(), source };
    let read = CertificateDer::pem_file_iter(path).map_err(file)?;
    let list = read.collect::<Result<Vec<_>, _>>().map_err(file)?;
    if list.is_empty() {
        return Err(Error::Empty { member, path: path.to_owned() });
    }
    Ok(list)
}

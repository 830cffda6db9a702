//! Certificates of the operator's: the listener's own, and those that nodes must show.

use gateway::config::TlsFiles;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use identity::Certificate;
use identity::tls::{Server, client};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsConnector;

use crate::harness::{Gateway, gateway_with};
use crate::node::raw;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    fn issue(&self) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// Whether a request gets an answer.
async fn is_let_in(gateway: &Gateway, authority: &Authority, own: Option<Certificate>) -> bool {
    let config = client(Server::Authorities(vec![authority.der()]), own).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let socket = raw(gateway.node_addr()).await;
    let Ok(stream) = TlsConnector::from(Arc::new(config)).connect(name, socket).await else {
        return false;
    };
    let (mut sender, connection) =
        http1::handshake::<_, Full<bytes::Bytes>>(TokioIo::new(stream)).await.unwrap();
    tokio::task::spawn(connection);
    let request = http::Request::get("/node/v1/challenge").body(Full::default()).unwrap();
    sender.send_request(request).await.is_ok_and(|answer| answer.status() == 200)
}

#[tokio::test]
async fn the_listener_shows_the_configured_certificate_and_may_ask_for_one() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = authority.issue();
    let files = TlsFiles {
        cert: write(folder.path(), "cert.pem", &certificate.pem()),
        key: write(folder.path(), "key.pem", &key.serialize_pem()),
    };
    let asks = write(folder.path(), "ca.pem", &authority.certificate.pem());
    let open = gateway_with("", |market| market.tls = Some(files.clone())).await;
    assert!(is_let_in(&open, &authority, None).await);
    assert!(!is_let_in(&open, &stranger, None).await, "another authority's word");
    let mutual = gateway_with("", |market| {
        (market.tls, market.client_ca) = (Some(files), Some(asks));
    })
    .await;
    let shown = |authority: &Authority| {
        let (certificate, key) = authority.issue();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Some(Certificate { chain: vec![certificate.der().clone()], key })
    };
    assert!(is_let_in(&mutual, &authority, shown(&authority)).await);
    assert!(!is_let_in(&mutual, &authority, None).await, "nothing shown");
    assert!(!is_let_in(&mutual, &authority, shown(&stranger)).await, "a stranger's");
}

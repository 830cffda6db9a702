//! TLS by key: verifiers that take a self-signed certificate for the key it is over, and the
//! configurations that use them. The handshake still proves that the peer holds that key.
//!
//! TLS 1.3 alone wherever a key is pinned: the exporter that binds a hello to its connection is only
//! then safe without more ado (RFC 7627).

use openapi::sign::PublicKey;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore,
    ServerConfig, SignatureScheme, version::TLS13,
};
use std::sync::Arc;

use crate::certificate::{Certificate, key_of};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error("the authorities' certificates can't be used: {0}")]
    Authorities(String),
}

/// Whom a server must be.
#[derive(Debug, Clone)]
pub enum Server {
    /// The holder of this key, whatever its certificate says besides.
    Key(PublicKey),
    /// Anybody: only where what comes after the handshake proves who it is.
    Anyone,
    /// Who a public authority says it is.
    Public,
    /// Who one of these authorities says it is.
    Authorities(Vec<CertificateDer<'static>>),
}

/// Whom a client must be.
#[derive(Debug, Clone)]
pub enum Client {
    /// Nobody is asked.
    Unasked,
    /// Shows a certificate over an ed25519 key; whose it is, is for the caller to judge.
    AnyKey,
    /// Who one of these authorities says it is.
    Authorities(Vec<CertificateDer<'static>>),
}

/// A client's side. `own`: shown to servers that ask.
///
/// # Errors
/// Certificates that can't be used.
pub fn client(server: Server, own: Option<Certificate>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match server {
        Server::Key(key) => Arc::new(ByKey::new(Some(key), &provider)),
        Server::Anyone => Arc::new(ByKey::new(None, &provider)),
        Server::Public => {
            let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
            authorities(roots, &provider)?
        }
        Server::Authorities(list) => authorities(store(list)?, &provider)?,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(match own {
        Some(own) => builder.with_client_auth_cert(own.chain, own.key)?,
        None => builder.with_no_client_auth(),
    })
}

/// A server's side.
///
/// # Errors
/// Certificates that can't be used.
pub fn server(own: Certificate, clients: Client) -> Result<ServerConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[&TLS13])?;
    let builder = match clients {
        Client::Unasked => builder.with_no_client_auth(),
        Client::AnyKey => builder.with_client_cert_verifier(Arc::new(AnyKey { algorithms })),
        Client::Authorities(list) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(store(list)?.into(), provider)
                    .build()
                    .map_err(|error| Error::Authorities(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    Ok(builder.with_single_cert(own.chain, own.key)?)
}

fn store(list: Vec<CertificateDer<'static>>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in list {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn authorities(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, Error> {
    WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone())
        .build()
        .map_err(|error| Error::Authorities(error.to_string()))
}

/// Takes a server for the key its certificate is over.
#[derive(Debug)]
struct ByKey {
    /// Absent: any certificate of any kind of key.
    expected: Option<PublicKey>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ByKey {
    fn new(expected: Option<PublicKey>, provider: &CryptoProvider) -> Self {
        Self { expected, algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for ByKey {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.expected {
            Some(expected) if key_of(certificate) != Some(expected) => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 alone".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Takes any client that holds the ed25519 key its certificate is over.
#[derive(Debug)]
struct AnyKey {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match key_of(certificate) {
            Some(_) => Ok(ClientCertVerified::assertion()),
            None => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 alone".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;

//! By whom a gateway's certificate must be signed, and what is shown to one that asks.

use crate::gateway::{Gateway, key, manner, member};
use identity::Certificate;
use identity::tls::{self, Client};
use provider::config::{Flags, Settings};
use provider::link;
use provider::status::Phase;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use std::path::Path;

/// An authority of one's own, as files and as what it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Certificate and key, and both as PEM.
    fn signs(&self) -> (Certificate, String, String) {
        let pair = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let signed = params.signed_by(&pair, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        let certificate = Certificate { chain: vec![signed.der().clone()], key };
        (certificate, signed.pem(), pair.serialize_pem())
    }

    async fn gateway(&self) -> Gateway {
        provider::app::install_crypto();
        let own = self.signs().0;
        let ca = rustls::pki_types::pem::PemObject::from_pem_slice(self.pem.as_bytes()).unwrap();
        let config = tls::server(own, Client::Authorities(vec![ca])).unwrap();
        Gateway::over(config, "127.0.0.1:0".parse().unwrap(), 1, manner(1)).await
    }
}

/// The one gateway of a configuration.
fn configured(folder: &Path, url: &str, more: &str) -> link::Gateway {
    let folder = folder.display();
    let text = format!(
        "[engine]\nkind = \"scripted\"\n[[gateway]]\nurl = \"{url}\"\nca = \"{folder}/ca.pem\"\n{more}"
    );
    let settings = Settings::parse(&text, &Flags::default()).unwrap();
    settings.market.gateways.into_iter().next().unwrap()
}

#[tokio::test]
async fn an_authority_of_one_s_own_and_certificates_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let mut gateway = authority.gateway().await;
    let url = format!("https://{}", gateway.addr);
    let (_, chain, secret) = authority.signs();
    for (name, text) in [("ca", &authority.pem), ("node", &chain), ("node-key", &secret)] {
        std::fs::write(folder.path().join(format!("{name}.pem")), text).unwrap();
    }
    let at = folder.path().display();
    let shown = format!("client_cert = \"{at}/node.pem\"\nclient_key = \"{at}/node-key.pem\"");
    let good = configured(folder.path(), &url, &shown);
    let running = member(std::slice::from_ref(&url), json!({}), |joining, _| {
        joining.gateways = vec![good];
    })
    .await;
    gateway.tunnel().await;
    let links = running.links.as_ref().unwrap();
    links.until(|all| all[0].phase == Phase::Connected).await;

    // Nothing shown; another authority; the authority's certificate, but not the pinned key's welcome.
    let pinned = format!("{shown}\nkey = \"{}\"", key(2).public());
    let nothing = configured(folder.path(), &url, "");
    let other_key = configured(folder.path(), &url, &pinned);
    std::fs::write(folder.path().join("ca.pem"), Authority::new().pem).unwrap();
    let other_authority = configured(folder.path(), &url, &shown);
    gateway.heard().await;
    for refused in [nothing, other_key, other_authority] {
        let running = member(std::slice::from_ref(&url), json!({}), |joining, _| {
            joining.gateways = vec![refused];
        })
        .await;
        let links = running.links.as_ref().unwrap();
        links.until(|all| all[0].phase == Phase::Waiting).await;
        assert!(gateway.heard.try_recv().is_err(), "{:?}", links.status().gateways[0].trouble);
    }
}

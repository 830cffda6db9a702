use super::*;
use openapi::sign::SecretKey;
use rustls::{ClientConnection, Connection, ServerConnection};

fn key(byte: u8) -> SecretKey {
    SecretKey::from_seed(&[byte; 32])
}

fn certificate(byte: u8) -> Certificate {
    Certificate::self_signed(&key(byte), &["localhost".to_owned()]).unwrap()
}

/// The client's exporter value, the server's, and the client's key as the server saw it.
type Shaken = ([u8; 32], [u8; 32], Option<PublicKey>);

/// Runs a handshake in memory.
fn shake(client: ClientConfig, server: ServerConfig) -> Result<Shaken, rustls::Error> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut ends = [
        Connection::from(ClientConnection::new(client.into(), name)?),
        Connection::from(ServerConnection::new(server.into())?),
    ];
    for turn in 0..20 {
        let [from, to] = &mut ends;
        let (from, to) = if turn % 2 == 0 { (from, to) } else { (to, from) };
        let mut wire = Vec::new();
        while from.wants_write() {
            from.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            to.read_tls(&mut wire).unwrap();
            to.process_new_packets()?;
        }
    }
    let [client, server] = &ends;
    let export =
        |end: &Connection| end.export_keying_material([0; 32], openapi::node::EXPORTER_LABEL, None);
    let peer = server.peer_certificates().and_then(|chain| key_of(chain.first()?));
    Ok((export(client)?, export(server)?, peer))
}

#[test]
fn a_pinned_server_is_known_by_its_key_and_both_ends_export_the_same() {
    let server = || super::server(certificate(1), Client::Unasked).unwrap();
    let pinned = |key| client(Server::Key(key), None).unwrap();
    let (ours, theirs, peer) = shake(pinned(key(1).public()), server()).unwrap();
    assert_eq!((ours, peer), (theirs, None));
    let (others, ..) = shake(pinned(key(1).public()), server()).unwrap();
    assert_ne!(ours, others, "each connection has its own");
    assert!(shake(pinned(key(2).public()), server()).is_err());
    shake(client(Server::Anyone, None).unwrap(), server()).unwrap();
    assert!(shake(client(Server::Public, None).unwrap(), server()).is_err());
}

#[test]
fn a_client_is_known_by_its_key() {
    let server = || super::server(certificate(1), Client::AnyKey).unwrap();
    let shown = client(Server::Anyone, Some(certificate(3))).unwrap();
    let (.., peer) = shake(shown, server()).unwrap();
    assert_eq!(peer, Some(key(3).public()));
    assert!(shake(client(Server::Anyone, None).unwrap(), server()).is_err(), "none shown");
}

#[test]
fn a_stolen_certificate_without_its_key_proves_nothing() {
    let mut stolen = certificate(1);
    stolen.key = certificate(2).key;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let signer = provider.key_provider.load_private_key(stolen.key.clone_key()).unwrap();
    let certified = rustls::sign::CertifiedKey::new(stolen.chain, signer);
    let server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    assert!(shake(client(Server::Key(key(1).public()), None).unwrap(), server).is_err());
    assert!(
        shake(
            client(Server::Anyone, None).unwrap(),
            super::server(certificate(2), Client::Unasked).unwrap()
        )
        .is_ok()
    );
}

#[test]
fn authorities_of_ones_own_are_followed() {
    let own = certificate(1);
    let server = super::server(own.clone(), Client::Authorities(own.chain.clone())).unwrap();
    // A self-signed leaf is no authority, so this must fail closed rather than let everybody in.
    let asked = client(Server::Anyone, Some(certificate(2))).unwrap();
    assert!(shake(asked, server).is_err());
}

//! The direct link: requests by TLS to the node, from the gateway's key alone.

use crate::gateway::{Gateway, MODEL, key, member};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use identity::Certificate;
use identity::tls::{self, Server};
use openapi::node::Link;
use openapi::sign::PublicKey;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// Asks for the models as the holder of `own`; the handshake's refusal is an error.
async fn ask(
    addr: SocketAddr,
    node: PublicKey,
    own: Option<Certificate>,
    token: &str,
) -> Result<(u16, String), Box<dyn std::error::Error>> {
    let config = tls::client(Server::Key(node), own)?;
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1")?;
    let tcp = TcpStream::connect(addr).await?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let request = Request::get("/v1/models")
        .header("host", "node")
        .header("authorization", format!("Bearer {token}"))
        .body(Empty::<&[u8]>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec())?))
}

#[tokio::test]
async fn a_direct_lease_counts_from_the_gateway_s_key_alone() {
    let mut gateway = Gateway::start(1).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = member(&[gateway.pinned()], json!({}), |joining, _| {
        joining.direct = Some((listener, "https://127.0.0.1:8443".parse().unwrap()));
    })
    .await;
    let hello = gateway.heard().await.hello;
    assert_eq!(hello.link, Link::Direct { url: "https://127.0.0.1:8443/".to_owned() });
    let tunnel = gateway.tunnel().await;
    let control = tunnel.control().await;
    let (addr, node) = (running.direct.unwrap(), hello.node);
    let own = |byte| Some(Certificate::self_signed(&key(byte), &[]).unwrap());
    let (status, text) = ask(addr, node, own(1), &tunnel.token).await.unwrap();
    assert_eq!(status, 200);
    assert!(text.contains(MODEL), "{text}");
    // Another key with the right token, the right key with a wrong token, no key, another node.
    assert_eq!(ask(addr, node, own(2), &tunnel.token).await.unwrap().0, 401);
    assert_eq!(ask(addr, node, own(1), &"ab".repeat(32)).await.unwrap().0, 401);
    assert!(ask(addr, node, None, &tunnel.token).await.is_err());
    assert!(ask(addr, key(9).public(), own(1), &tunnel.token).await.is_err());
    // The connection that the node opened carries control alone.
    let refused = tunnel.get("/v1/models", Some(&tunnel.token)).await;
    assert_eq!(refused.status, 401);
    // The lease ends with that connection.
    let token = tunnel.token.clone();
    drop((control, tunnel, gateway));
    let links = running.links.as_ref().unwrap();
    links.until(|all| all[0].lease.is_none()).await;
    assert_eq!(ask(addr, node, own(1), &token).await.unwrap().0, 401);
}

//! Direct links: requests go to the node's URL, and both sides know the other by its key.

use bytes::Bytes;
use gateway::config::Market;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use identity::Certificate;
use identity::certificate::key_of;
use identity::tls::{Client, server};
use openapi::node::Link;
use openapi::sign::{PublicKey, SecretKey};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::harness::{ask, content, gateway_with, stream, until};
use crate::node::{Dialed, Identity, Node, code};

const ANSWER: &str = concat!(
    r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"theirs","choices":"#,
    r#"[{"index":0,"delta":{"role":"assistant","content":"direct"},"finish_reason":"stop"}]}"#,
    "\n\ndata: [DONE]\n\n"
);

/// Who came: the key its certificate is over, and its Authorization header.
type Came = Arc<Mutex<Vec<(Option<PublicKey>, String)>>>;

/// Serves over a certificate of `key`'s.
async fn serve(key: &SecretKey) -> (SocketAddr, Came) {
    let certificate = Certificate::self_signed(key, &["localhost".to_owned()]).expect("made");
    let config = server(certificate, Client::AnyKey).expect("TLS");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let addr = listener.local_addr().expect("an address");
    let came: Came = Arc::default();
    let kept = came.clone();
    tokio::task::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("accepts");
            let (acceptor, came) = (acceptor.clone(), came.clone());
            tokio::task::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let chain = stream.get_ref().1.peer_certificates();
                let peer = chain.and_then(|chain| key_of(chain.first()?));
                let service = service_fn(move |request: http::Request<_>| {
                    let shown = request.headers()["authorization"].to_str().unwrap().to_owned();
                    came.lock().unwrap().push((peer, shown));
                    async move {
                        let kind = "text/event-stream";
                        let answer = Response::builder().header("content-type", kind);
                        Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(ANSWER))).unwrap())
                    }
                });
                let _ended =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (addr, kept)
}

fn with_leave(market: &mut Market) {
    market.direct_private = true;
}

#[tokio::test]
async fn both_sides_know_the_other_by_its_key() {
    let gateway = gateway_with("", with_leave).await;
    let mut identity = Identity::new(1);
    let (addr, came) = serve(&identity.key).await;
    identity.link = Link::Direct { url: format!("https://localhost:{}", addr.port()) };
    let mut dialed = Dialed::new(&gateway).await;
    let welcome = dialed.welcome(&identity).await;
    let node = Node::serve(dialed.tunnel(&welcome.token).await.expect("an upgrade"));
    gateway.until_offers(1).await;
    for _ in 0..2 {
        let (status, _, text) = ask(gateway.addr(), stream("hello")).await;
        assert_eq!((status, content(&text).as_str()), (StatusCode::OK, "direct"), "{text}");
    }
    let expected = (Some(gateway.key()), format!("Bearer {}", welcome.token));
    assert!(came.lock().unwrap().iter().all(|came| *came == expected));
    assert_eq!(node.work.begun.load(std::sync::atomic::Ordering::SeqCst), 0);
    // The pool ends with the lease.
    let endpoint = gateway.running.app.market.snapshot().endpoints()[0].clone();
    until(|| endpoint.pool().is_some_and(|pool| pool.len() == 1)).await;
    node.cut();
    gateway.until_quiet().await;
    until(|| endpoint.pool().is_some_and(gateway::upstream::Pool::is_empty)).await;
}

#[tokio::test]
async fn a_server_with_another_key_is_not_asked() {
    let gateway = gateway_with("", with_leave).await;
    let mut identity = Identity::new(1);
    let (addr, came) = serve(&SecretKey::from_seed(&[9; 32])).await;
    identity.link = Link::Direct { url: format!("https://localhost:{}", addr.port()) };
    let _node = identity.join(&gateway).await;
    gateway.until_offers(1).await;
    let (status, _, text) = ask(gateway.addr(), stream("hello")).await;
    assert_eq!(status, 502, "{text}");
    assert!(came.lock().unwrap().is_empty(), "the request went nowhere");
}

#[tokio::test]
async fn an_address_of_this_machine_needs_leave() {
    let gateway = gateway_with("", |_| {}).await;
    let mut identity = Identity::new(1);
    let (addr, came) = serve(&identity.key).await;
    identity.link = Link::Direct { url: format!("https://localhost:{}", addr.port()) };
    let _node = identity.join(&gateway).await;
    gateway.until_offers(1).await;
    let (status, _, text) = ask(gateway.addr(), stream("hello")).await;
    assert_eq!(status, 502, "{text}");
    assert!(came.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_url_that_is_not_safe_is_refused_at_the_join() {
    let gateway = gateway_with("", with_leave).await;
    for url in ["http://10.0.0.1", "ftp://127.0.0.1", "nonsense", "https://a:b@node.example"] {
        let mut identity = Identity::new(1);
        identity.link = Link::Direct { url: url.to_owned() };
        let mut dialed = Dialed::new(&gateway).await;
        let challenge = dialed.challenge().await;
        let hello = identity.sign(&identity.hello(&challenge, dialed.exporter));
        let (status, body) = dialed.hello(&hello).await;
        assert_eq!((status.as_u16(), code(&body)), (400, "invalid_hello"), "{url}: {body}");
        assert_eq!(body["error"]["param"], "link.url", "{url}");
    }
}

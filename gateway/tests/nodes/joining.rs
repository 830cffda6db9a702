//! Who comes in and who does not, and what each is told.

use bytes::Bytes;
use gateway::metrics::JoinOutcome;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use openapi::node::HELLO_BYTES_MAX;
use openapi::node::control::ToNode;
use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{MODEL, ask, content, gateway, gateway_with, stream, until};
use crate::node::{Dialed, Identity, Node, code, post, raw, read, tls};

#[tokio::test]
async fn a_node_joins_answers_through_its_tunnel_and_leaves() {
    let gateway = gateway().await;
    let identity = Identity::new(1);
    let mut dialed = Dialed::new(&gateway).await;
    let welcome = dialed.welcome(&identity).await;
    let granted = welcome.granted.open(&gateway.key()).expect("the gateway's word");
    assert_eq!(granted.node, identity.key.public());
    assert_eq!(granted.exporter, hex::encode(dialed.exporter));
    assert_eq!(granted.selling[0].name, MODEL);
    assert_eq!(welcome.token.len(), 64, "256 bits");
    let mut node = Node::serve(dialed.tunnel(&welcome.token).await.expect("an upgrade"));
    gateway.until_offers(1).await;
    assert_eq!(gateway.metrics().nodes.get(), 1);
    let (status, headers, text) = ask(gateway.addr(), stream("hello")).await;
    assert_eq!((status, content(&text).as_str()), (StatusCode::OK, "hello"), "{text}");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    assert_eq!(headers["x-quorate-provider"], *granted.provider);
    assert!(!headers.contains_key("x-quorate-load"), "the node's word is not the client's");
    let shown = node.work.shown.lock().unwrap().clone();
    assert_eq!(shown, [format!("Bearer {}", welcome.token)]);
    let renewed = async {
        loop {
            if matches!(node.heard.recv().await, Some(ToNode::Renewed { sequence: 1 })) {
                return;
            }
        }
    };
    renewed.await;
    let members = gateway.running.app.market.members();
    assert!(members[0].load().is_some());
    until(|| members[0].round_trip().is_some()).await;
    node.cut();
    gateway.until_quiet().await;
    assert_eq!(gateway.refused(JoinOutcome::Ok), 1);
}

#[tokio::test]
async fn an_answers_head_tells_the_nodes_load() {
    let gateway = gateway().await;
    let node = Identity::new(1).join(&gateway).await;
    gateway.until_offers(1).await;
    let member = gateway.running.app.market.members()[0].clone();
    until(|| member.load().is_some()).await;
    ask(gateway.addr(), stream("hello")).await;
    let load = member.load().expect("a load");
    assert_eq!((load.running, load.queued, load.kv_used), (7, 2, Some(0.5)));
    drop(node);
}

#[tokio::test]
async fn a_hello_is_good_once() {
    let gateway = gateway().await;
    let identity = Identity::new(1);
    let mut dialed = Dialed::new(&gateway).await;
    let challenge = dialed.challenge().await;
    let hello = identity.sign(&identity.hello(&challenge, dialed.exporter));
    assert_eq!(dialed.hello(&hello).await.0, 200);
    let (status, body) = dialed.hello(&hello).await;
    assert_eq!((status.as_u16(), code(&body)), (403, "replayed"), "{body}");
    // With a challenge of this connection, which is not the hello's.
    dialed.challenge().await;
    let (status, body) = dialed.hello(&hello).await;
    assert_eq!((status.as_u16(), code(&body)), (403, "replayed"), "{body}");
    // On another connection, with and without a challenge of its own.
    let mut other = Dialed::new(&gateway).await;
    let (status, body) = other.hello(&hello).await;
    assert_eq!((status.as_u16(), code(&body)), (403, "replayed"), "{body}");
    other.challenge().await;
    let (status, body) = other.hello(&hello).await;
    assert_eq!(status, 403, "{body}");
    assert!(["replayed", "wrong_connection"].contains(&code(&body)), "{body}");
}

#[tokio::test]
async fn a_hello_goes_no_further_than_its_connection() {
    let (gateway, other) = (gateway().await, gateway().await);
    let identity = Identity::new(1);
    // Somebody between the node and the gateway has a connection to each.
    let mut between = Dialed::new(&gateway).await;
    let mut honest = Dialed::new(&gateway).await;
    let challenge = between.challenge().await;
    let hello = identity.sign(&identity.hello(&challenge, honest.exporter));
    let (status, body) = between.hello(&hello).await;
    assert_eq!((status.as_u16(), code(&body)), (403, "wrong_connection"), "{body}");
    // The same towards another gateway.
    let challenge = honest.challenge().await;
    let mut elsewhere = Dialed::new(&other).await;
    let theirs = elsewhere.challenge().await;
    let mut hello = identity.hello(&theirs, elsewhere.exporter);
    hello.gateway = challenge.gateway;
    let (status, body) = elsewhere.hello(&identity.sign(&hello)).await;
    assert_eq!((status.as_u16(), code(&body)), (403, "wrong_gateway"), "{body}");
    assert_eq!(body["error"]["param"], "gateway");
    assert_eq!(other.refused(JoinOutcome::WrongGateway), 1);
}

#[tokio::test]
async fn a_hello_that_is_too_large_is_refused_unread() {
    let gateway = gateway().await;
    for chunked in [false, true] {
        let mut dialed = Dialed::new(&gateway).await;
        dialed.challenge().await;
        let mut request = post(Bytes::from(vec![b' '; HELLO_BYTES_MAX + 1]));
        if chunked {
            let value = http::HeaderValue::from_static("chunked");
            request.headers_mut().insert(header::TRANSFER_ENCODING, value);
        }
        let (status, body) = read(dialed.request(request).await).await;
        assert_eq!((status.as_u16(), code(&body)), (413, "hello_too_large"), "{body}");
    }
    assert_eq!(gateway.refused(JoinOutcome::HelloTooLarge), 2);
}

#[tokio::test]
async fn what_is_no_hello_is_told_the_member() {
    let gateway = gateway().await;
    for (body, param) in [
        ("", "?"),
        ("7", "?"),
        (r#"{"statement":7}"#, "statement"),
        (r#"{"statement":"{}","signature":"12"}"#, "signature"),
    ] {
        let mut dialed = Dialed::new(&gateway).await;
        dialed.challenge().await;
        let (status, answer) = read(dialed.request(post(body.into())).await).await;
        assert_eq!((status.as_u16(), code(&answer)), (400, "invalid_hello"), "{answer}");
        let told = answer["error"]["param"].as_str().unwrap();
        assert!(param == "?" || told == param, "{answer}");
    }
    // Without a challenge nothing is read at all.
    let mut dialed = Dialed::new(&gateway).await;
    let (status, answer) = read(dialed.request(post("{}".into())).await).await;
    assert_eq!((status.as_u16(), code(&answer)), (403, "replayed"), "{answer}");
}

#[tokio::test]
async fn a_lease_token_counts_on_its_own_connection_alone() {
    let gateway = gateway().await;
    let mut dialed = Dialed::new(&gateway).await;
    let token = dialed.welcome(&Identity::new(1)).await.token;
    let mut thief = Dialed::new(&gateway).await;
    let (status, body) = thief.tunnel(&token).await.unwrap_err();
    assert_eq!((status.as_u16(), code(&body)), (401, "lease_not_yours"), "{body}");
    // A thief with a lease of its own is no better off.
    let own = thief.welcome(&Identity::new(2)).await.token;
    let (_, body) = thief.tunnel(&token).await.unwrap_err();
    assert_eq!(code(&body), "lease_not_yours", "{body}");
    let (_, body) = thief.tunnel(&"0".repeat(64)).await.unwrap_err();
    assert_eq!(code(&body), "lease_unknown", "{body}");
    // Its owner was not disturbed.
    assert!(dialed.tunnel(&token).await.is_ok());
    assert!(thief.tunnel(&own).await.is_ok());
    // A lease whose connection is gone is nobody's.
    drop((dialed, thief));
    gateway.until_quiet().await;
    let mut late = Dialed::new(&gateway).await;
    let (_, body) = late.tunnel(&token).await.unwrap_err();
    assert_eq!(code(&body), "lease_unknown", "{body}");
}

#[tokio::test]
async fn the_tunnel_is_an_upgrade() {
    let gateway = gateway().await;
    let mut dialed = Dialed::new(&gateway).await;
    let token = dialed.welcome(&Identity::new(1)).await.token;
    let bearer = format!("Bearer {token}");
    for headers in [
        vec![],
        vec![("connection", "upgrade")],
        vec![("connection", "upgrade"), ("upgrade", "websocket")],
    ] {
        let mut request = Request::get("/node/v1/tunnel").header("authorization", &bearer);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let answer = dialed.request(request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.headers()["upgrade"], "quorate-node");
        let (status, body) = read(answer).await;
        assert_eq!((status.as_u16(), code(&body)), (426, "upgrade_required"), "{headers:?}");
    }
    assert!(dialed.tunnel(&token).await.is_ok(), "the lease is as good as before");
}

#[tokio::test]
async fn each_listener_has_its_own_paths() {
    let gateway = gateway().await;
    let mut dialed = Dialed::new(&gateway).await;
    for path in ["/", "/v1/models", "/healthz", "/metrics", "/node/v1/control", "/node/v1/nope"] {
        let (status, body) = dialed.get(path).await;
        assert_eq!((status.as_u16(), code(&body)), (404, "unknown_url"), "{path}");
    }
    let (status, _) = dialed.get("/node/v1/join").await;
    assert_eq!(status, 405);
    for addr in [gateway.addr(), gateway.running.admin_addr] {
        for path in ["/node/v1/challenge", "/node/v1/tunnel", "/node/v1/join"] {
            let status = get(addr, path).await;
            assert!([401, 404].contains(&status), "{path}: {status}");
        }
    }
}

async fn get(addr: SocketAddr, path: &str) -> u16 {
    let stream = TcpStream::connect(addr).await.expect("connects");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("h1");
    tokio::task::spawn(connection);
    let request =
        Request::get(path).header("host", addr.to_string()).body(Full::<Bytes>::default()).unwrap();
    sender.send_request(request).await.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn who_speaks_no_tls_or_another_protocol_does_no_harm() {
    let gateway = gateway().await;
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], b"\x16\x03\x01\xff\xff"] {
        let mut socket = raw(gateway.node_addr()).await;
        socket.write_all(bytes).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let _reset = socket.read_to_end(&mut rest).await;
    }
    let mut socket = tls(&gateway).await;
    socket.write_all(b"\x00\xffgarbage\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let _closed = socket.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    drop(socket);
    gateway.until_quiet().await;
    let _node = Identity::new(1).join(&gateway).await;
    gateway.until_offers(1).await;
}

#[tokio::test]
async fn who_joins_with_a_token_must_show_it() {
    let gateway = gateway_with("", |market| {
        market.join = gateway::config::Join::Token;
        market.tokens = vec!["sesame-sesame-sesame".to_owned().into()];
    })
    .await;
    let identity = Identity::new(1);
    for (shown, status, reason) in [
        (None, 401, "join_token_required"),
        (Some("Bearer wrong"), 401, "join_token_required"),
        (Some("Basic c2VzYW1l"), 401, "invalid_api_key"),
        (Some("Bearer sesame-sesame-sesame"), 200, ""),
    ] {
        let mut dialed = Dialed::new(&gateway).await;
        let challenge = dialed.challenge().await;
        let hello = identity.sign(&identity.hello(&challenge, dialed.exporter));
        let mut request = post(serde_json::to_vec(&hello).unwrap().into());
        if let Some(shown) = shown {
            request.headers_mut().insert(header::AUTHORIZATION, shown.parse().unwrap());
        }
        let (answer, body): (_, Value) = read(dialed.request(request).await).await;
        assert_eq!((answer.as_u16(), code(&body)), (status, reason), "{shown:?}: {body}");
    }
}

/// Who knew what the next ping is called could answer before it has come, and be near wherever it is.
#[tokio::test]
async fn a_ping_can_not_be_answered_before_it_was_heard() {
    let gateway = gateway().await;
    let node = Identity::new(1).join(&gateway).await;
    let pings = || node.work.pings.lock().expect("a lock").clone();
    until(|| pings().len() == 3).await;
    let steps: Vec<u64> = pings().windows(2).map(|two| two[0].abs_diff(two[1])).collect();
    assert!(steps.iter().all(|step| *step > 1_000) && steps[0] != steps[1], "{:?}", pings());
    let member = gateway.running.app.market.members().remove(0);
    until(|| member.shortest_way().is_some()).await;
}

//! Many streams over one tunnel, and one client among them that never reads.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::cell::Cell;
use std::sync::atomic::Ordering::SeqCst;
use tokio::net::TcpStream;

use crate::harness::{Gateway, ask, content, gateway_with, request, send, stream, until};
use crate::node::Identity;

const OTHERS: u32 = 499;
const LEAVERS: u64 = 200;
const FLOOD_MAX: u64 = 32 * 1024 * 1024;

#[tokio::test]
async fn one_that_does_not_read_holds_up_none_of_the_others() {
    let gateway = gateway_with("h2_streams = 1000\nkey_streams = 1000", |_| {}).await;
    let node = Identity::new(1).join(&gateway).await;
    gateway.until_offers(1).await;
    let stuck = send(gateway.addr(), stream("flood")).await;
    // Until every buffer on the way is full, the tunnel's window last.
    let (last, still) = (Cell::new(0), Cell::new(0));
    until(|| {
        let flooded = node.work.flooded.load(SeqCst);
        still.set(if last.replace(flooded) == flooded { still.get() + 1 } else { 0 });
        flooded > 512 * 1024 && still.get() > 100
    })
    .await;
    let sender = client(&gateway).await;
    let mut asked = Vec::new();
    for _ in 0..OTHERS {
        let (mut sender, request) = (sender.clone(), multiplexed(&gateway, "wait"));
        asked.push(tokio::task::spawn(async move {
            let answer = sender.send_request(request).await.unwrap();
            let bytes = answer.into_body().collect().await.unwrap().to_bytes();
            String::from_utf8(bytes.to_vec()).unwrap()
        }));
    }
    until(|| node.work.running() == OTHERS + 1).await;
    node.work.go();
    for answer in asked {
        let text = answer.await.unwrap();
        assert_eq!(content(&text), "readyhello", "{text}");
        assert!(text.ends_with("data: [DONE]\n\n"));
    }
    // Held back: no more than the windows and the sockets of the way take.
    assert!(node.work.flooded.load(SeqCst) < FLOOD_MAX);
    assert_eq!(node.work.running(), 1);
    drop(stuck);
    until(|| node.work.running() == 0).await;
    drop(node);
    gateway.until_quiet().await;
}

/// Bursts of cancels leave data on its way for streams that are no more, which counts against a
/// connection over its whole life: a tunnel must bear it.
#[tokio::test]
async fn clients_that_leave_all_at_once_do_not_cost_the_node_its_tunnel() {
    let gateway = gateway_with("h2_streams = 1000\nkey_streams = 1000", |_| {}).await;
    let node = Identity::new(1).join(&gateway).await;
    gateway.until_offers(1).await;
    let mut all = 0;
    for round in 1..=5 {
        let sender = client(&gateway).await;
        let mut asked = Vec::new();
        for _ in 0..LEAVERS {
            let (mut sender, request) = (sender.clone(), multiplexed(&gateway, "flood"));
            asked.push(tokio::task::spawn(async move { sender.send_request(request).await }));
        }
        let mut answers = Vec::new();
        for answer in asked {
            answers.push(answer.await.unwrap().unwrap());
        }
        // Who asked when all that the node had shown to bear were there is told to come back.
        let begun = answers.iter().filter(|answer| answer.status() == 200).count() as u64;
        let refused = answers.iter().filter(|answer| answer.status() == 429).count() as u64;
        assert_eq!(begun + refused, LEAVERS, "round {round}");
        assert!(begun >= LEAVERS / 4, "round {round}: {begun}");
        all += begun;
        // A stream may begin before its turn has come.
        assert!(node.work.begun.load(SeqCst) <= all, "round {round}");
        drop((answers, sender));
        until(|| node.work.running() == 0).await;
        assert_eq!(gateway.metrics().nodes.get(), 1, "round {round}");
    }
    let (_, _, text) = ask(gateway.addr(), stream("hello")).await;
    assert_eq!(content(&text), "hello");
}

type Sender = http2::SendRequest<Full<Bytes>>;

/// One connection for many requests.
async fn client(gateway: &Gateway) -> Sender {
    let socket = TcpStream::connect(gateway.addr()).await.unwrap();
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::task::spawn(connection);
    sender
}

fn multiplexed(gateway: &Gateway, prompt: &str) -> Request<Full<Bytes>> {
    let mut request = request(gateway.addr(), stream(prompt));
    request.headers_mut().remove("host");
    *request.uri_mut() = format!("http://{}/v1/chat/completions", gateway.addr()).parse().unwrap();
    request
}

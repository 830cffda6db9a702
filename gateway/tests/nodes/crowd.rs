//! Many streams over one tunnel, and one client among them that never reads.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::atomic::Ordering::SeqCst;
use tokio::net::TcpStream;

use crate::harness::{content, gateway_with, request, send, stream, until};
use crate::node::Identity;

const OTHERS: u32 = 499;

#[tokio::test]
async fn one_that_does_not_read_holds_up_none_of_the_others() {
    let gateway = gateway_with("h2_streams = 1000\nkey_streams = 1000", |_| {}).await;
    let node = Identity::new(1).join(&gateway).await;
    gateway.until_offers(1).await;
    let stuck = send(gateway.addr(), stream("flood")).await;
    until(|| node.work.flooded.load(SeqCst) > 512 * 1024).await;
    let socket = TcpStream::connect(gateway.addr()).await.unwrap();
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::task::spawn(connection);
    let mut asked = Vec::new();
    for _ in 0..OTHERS {
        let mut sender: http2::SendRequest<Full<Bytes>> = sender.clone();
        let mut request = request(gateway.addr(), stream("wait"));
        request.headers_mut().remove("host");
        *request.uri_mut() =
            format!("http://{}/v1/chat/completions", gateway.addr()).parse().unwrap();
        asked.push(tokio::task::spawn(async move {
            let answer = sender.send_request(request).await.unwrap();
            let bytes = answer.into_body().collect().await.unwrap().to_bytes();
            String::from_utf8(bytes.to_vec()).unwrap()
        }));
    }
    until(|| node.work.running() == OTHERS + 1).await;
    let held = node.work.flooded.load(SeqCst);
    node.work.go();
    for answer in asked {
        let text = answer.await.unwrap();
        assert_eq!(content(&text), "readyhello", "{text}");
        assert!(text.ends_with("data: [DONE]\n\n"));
    }
    let flooded = node.work.flooded.load(SeqCst);
    assert_eq!(held, flooded, "the one that does not read is held back");
    assert_eq!(node.work.running(), 1);
    drop(stuck);
    until(|| node.work.running() == 0).await;
    drop(node);
    gateway.until_quiet().await;
}

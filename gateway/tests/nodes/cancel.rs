//! A client that leaves: the node's stream is reset, in every phase, and the tunnel goes on.

use http_body_util::BodyExt as _;
use std::sync::atomic::Ordering::SeqCst;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::harness::{Gateway, ask, content, gateway, send, stream, until};
use crate::node::{Identity, Node};

async fn joined() -> (Gateway, Node) {
    let gateway = gateway().await;
    let node = Identity::new(1).join(&gateway).await;
    gateway.until_offers(1).await;
    (gateway, node)
}

/// Nothing of the request is left, and the tunnel carries the next.
async fn is_over(gateway: &Gateway, node: &Node) {
    until(|| node.work.running() == 0).await;
    let market = &gateway.running.app.market;
    until(|| market.snapshot().endpoints().iter().all(|endpoint| endpoint.in_flight() == 0)).await;
    let (_, _, text) = ask(gateway.addr(), stream("hello")).await;
    assert_eq!(content(&text), "hello");
}

/// Sends a request that gets no head, and leaves when the node has it.
async fn leave_unanswered(gateway: &Gateway, node: &Node, prompt: &str) {
    let mut socket = TcpStream::connect(gateway.addr()).await.unwrap();
    let body = stream(prompt);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        gateway.addr(),
        body.len()
    );
    socket.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    until(|| node.work.begun.load(SeqCst) == 1).await;
    drop(socket);
}

#[tokio::test]
async fn before_the_head() {
    let (gateway, node) = joined().await;
    leave_unanswered(&gateway, &node, "no head").await;
    is_over(&gateway, &node).await;
}

#[tokio::test]
async fn before_the_first_content() {
    let (gateway, node) = joined().await;
    leave_unanswered(&gateway, &node, "no content").await;
    is_over(&gateway, &node).await;
}

#[tokio::test]
async fn in_the_middle() {
    let (gateway, node) = joined().await;
    let mut answer = send(gateway.addr(), stream("half")).await;
    let first = answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("half"));
    assert_eq!(node.work.running(), 1);
    drop(answer);
    is_over(&gateway, &node).await;
}

#[tokio::test]
async fn while_the_node_waits_for_a_client_that_does_not_read() {
    let (gateway, node) = joined().await;
    let answer = send(gateway.addr(), stream("flood")).await;
    // More than the client's connection takes unread: the node is held back.
    until(|| node.work.flooded.load(SeqCst) > 512 * 1024).await;
    drop(answer);
    is_over(&gateway, &node).await;
}

/// hyper keeps a body that nobody takes as long as the tunnel lasts, though the client has left.
#[tokio::test]
async fn a_node_that_takes_no_bodies_holds_so_many_bytes_of_them() {
    let (gateway, node) = joined().await;
    node.work.is_deaf.store(true, SeqCst);
    let prompt = "x".repeat(40 << 20);
    let mut sent = 0;
    let market = &gateway.running.app.market;
    for _ in 0..8 {
        let answer = send(gateway.addr(), stream(&prompt)).await;
        if answer.status() != 200 {
            break;
        }
        sent += 1;
        drop(answer);
        until(|| market.snapshot().endpoints().iter().all(|one| one.in_flight() == 0)).await;
    }
    // The first goes out as far as the node's window goes, and is let go of.
    assert!((3..=5).contains(&sent), "{sent} bodies of 40 MiB are held");
    // It is its own fault: who takes what it is sent has the place of all of them.
    drop(node);
    gateway.until_quiet().await;
}

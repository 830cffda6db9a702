//! Connections that do not get on: each is closed when its time is over, and no more of them are held
//! than may be. Time is paused once the sockets stand, and moves on when nobody has anything to do.

use gateway::metrics::JoinOutcome;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Gateway, gateway, gateway_with, until};
use crate::node::{Dialed, Identity, raw, tls};

/// Until the gateway ends the connection; anything it says meanwhile is passed over.
async fn ended(mut socket: impl tokio::io::AsyncRead + Unpin) {
    let mut rest = Vec::new();
    let _reset = socket.read_to_end(&mut rest).await;
}

async fn closed_in_time(gateway: Gateway, socket: impl tokio::io::AsyncRead + Unpin) {
    tokio::time::pause();
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, ended(socket)).await.expect("the connection is closed");
    gateway.until_quiet().await;
}

#[tokio::test]
async fn a_tls_handshake_that_does_not_go_on() {
    let gateway = gateway().await;
    let mut socket = raw(gateway.node_addr()).await;
    socket.write_all(b"\x16\x03\x01\x02\x00").await.unwrap();
    closed_in_time(gateway, socket).await;
}

#[tokio::test]
async fn a_request_head_that_does_not_end() {
    let gateway = gateway().await;
    let mut socket = tls(&gateway).await;
    socket.write_all(b"GET /node/v1/challenge HTTP/1.1\r\nhost: x\r\nx: ").await.unwrap();
    closed_in_time(gateway, socket).await;
}

#[tokio::test]
async fn a_hello_that_does_not_end() {
    let gateway = gateway().await;
    let mut socket = tls(&gateway).await;
    socket
        .write_all(
            b"GET /node/v1/challenge HTTP/1.1\r\nhost: x\r\n\r\n\
              POST /node/v1/join HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{",
        )
        .await
        .unwrap();
    closed_in_time(gateway, socket).await;
}

#[tokio::test]
async fn a_node_that_joins_and_never_upgrades_gives_its_place_back() {
    let gateway = gateway().await;
    let mut dialed = Dialed::new(&gateway).await;
    dialed.welcome(&Identity::new(1)).await;
    tokio::time::pause();
    gateway.until_quiet().await;
}

#[tokio::test]
async fn a_node_that_answers_no_control_exchange_is_let_go() {
    let gateway = gateway().await;
    let mut dialed = Dialed::new(&gateway).await;
    let token = dialed.welcome(&Identity::new(1)).await.token;
    let _silent = dialed.tunnel(&token).await.unwrap();
    tokio::time::pause();
    gateway.until_quiet().await;
    assert_eq!(gateway.metrics().nodes.get(), 0);
}

#[tokio::test]
async fn of_too_many_that_join_the_last_are_closed_at_once() {
    let gateway = gateway_with("", |market| market.joining_max = 2).await;
    let first: Vec<TcpStream> =
        vec![raw(gateway.node_addr()).await, raw(gateway.node_addr()).await];
    until(|| gateway.metrics().node_connections.get() == 2).await;
    ended(raw(gateway.node_addr()).await).await;
    assert_eq!(gateway.refused(JoinOutcome::Crowded), 1);
    drop(first);
    until(|| gateway.metrics().node_connections.get() == 0).await;
    // Who has joined takes no place of theirs.
    let nodes = [
        Identity::new(1).join(&gateway).await,
        Identity::new(2).join(&gateway).await,
        Identity::new(3).join(&gateway).await,
    ];
    gateway.until_offers(3).await;
    drop(nodes);
}

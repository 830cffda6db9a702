//! Clients that leave with more bytes sent than the gateway has looked at: their requests end all the
//! same, in time.

use serde_json::json;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::case::{head, post};
use crate::market::{chat, market, until};

#[tokio::test]
async fn early_bytes_of_a_next_request_do_not_hide_that_the_client_left() {
    let next = head("GET /v1/models HTTP/1.1", "");
    for stream in ["", ",\"stream\":true"] {
        for more in ["", "G", &next, &next[..20]] {
            for resets in [false, true] {
                let market = market("hold_ms = 20", json!({"ttft_ms": 60_000})).await;
                let mut socket = TcpStream::connect(market.addr()).await.expect("connects");
                let bytes = [post("", chat(stream).as_bytes()), more.as_bytes().to_vec()].concat();
                socket.write_all(&bytes).await.expect("sends");
                let counters = market.provider.counters.clone();
                until("started", || counters.jobs_started() == 1).await;
                if resets {
                    socket.set_zero_linger().expect("an option");
                }
                drop(socket);
                until(&format!("{stream:?} {more:?}: cancelled"), || {
                    counters.jobs_cancelled() == 1
                })
                .await;
                market.until_quiet().await;
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_body_leaves_nothing() {
    let market = market("", json!({"tokens": 3})).await;
    let request = post("", chat("").as_bytes());
    for length in (1..request.len()).step_by(7) {
        let mut socket = TcpStream::connect(market.addr()).await.expect("connects");
        socket.write_all(&request[..length]).await.expect("sends");
        if length % 2 == 0 {
            socket.set_zero_linger().expect("an option");
        }
    }
    market.until_quiet().await;
    assert_eq!(market.provider.counters.jobs_started(), 0);
    let stopped = tokio::time::timeout(Duration::from_secs(20), market.gateway.stop()).await;
    assert_eq!(stopped.expect("stops"), gateway::shutdown::Drained::Clean);
}

//! Clients that are slow on purpose: each is cut off by the limit that is meant for it, and told so
//! where HTTP has a way to.

use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::case::{case, head, lossy, post};
use crate::market::{DEADLINE, chat, market, until};

const LIMITS: &str = "header_read_ms = 200\nbody_idle_ms = 200\nkeep_alive_ms = 1000\n\
     request_ms = 1500\nwrite_stall_ms = 300";
const POST: &str = "POST /v1/chat/completions HTTP/1.1";

#[tokio::test]
async fn who_stops_talking_is_cut_off() {
    let market = market(LIMITS, json!({"tokens": 3})).await;
    let body = chat("");
    for case in [
        case("silence").closed(),
        case("a head that stops").send("GET /v1/mod").closed(),
        case("a head that stops after a header").send("GET / HTTP/1.1\r\nhost: h\r\n").closed(),
        case("a second head that stops")
            .send("GET /healthz HTTP/1.1\r\nhost: h\r\n\r\nGET /")
            .status(200)
            .closed(),
        case("an idle connection")
            .send("GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n")
            .status(200)
            .closed(),
        case("a body that stops")
            .send(&post("", body.as_bytes())[..140])
            .status(408)
            .code("request_timeout")
            .closed(),
        case("chunks that stop")
            .send(head(POST, "transfer-encoding: chunked\r\n") + "5\r\n{")
            .status(408)
            .code("request_timeout")
            .closed(),
        case("a body that never starts, though 100 was said")
            .send(head(POST, "content-length: 10\r\nexpect: 100-continue\r\n"))
            .status(408)
            .closed(),
        case("half of HTTP/2's first line").send("PRI * HTT").closed(),
        case("HTTP/2 and nothing more").send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").silently_closed(),
    ] {
        case.run(market.addr()).await;
    }
    market.until_quiet().await;
}

/// A byte every now and then never stands still for long; it ends all the same.
#[tokio::test]
async fn who_dribbles_is_cut_off() {
    let market = market(LIMITS, json!({"tokens": 3})).await;
    let bodies = head(POST, "content-length: 100000\r\n");
    for (start, answer) in [("", ""), (bodies.as_str(), "408")] {
        let socket = TcpStream::connect(market.addr()).await.expect("connects");
        let (mut reader, mut writer) = socket.into_split();
        let start = start.to_owned();
        let dribbling = tokio::task::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            let _ = writer.write_all(start.as_bytes()).await;
            let bytes = if start.is_empty() { "GET /aaaa" } else { "{     " };
            for byte in bytes.bytes().chain(std::iter::repeat(b'a')) {
                ticks.tick().await;
                if writer.write_all(&[byte]).await.is_err() {
                    break;
                }
            }
        });
        let mut said = Vec::new();
        let end = tokio::time::timeout(DEADLINE, reader.read_to_end(&mut said)).await;
        assert!(end.is_ok(), "still open");
        assert!(lossy(&said).contains(answer), "{}", lossy(&said));
        assert_eq!(said.is_empty(), answer.is_empty(), "{}", lossy(&said));
        tokio::time::timeout(DEADLINE, dribbling).await.expect("is refused").expect("ends");
    }
    market.until_quiet().await;
}

#[tokio::test]
async fn who_does_not_read_is_cut_off_and_the_provider_stops() {
    let limits = "write_stall_ms = 300\nwrite_buffer_bytes = 16384";
    let market = market(limits, json!({"tokens": 1_000_000})).await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("an option");
    let mut socket = socket.connect(market.addr()).await.expect("connects");
    socket.write_all(&post("", chat(",\"stream\":true").as_bytes())).await.expect("sends");
    let counters = market.provider.counters.clone();
    until("cancelled", || counters.jobs_cancelled() == 1).await;
    market.until_quiet().await;
    // What the sockets' and our buffers hold, and no more: an event is some 200 bytes.
    let made = counters.tokens_generated();
    assert!(made < 200_000, "{made} tokens were made for nobody");
    assert_eq!(market.gateway.app.metrics.slow_clients.get(), 1);
    drop(socket);
}

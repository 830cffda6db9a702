//! A provider's URL that leads to this machine, by whatever name, is not connected to.

use futures_util::FutureExt as _;
use tokio::net::TcpListener;

use crate::case::{ask, post};
use crate::market::{chat, gateway};

#[tokio::test]
async fn no_name_for_this_machine_is_followed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("an address").port();
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "169.254.169.254",
        "100.64.0.1",
    ] {
        let url = format!("http://{host}:{port}/v1");
        let (gateway, _data) = gateway("attempts = 1", &[&url], false).await;
        for stream in ["", ",\"stream\":true"] {
            let answer = ask(gateway.addr, &post("", chat(stream).as_bytes())).await;
            let error = answer.error(host);
            assert!(matches!(answer.status, 502 | 503), "{host}: {error}");
            assert!(!error.to_string().contains("127.0.0.1"), "{host}: {error}");
        }
        gateway.stop().await;
    }
    assert!(listener.accept().now_or_never().is_none(), "somebody connected");
}

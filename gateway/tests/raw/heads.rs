//! Request lines and headers that are broken, long, doubled, or an attack.

use crate::case::{Case, case, head, post};
use crate::market::{KEY, chat};

pub(crate) fn cases() -> Vec<Case> {
    [broken(), limits(), credentials(), ids()].concat()
}

/// What the HTTP parser refuses gets our words too, and the connection ends.
fn broken() -> Vec<Case> {
    let bad = |name: &str, bytes: &[u8]| {
        case(name).send(bytes).status(400).code("malformed_request").closed()
    };
    vec![
        bad("no request line", b"GET\r\n\r\n"),
        bad("a version nobody speaks", b"GET / HTTP/9.9\r\n\r\n"),
        bad("bytes of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        bad("NUL bytes", b"\0\0\0\0\r\n\r\n"),
        bad("a NUL in the path", b"GET /v1/mo\0dels HTTP/1.1\r\nhost: h\r\n\r\n"),
        bad("a NUL in a header", b"GET / HTTP/1.1\r\nhost: h\r\nx: a\0b\r\n\r\n"),
        bad("a header line that goes on", b"GET / HTTP/1.1\r\nhost: h\r\nx: a\r\n b\r\n\r\n"),
        bad("a blank in a header's name", b"GET / HTTP/1.1\r\nhost: h\r\nx y: a\r\n\r\n"),
        bad("a blank before the colon", b"GET / HTTP/1.1\r\nhost : h\r\n\r\n"),
        bad("a header without a name", b"GET / HTTP/1.1\r\n: h\r\n\r\n"),
        bad("a header without a colon", b"GET / HTTP/1.1\r\nhost\r\n\r\n"),
        bad("a bare CR in a header", b"GET / HTTP/1.1\r\nhost: h\r\nx: a\rb\r\n\r\n"),
        bad("a blank in the path", b"GET /v1 /models HTTP/1.1\r\nhost: h\r\n\r\n"),
        bad("no path", b"GET  HTTP/1.1\r\nhost: h\r\n\r\n"),
        bad("a broken head in two pieces", b"GET / HTTP/1.1\r\nho").send(b"st\0: h\r\n\r\n"),
    ]
}

fn limits() -> Vec<Case> {
    let long =
        |bytes: usize| head("GET /v1/models HTTP/1.1", &format!("x: {}\r\n", "x".repeat(bytes)));
    let many: String = (0..150).map(|n| format!("x-{n}: y\r\n")).collect();
    let url = |bytes: usize| head(&format!("GET /v1/models?{} HTTP/1.1", "q".repeat(bytes)), "");
    vec![
        case("long headers that are just allowed").send(long(60_000)).status(200),
        case("headers over the limit").send(long(70_000)).status(431).code("headers_too_large"),
        case("headers far over the limit")
            .send(long(2_000_000))
            .status(431)
            .code("headers_too_large")
            .closed(),
        case("too many headers")
            .send(head("GET /v1/models HTTP/1.1", &many))
            .status(431)
            .code("headers_too_large")
            .closed(),
        case("a long query").send(url(60_000)).status(200),
        case("a query that is longer than headers may be").send(url(65_500)).status(431),
        case("a URL that cannot be represented")
            .send(url(70_000))
            .status(414)
            .code("url_too_long")
            .closed(),
        case("a head in one-byte pieces")
            .send("G")
            .send("ET /heal")
            .send("thz HTTP/1.1\r")
            .send("\nhost: h\r\n\r")
            .send("\n")
            .status(200),
    ]
}

fn credentials() -> Vec<Case> {
    let with = |headers: &str| format!("GET /v1/models HTTP/1.1\r\nhost: h\r\n{headers}\r\n");
    let refused = |name: &str, headers: &str| {
        case(name).send(with(headers)).status(401).code("invalid_api_key")
    };
    let body = chat("");
    vec![
        refused("no key", ""),
        refused("another scheme", "authorization: Basic YTpi\r\n"),
        refused("a key nobody has", "authorization: Bearer qk_nobody_has_this\r\n"),
        refused("an empty key", "authorization: Bearer \r\n"),
        refused(
            "two keys",
            &format!("authorization: Bearer {KEY}\r\nauthorization: Bearer {KEY}\r\n"),
        ),
        refused("a key that is not text", "authorization: Bearer \u{e9}\r\n"),
        // The refusal comes before the body, and the connection can be used when it has been read.
        case("no key and a body")
            .send(format!(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ))
            .status(401)
            .code("invalid_api_key"),
        case("no key and a body that never comes")
            .send(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000\r\n\r\n",
            )
            .status(401)
            .code("invalid_api_key")
            .closed(),
    ]
}

fn ids() -> Vec<Case> {
    let with_id = |id: &str| head("GET /v1/models HTTP/1.1", &format!("x-request-id: {id}\r\n"));
    vec![
        case("a caller's id").send(with_id("abc-1")).status(200).header("x-request-id", "abc-1"),
        case("an id that would split a header").send(with_id("a%0d%0ax: y")).status(200).without("x"),
        case("an id in latin letters").send(with_id("\u{fc}")).status(200),
        case("a method of one's own").send(head("BREW /v1/models HTTP/1.1", "")).status(405),
        case("CONNECT").send("CONNECT h:443 HTTP/1.1\r\nhost: h\r\n\r\n").status(401),
        case("TRACE").send(head("TRACE /v1/models HTTP/1.1", "")).status(405),
        case("an upgrade that nobody asked for")
            .send(head("GET /v1/models HTTP/1.1", "connection: upgrade\r\nupgrade: websocket\r\n"))
            .status(200)
            .without("upgrade"),
        case("an upgrade to HTTP/2")
            .send(head(
                "GET /v1/models HTTP/1.1",
                "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
            ))
            .status(200)
            .without("upgrade"),
        case("a good request").send(post("", chat("").as_bytes())).status(200),
    ]
}

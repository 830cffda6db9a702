//! Where a request's body ends: lengths, chunks, both, neither. What two readers could understand in
//! two ways is refused, so that no request can be hidden in another.

use crate::case::{Case, case, head, lossy, post};
use crate::market::chat;

const POST: &str = "POST /v1/chat/completions HTTP/1.1";

pub(crate) fn cases() -> Vec<Case> {
    [lengths(), chunks(), versions()].concat()
}

fn chunked(headers: &str, body: &str) -> Vec<u8> {
    let head = head(POST, &format!("transfer-encoding: chunked\r\n{headers}"));
    format!("{head}{body}").into_bytes()
}

fn lengths() -> Vec<Case> {
    let body = chat("");
    let n = body.len();
    let with = |headers: String| head(POST, &headers) + &body;
    let bad = |name: &str, headers: String| {
        case(name).send(with(headers)).status(400).code("malformed_request").closed()
    };
    vec![
        bad("two lengths", format!("content-length: {n}\r\ncontent-length: 0\r\n")),
        bad("two lengths in one", format!("content-length: {n}, 0\r\n")),
        bad("a negative length", "content-length: -1\r\n".into()),
        bad("a signed length", format!("content-length: +{n}\r\n")),
        bad("a length in hex", "content-length: 0x10\r\n".into()),
        bad("a length beyond 64 bits", "content-length: 99999999999999999999999\r\n".into()),
        bad(
            "an unknown transfer coding",
            format!("transfer-encoding: gzip\r\ncontent-length: {n}\r\n"),
        ),
        bad("chunked, but not last", "transfer-encoding: chunked, gzip\r\n".into()),
        // The chunks count, not the length, and the connection is not used again.
        case("chunks and a length")
            .send(chunked("content-length: 4\r\n", &format!("{n:x}\r\n{body}\r\n0\r\n\r\n")))
            .status(200)
            .closed(),
        case("the same length twice")
            .send(with(format!("content-length: {n}\r\ncontent-length: {n}\r\n")))
            .status(200),
        case("a length of 2 TiB")
            .send(head(POST, "content-length: 2199023255552\r\n"))
            .status(413)
            .code("request_too_large")
            .closed(),
        case("no body and no length").send(head(POST, "")).status(400).code(""),
        case("a body in pieces")
            .send(head(POST, &format!("content-length: {n}\r\n")))
            .send(&body[..10])
            .send(&body[10..])
            .status(200),
        case("the client ends inside a body")
            .send(&post("", body.as_bytes())[..150])
            .status(400)
            .code("")
            .half_closes(),
    ]
}

fn chunks() -> Vec<Case> {
    let body = chat("");
    let n = body.len();
    let one = format!("{n:x}\r\n{body}\r\n0\r\n\r\n");
    let bad = |name: &str, chunks: &str| case(name).send(chunked("", chunks)).status(400).closed();
    let byte_by_byte: String =
        body.bytes().map(|b| format!("1\r\n{}\r\n", char::from(b))).collect();
    let endless_extension = format!("1;x={}\r\n{{\r\n", "y".repeat(100_000));
    vec![
        case("chunked").send(chunked("", &one)).status(200),
        case("chunks of one byte").send(chunked("", &(byte_by_byte + "0\r\n\r\n"))).status(200),
        case("a chunk's extension")
            .send(chunked("", &format!("{n:x};a=b;c=\"d\"\r\n{body}\r\n0;e\r\n\r\n")))
            .status(200),
        case("trailers")
            .send(chunked("trailer: x\r\n", &format!("{n:x}\r\n{body}\r\n0\r\nx: y\r\n\r\n")))
            .status(200),
        case("a trailer that would be a key")
            .send(chunked("", &format!("{n:x}\r\n{body}\r\n0\r\nauthorization: Bearer x\r\n\r\n")))
            .status(200),
        bad("a size that is no number", "zz\r\n{}\r\n0\r\n\r\n"),
        bad("a size beyond 64 bits", "fffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
        bad("a chunk that is longer than it says", "1\r\n{}{}\r\n0\r\n\r\n"),
        bad("extensions without end", &endless_extension),
        bad("trailers without end", &format!("0\r\n{}\r\n", "x: y\r\n".repeat(20_000))),
    ]
}

fn versions() -> Vec<Case> {
    let body = chat("");
    let n = body.len();
    let expect = head(POST, &format!("content-length: {n}\r\nexpect: 100-continue\r\n"));
    let old = post("", body.as_bytes());
    let old = lossy(&old).replace("HTTP/1.1", "HTTP/1.0").replace("host: h\r\n", "");
    let stream = chat(",\"stream\":true");
    let old_stream = lossy(&post("", stream.as_bytes())).replace("HTTP/1.1", "HTTP/1.0");
    vec![
        case("HTTP/1.0").send(old).status(200).without("transfer-encoding").closed(),
        case("HTTP/1.0 and a stream")
            .send(old_stream)
            .status(200)
            .without("transfer-encoding")
            .says("data: [DONE]\n\n")
            .closed(),
        case("HTTP/1.0 and chunks")
            .send(lossy(&chunked("", &format!("{n:x}\r\n{body}\r\n0\r\n\r\n"))).replace("1.1", "1.0"))
            .status(400)
            .closed(),
        case("the body waits for 100").send(expect).send(&body).status(200),
        case("100 is not said to who may not go on")
            .send("POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n")
            .status(401)
            .closed(),
        case("HTTP/1.1 without a host")
            .send(lossy(&post("", body.as_bytes())).replace("host: h\r\n", ""))
            .status(200),
        case("an absolute target")
            .send(head("GET http://elsewhere.example/v1/models HTTP/1.1", ""))
            .status(200),
        case("the connection is to close")
            .send(head("GET /v1/models HTTP/1.1", "connection: close\r\n"))
            .status(200)
            .header("connection", "close")
            .closed(),
    ]
}

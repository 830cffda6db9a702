//! A body's size and its content type.

use crate::case::{Case, case, head, post};
use crate::market::chat;
use crate::table::BODY_BYTES;

const POST: &str = "POST /v1/chat/completions HTTP/1.1";

pub(crate) fn cases() -> Vec<Case> {
    let body = chat("");
    let kind = |kind: &str| post(&format!("content-type: {kind}\r\n"), body.as_bytes());
    let padded = |bytes: usize| {
        let start = chat("");
        format!("{start}{}", " ".repeat(bytes - start.len()))
    };
    let announced = head(POST, &format!("content-length: {}\r\n", BODY_BYTES + 1));
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let flood =
        head(POST, "transfer-encoding: chunked\r\n") + &chunk.repeat(BODY_BYTES / 0x10000 + 3);
    vec![
        case("a body of exactly the limit")
            .send(post("", padded(BODY_BYTES).as_bytes()))
            .status(200),
        case("a length over the limit")
            .send(&announced)
            .status(413)
            .code("request_too_large")
            .closed(),
        case("a body over the limit, sent all the same")
            .send(&announced)
            .send(" ".repeat(BODY_BYTES + 1))
            .status(413)
            .says(BODY_BYTES.to_string())
            .closed(),
        case("chunks over the limit").send(&flood).status(413).code("request_too_large").closed(),
        case("JSON by another name").send(kind("application/vnd.x+json")).status(200),
        case("JSON with a charset").send(kind("application/json; charset=utf-8")).status(200),
        case("plain text").send(kind("text/plain")).status(415).code("unsupported_media_type"),
        case("a form").send(kind("application/x-www-form-urlencoded")).status(415),
        case("parts").send(kind("multipart/form-data; boundary=x")).status(415),
        case("a content type that is not text").send(kind("\u{e9}")).status(415),
    ]
}

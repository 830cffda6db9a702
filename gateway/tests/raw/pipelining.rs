//! Several requests in one go.

use crate::case::{Case, case, head, post};
use crate::market::chat;

pub(crate) fn cases() -> Vec<Case> {
    let get = head("GET /v1/models HTTP/1.1", "").into_bytes();
    let ask = post("", chat("").as_bytes());
    let stream = post("", chat(",\"stream\":true").as_bytes());
    let unknown = head("GET /v1/x HTTP/1.1", "").into_bytes();
    let broken = b"GET / HTTP/1.1\r\nx\0: y\r\n\r\n".to_vec();
    vec![
        case("three in order")
            .send([get.as_slice(), &ask, &unknown].concat())
            .status(200)
            .says("\"list\"")
            .status(200)
            .says("chat.completion")
            .status(404),
        case("after a stream")
            .send([stream.as_slice(), &get].concat())
            .status(200)
            .says("[DONE]")
            .status(200)
            .says("\"list\""),
        case("a broken one after a good one")
            .send([get.as_slice(), &broken].concat())
            .status(200)
            .status(400)
            .code("malformed_request")
            .closed(),
        case("a broken one after a stream")
            .send([stream.as_slice(), &broken, &get].concat())
            .status(200)
            .says("[DONE]")
            .status(400)
            .code("malformed_request")
            .closed(),
        case("a hundred").send(get.repeat(100)).answers(100, 200),
        case("after a refusal that leaves the body unread")
            .send(head("POST /v1/chat/completions HTTP/1.1", "content-length: 9999999999\r\n"))
            .send(&get)
            .status(413)
            .closed(),
        case("a request hidden in a body is not one")
            .send(post("content-type: text/plain\r\n", &get))
            .status(415),
    ]
}

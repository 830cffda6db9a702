//! Every answer has an id and says how long it took.

use axum::body::Body;
use http::{Method, StatusCode};

use crate::support::{ask, gateway, get, request};

#[tokio::test]
async fn every_answer_has_an_id() {
    let gateway = gateway("[limits]\nheader_bytes = 8192");
    let mut long = get("/v1/models");
    long.headers_mut().insert("x-long", "x".repeat(9000).parse().expect("a value"));
    let open = |path| request(Method::GET, path).body(Body::empty()).expect("a request");
    for (request, status) in [
        (get("/v1/models"), StatusCode::OK),
        (get("/nope"), StatusCode::NOT_FOUND),
        (open("/v1/models"), StatusCode::UNAUTHORIZED),
        (open("/healthz"), StatusCode::OK),
        (long, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
    ] {
        let answer = ask(&gateway.client, request).await;
        assert_eq!(answer.status, status);
        assert!(answer.header("x-request-id").starts_with("req_"));
        assert_eq!(answer.header("openai-processing-ms"), "0");
    }
}

#[tokio::test]
async fn a_callers_id_comes_back_if_it_is_fit_for_a_header() {
    let gateway = gateway("");
    for (sent, kept) in [("trace-1:2.3_4", true), ("two words", false), ("<script>", false)] {
        let mut request = get("/v1/models");
        request.headers_mut().insert("x-request-id", sent.parse().expect("a value"));
        let answer = ask(&gateway.client, request).await;
        assert_eq!(answer.header("x-request-id") == sent, kept, "{sent}");
    }
}

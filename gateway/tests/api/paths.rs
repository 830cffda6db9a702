//! Unknown paths, wrong methods, HEAD, OPTIONS, long headers: always OpenAI's envelope.

use axum::body::Body;
use http::{Method, StatusCode};

use crate::support::{KEY, ask, gateway, get, request};

#[tokio::test]
async fn an_unknown_path_is_answered_in_json() {
    let gateway = gateway("");
    for path in ["/v1/chat", "/v1/embeddingz", "/", "/favicon.ico", "/v1", "/v1/models/../x"] {
        let answer = ask(&gateway.client, get(path)).await;
        if answer.status == StatusCode::NOT_FOUND {
            assert_eq!(answer.header("content-type"), "application/json");
            assert!(matches!(answer.code().as_str(), "unknown_url" | "model_not_found"), "{path}");
        } else {
            panic!("{path}: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn a_wrong_method_says_which_are_right() {
    let gateway = gateway("");
    let auth = format!("Bearer {KEY}");
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let request = request(method, "/v1/models").header("authorization", &auth);
        let answer = ask(&gateway.client, request.body(Body::empty()).expect("a request")).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.header("allow"), "GET,HEAD");
        assert_eq!(answer.code(), "method_not_supported");
    }
}

#[tokio::test]
async fn options_needs_no_key_and_allows_no_other_site() {
    let gateway = gateway("");
    let request = request(Method::OPTIONS, "/v1/models")
        .header("origin", "https://app.example")
        .header("access-control-request-headers", "authorization,x-stainless-os");
    let answer = ask(&gateway.client, request.body(Body::empty()).expect("a request")).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.header("allow"), "GET,HEAD");
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
}

#[tokio::test]
async fn head_answers_as_get_without_a_body() {
    let gateway = gateway("");
    let request = request(Method::HEAD, "/healthz").body(Body::empty()).expect("a request");
    let answer = ask(&gateway.client, request).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, ""));
}

#[tokio::test]
async fn long_headers_are_refused() {
    let gateway = gateway("[limits]\nheader_bytes = 8192");
    let long = |bytes: usize| {
        let mut request = get("/v1/models");
        request.headers_mut().insert("x-long", "x".repeat(bytes).parse().expect("a value"));
        request
    };
    assert_eq!(ask(&gateway.client, long(8000)).await.status, StatusCode::OK);
    let answer = ask(&gateway.client, long(8200)).await;
    assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(answer.code(), "headers_too_large");
    assert!(answer.body.contains("8192 bytes"), "the limit is named: {}", answer.body);
}

//! Who may call: keys, and browsers where no key is asked for.

use axum::body::Body;
use http::{Method, StatusCode};

use crate::support::{KEY, ask, from_settings, gateway, get, request, settings};

#[tokio::test]
async fn a_request_needs_a_known_key() {
    let gateway = gateway("");
    for (header, said) in [
        (None, "You didn't provide an API key"),
        (Some("Bearer "), "You didn't provide an API key"),
        (Some("Basic cWs6eA=="), "not of the form"),
        (Some("Bear"), "not of the form"),
        (Some("Bearer qk_0123456789abcdeX"), "Incorrect API key provided."),
        (Some("Bearer qk_0123456789abcdef0"), "Incorrect API key provided."),
    ] {
        let mut request = request(Method::GET, "/v1/models");
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let answer = ask(&gateway.client, request.body(Body::empty()).expect("a request")).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{header:?}");
        assert_eq!(answer.code(), "invalid_api_key");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert_eq!(answer.header("x-should-retry"), "false");
        assert!(answer.body.contains(said), "{header:?}: {}", answer.body);
        assert!(!answer.body.contains("qk_0123"), "a key is never echoed: {}", answer.body);
    }
}

#[tokio::test]
async fn the_schemes_case_does_not_matter_and_two_keys_are_one_too_many() {
    let gateway = gateway("");
    let with = |values: &[&str]| {
        let mut request = request(Method::GET, "/v1/models");
        for value in values {
            request = request.header("authorization", *value);
        }
        request.body(Body::empty()).expect("a request")
    };
    let (good, lower) = (format!("Bearer {KEY}"), format!("bearer {KEY}"));
    assert_eq!(ask(&gateway.client, with(&[&lower])).await.status, StatusCode::OK);
    let answer = ask(&gateway.client, with(&[&good, &good])).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn paths_nobody_opened_are_closed() {
    let gateway = gateway("");
    for path in ["/v1/models", "/v1/nope", "/nope", "/metrics", "/v1/v1/models", "//v1/models"] {
        let request = request(Method::GET, path).body(Body::empty()).expect("a request");
        assert_eq!(ask(&gateway.client, request).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in ["/healthz", "/readyz", "/openapi.json", "/docs"] {
        let request = request(Method::GET, path).body(Body::empty()).expect("a request");
        assert_eq!(ask(&gateway.client, request).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn without_keys_this_machine_is_served_and_pages_from_elsewhere_are_not() {
    let data = tempfile::tempdir().expect("a folder");
    let gateway = from_settings(settings(&data, "[auth]\nmode = \"open\""), data);
    for (host, origin, status) in [
        (Some("127.0.0.1:8080"), None, StatusCode::OK),
        (Some("localhost"), None, StatusCode::OK),
        (Some("[::1]:8080"), None, StatusCode::OK),
        (None, None, StatusCode::OK),
        (Some("localhost:8080"), Some("http://localhost:3000"), StatusCode::OK),
        (Some("localhost:8080"), Some("https://127.0.0.1"), StatusCode::OK),
        (Some("evil.example"), None, StatusCode::FORBIDDEN),
        (Some("localhost.evil.example"), None, StatusCode::FORBIDDEN),
        (Some("127.0.0.1.evil.example:80"), None, StatusCode::FORBIDDEN),
        (Some("user@127.0.0.1"), None, StatusCode::FORBIDDEN),
        (Some("192.168.0.7:8080"), None, StatusCode::FORBIDDEN),
        (Some("localhost:8080"), Some("https://evil.example"), StatusCode::FORBIDDEN),
        (Some("localhost:8080"), Some("http://localhost.evil.example"), StatusCode::FORBIDDEN),
        (Some("localhost:8080"), Some("null"), StatusCode::FORBIDDEN),
        (Some("localhost:8080"), Some("file://"), StatusCode::FORBIDDEN),
    ] {
        for path in ["/v1/models", "/openapi.json"] {
            let mut request = request(Method::GET, path);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            let request = request.body(Body::empty()).expect("a request");
            let answer = ask(&gateway.client, request).await;
            assert_eq!(answer.status, status, "{path} {host:?} {origin:?}: {}", answer.body);
        }
    }
    // HTTP/2 names the host in the URI.
    let request = request(Method::GET, "http://evil.example/v1/models");
    let answer = ask(&gateway.client, request.body(Body::empty()).expect("a request")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.code(), "foreign_origin");
}

#[tokio::test]
async fn with_keys_the_host_does_not_matter() {
    let gateway = gateway("");
    let mut request = get("/v1/models");
    request.headers_mut().insert("host", "api.example.com".parse().expect("a value"));
    assert_eq!(ask(&gateway.client, request).await.status, StatusCode::OK);
}

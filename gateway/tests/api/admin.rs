//! The operators' listener and its token.

use axum::body::Body;
use gateway::app::App;
use gateway::http::Edge;
use gateway::http::admin::{Token, TokenError};
use http::{Method, StatusCode};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use crate::support::{KEY, ask, gateway, request, settings};

async fn status(edge: &Edge, path: &str, headers: &[(&str, &str)]) -> StatusCode {
    let mut request = request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    ask(edge, request.body(Body::empty()).expect("a request")).await.status
}

#[tokio::test]
async fn on_loopback_only_metrics_and_health_need_no_token() {
    let gateway = gateway("");
    let bearer = format!("Bearer {}", gateway.token);
    let client = format!("Bearer {KEY}");
    for (path, headers, expected) in [
        ("/healthz", &[][..], StatusCode::OK),
        ("/readyz", &[], StatusCode::OK),
        ("/metrics", &[], StatusCode::OK),
        ("/nope", &[], StatusCode::UNAUTHORIZED),
        ("/v1/models", &[], StatusCode::UNAUTHORIZED),
        ("/nope", &[("authorization", &*client)], StatusCode::UNAUTHORIZED),
        ("/nope", &[("authorization", &*bearer)], StatusCode::NOT_FOUND),
        ("/metrics", &[("host", "evil.example")], StatusCode::FORBIDDEN),
        ("/metrics", &[("origin", "https://evil.example")], StatusCode::FORBIDDEN),
    ] {
        assert_eq!(status(&gateway.admin, path, headers).await, expected, "{path} {headers:?}");
    }
}

#[tokio::test]
async fn elsewhere_metrics_need_the_token() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(&data, "");
    settings.server.admin_listen = "0.0.0.0:0".parse().expect("an address");
    let app = Arc::new(App::new(settings).expect("a market"));
    let token = Token::load_or_create(data.path()).expect("a token");
    let bearer = format!("Bearer {}", String::from_utf8_lossy(token.as_bytes()));
    let edge = Edge::admin(&app, &token);
    let host = ("host", "10.0.0.1:9090");
    assert_eq!(status(&edge, "/healthz", &[host]).await, StatusCode::OK);
    assert_eq!(status(&edge, "/metrics", &[host]).await, StatusCode::UNAUTHORIZED);
    let with_token = [host, ("authorization", &*bearer)];
    assert_eq!(status(&edge, "/metrics", &with_token).await, StatusCode::OK);
}

#[test]
fn the_token_is_made_once_and_only_its_owner_reads_it() {
    let data = tempfile::tempdir().expect("a folder");
    let dir = data.path().join("a/b");
    let first = Token::load_or_create(&dir).expect("a token");
    let mode = |path| std::fs::metadata(path).expect("exists").permissions().mode() & 0o777;
    assert_eq!(mode(dir.join("admin_token")), 0o600);
    assert_eq!(mode(dir.clone()), 0o700);
    assert_eq!(std::fs::read_dir(&dir).expect("a folder").count(), 1, "no drafts are left");
    let second = Token::load_or_create(&dir).expect("a token");
    assert_eq!(first.as_bytes(), second.as_bytes());
    assert_eq!(first.as_bytes().len(), 67);
    let other = Token::load_or_create(&data.path().join("c")).expect("a token");
    assert_ne!(first.as_bytes(), other.as_bytes());
}

#[test]
fn a_spoilt_token_file_is_not_used() {
    let data = tempfile::tempdir().expect("a folder");
    for text in ["", "short", "qa_short"] {
        std::fs::write(data.path().join("admin_token"), text).expect("written");
        let error = Token::load_or_create(data.path()).expect_err("spoilt");
        assert!(matches!(error, TokenError::Malformed { .. }), "{error}");
    }
    let file = data.path().join("file");
    std::fs::write(&file, "").expect("written");
    assert!(matches!(Token::load_or_create(&file), Err(TokenError::Io { .. })));
}

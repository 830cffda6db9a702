//! `[server] cors_origins`: what may stand there, and what it means without keys. What browsers are
//! told over the wire is in `tests/raw/cors.rs`.

use axum::body::Body;
use gateway::config::{self, Settings};
use http::Method;

use crate::support::{Answer, Gateway, ask, from_settings, request};

fn parse(origins: &str, mode: &str) -> Result<Settings, config::Error> {
    let keys =
        if mode == "keys" { "[[key]]\nname = \"a\"\nkey = \"qk_0123456789abcdef\"" } else { "" };
    let text = format!(
        "[server]\ndata_dir = \"/tmp/x\"\ncors_origins = {origins}\n[auth]\nmode = {mode:?}\n{keys}"
    );
    config::parse(&text, &|_| None)
}

fn problems(origins: &str, mode: &str) -> Vec<String> {
    let error = parse(origins, mode).expect_err("wrong");
    error.problems().iter().map(|problem| problem.path.clone()).collect()
}

fn gateway(origins: &str, mode: &str) -> Gateway {
    from_settings(parse(origins, mode).expect("right"), tempfile::tempdir().expect("a folder"))
}

async fn models(gateway: &Gateway, origin: &str) -> Answer {
    let request = request(Method::GET, "/v1/models").header("host", "localhost:8080");
    let request = request.header("origin", origin).body(Body::empty()).expect("a request");
    ask(&gateway.client, request).await
}

#[test]
fn only_origins_as_browsers_print_them_are_taken() {
    for right in ["[]", "[\"*\"]", "[\"https://app.example\", \"http://localhost:3000\"]"] {
        assert!(parse(right, "keys").is_ok(), "{right}");
    }
    for wrong in [
        "",
        "app.example",
        "https://app.example/",
        "https://app.example/x",
        "https://App.example",
        "https://app.example:443",
        "https://*.example",
        "file:///x",
        "null",
    ] {
        let found = problems(&format!("[\"https://a.example\", {wrong:?}]"), "keys");
        assert_eq!(found, ["server.cors_origins[1]"], "{wrong}");
    }
    assert_eq!(problems("[\"*\"]", "open"), ["server.cors_origins"]);
}

#[tokio::test]
async fn every_site_is_told_so_without_credentials() {
    let gateway = gateway("[\"*\"]", "keys");
    let answer = models(&gateway, "https://anybody.example").await;
    // The key is still missing, and the page may read that.
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
}

#[tokio::test]
async fn without_keys_a_listed_site_is_let_in_and_no_other() {
    let gateway = gateway("[\"https://app.example\"]", "open");
    let answer = models(&gateway, "https://app.example").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("access-control-allow-origin"), "https://app.example");
    let answer = models(&gateway, "https://evil.example").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "foreign_origin"));
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
    // Operators' pages are nobody else's, whatever is listed for clients.
    let metrics = request(Method::GET, "/metrics").header("host", "localhost");
    let metrics = metrics.header("origin", "https://app.example").body(Body::empty());
    assert_eq!(ask(&gateway.admin, metrics.expect("a request")).await.status, 403);
}

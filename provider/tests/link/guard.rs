//! Who may ask a member for what: a lease token counts on its own connection alone.

use crate::gateway::{Gateway, MODEL, chat, member};
use axum::body::Body;
use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Status and code of an answer on the plain listener.
async fn plain(addr: SocketAddr, path: &str, token: Option<&str>) -> (u16, Value) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<&[u8]>>();
    let mut request = Request::get(format!("http://{addr}{path}"));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = client.request(request.body(Empty::new()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let code = serde_json::from_slice::<Value>(&body).map(|body| body["error"]["code"].clone());
    (status, code.unwrap_or_default())
}

#[tokio::test]
async fn a_tunnel_s_token_counts_there_alone() {
    let (mut one, mut two) = (Gateway::start(1).await, Gateway::start(2).await);
    let running = member(&[one.pinned(), two.pinned()], json!({}), |_, _| {}).await;
    let (first, second) = (one.tunnel().await, two.tunnel().await);
    for (tunnel, other) in [(&first, &second), (&second, &first)] {
        let long = "ab".repeat(32);
        for token in [None, Some(""), Some("x"), Some(long.as_str()), Some(other.token.as_str())] {
            for path in ["/v1/models", "/metrics", "/status", "/nothing", "/node/v1/control"] {
                let answer = tunnel.get(path, token).await;
                let expected = if path.ends_with("control") { 405 } else { 401 };
                assert_eq!(answer.status, expected, "{path} {token:?}: {}", answer.text);
            }
            let body = Body::from(chat(false).to_string());
            let path = "/v1/chat/completions";
            let refused = tunnel.send(Method::POST, path, token, body).await;
            assert_eq!(refused.status(), 401);
            let control = tunnel.send(Method::POST, "/node/v1/control", token, Body::empty()).await;
            assert_eq!(control.status(), 401);
        }
        let token = Some(tunnel.token.as_str());
        assert_eq!(tunnel.get("/healthz", None).await.status, 200);
        assert!(tunnel.get("/v1/models", token).await.text.contains(MODEL));
        let refused = tunnel.get("/v1/models", None).await;
        assert!(refused.text.contains("\"code\":\"invalid_lease\""), "{}", refused.text);
        for path in ["/metrics", "/status", "/openapi.json", "/docs", "/nothing"] {
            assert_eq!(tunnel.get(path, token).await.status, 404, "{path}");
        }
        assert_eq!(plain(running.addr, "/v1/models", token).await, (401, "invalid_api_key".into()));
    }
    assert_eq!(running.counters.jobs_started(), 0);
    assert_eq!(plain(running.addr, "/v1/models", None).await.0, 401);
    for path in ["/healthz", "/readyz", "/metrics", "/status"] {
        assert_eq!(plain(running.addr, path, None).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn there_is_one_control_exchange() {
    let mut gateway = Gateway::start(1).await;
    let _running = member(&[gateway.pinned()], json!({}), |_, _| {}).await;
    let tunnel = gateway.tunnel().await;
    let _control = tunnel.control().await;
    let token = Some(tunnel.token.as_str());
    let second = tunnel.send(Method::POST, "/node/v1/control", token, Body::empty()).await;
    assert_eq!(second.status(), 409);
}

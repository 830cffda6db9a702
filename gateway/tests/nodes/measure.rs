//! What the gateway finds out about nodes, and what operators see of it and do about it.

use gateway::config::Market;
use gateway::http::Edge;
use gateway::http::admin::Token;
use gateway::market::{Admission, Membership, Presented};
use gateway::metrics::Measurement;
use gateway::upstream::{Endpoint, Tunnel};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use openapi::node::Challenge;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::harness::{Gateway, WEIGHTS, ask, gateway, gateway_with, stream, until};
use crate::node::Identity;

const BINARY: &str = env!("CARGO_BIN_EXE_quorate-gateway");

/// A gateway's admin API.
pub(crate) struct Admin {
    edge: Edge,
    token: String,
}

impl Admin {
    pub(crate) fn new(gateway: &Gateway) -> Self {
        let app = &gateway.running.app;
        let token = Token::load_or_create(&app.settings.server.data_dir).expect("a token");
        let text = String::from_utf8(token.as_bytes().to_vec()).expect("text");
        Self { edge: Edge::admin(app, &token), token: text }
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(axum::body::Body::from(body))
            .expect("a request");
        let (parts, body) = self.edge.answer(request).await.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        (parts.status, serde_json::from_slice(&bytes).expect("JSON"))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(Method::POST, path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn refused(&self, method: Method, path: &str, body: Value) -> (u16, String) {
        let (status, answer) = self.ask(method, path, body).await;
        let error = &answer["error"];
        let word = error["param"].as_str().or(error["code"].as_str()).unwrap_or_default();
        (status.as_u16(), word.to_owned())
    }
}

async fn endpoints(gateway: &Gateway, model: &str) -> Value {
    let request = Request::get(format!("/v1/models/{model}/endpoints"))
        .body(axum::body::Body::empty())
        .expect("a request");
    let answer = Edge::client(&gateway.running.app).answer(request).await;
    let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
    serde_json::from_slice(&bytes).expect("JSON")
}

fn measuring(market: &mut Market) {
    market.measure = true;
}

#[tokio::test]
async fn a_node_is_measured_when_it_joins_and_everybody_is_shown() {
    let gateway = gateway_with("", measuring).await;
    let url = [format!("https://{}", gateway.node_addr())];
    let itl_ms = 5;
    let provider = provider::testing::member(&url, |_, options| {
        options.weights_id = Some(WEIGHTS.to_owned());
        options.models = vec![crate::harness::MODEL.to_owned()];
        options.script =
            provider::testing::parse(json!({"tokens": 40, "itl_ms": itl_ms})).expect("a script");
    });
    let provider = provider.await.expect("serves");
    let metrics = gateway.metrics();
    until(|| metrics.measurements.get(Measurement::Ok).get() == 1).await;
    let shown = endpoints(&gateway, crate::harness::MODEL).await;
    let endpoint = &shown["data"][0];
    let measured = &endpoint["measured"];
    // A token takes the script's time at least, however busy this machine is.
    let decode = measured["decode_tps"].as_f64().expect("a speed");
    assert!(decode > 0.0 && decode <= 1000.0 / f64::from(itl_ms), "{shown}");
    assert!(measured["ttft_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{shown}");
    assert_eq!(endpoint["verified"], true, "{shown}");
    assert_eq!(endpoint["weights_id"], WEIGHTS);
    assert_eq!(endpoint["standing"], "probation");
    assert_eq!(endpoint["region_status"], Value::Null);
    assert!(endpoint["hardware"]["backend"].is_string(), "{shown}");
    assert!(endpoint["lease_expires_at_ms"].as_i64() > Some(0), "{shown}");
    assert_eq!(measured["cancels"], true, "{shown}");
    // Five requests, none of them a client's.
    assert_eq!(provider.counters.jobs_started(), 5);
    let scraped = metrics.encode();
    for line in [
        "gen_ai_server_request_duration_count 0",
        "quorate_attempts_total{outcome=\"ok\"} 0",
        "quorate_tokens_total{kind=\"completion\"} 0",
        "quorate_measurements_total{outcome=\"ok\"} 1",
    ] {
        assert!(scraped.contains(line), "{line} in {scraped}");
    }
    let admin = Admin::new(&gateway);
    let nodes = admin.get("/admin/v1/nodes").await;
    let node = &nodes["data"][0];
    assert_eq!(
        (nodes["has_more"].as_bool(), nodes["data"].as_array().unwrap().len()),
        (Some(false), 1)
    );
    assert_eq!((&node["requests"], &node["tokens"]), (&json!(0), &json!(0)), "{node}");
    assert_eq!(node["models"][0]["measured"], *measured);
    assert_eq!(node["link"], "tunnel");
    let detail = admin.get(&format!("/admin/v1/nodes/{}", node["id"].as_str().unwrap())).await;
    let kinds: Vec<&str> = detail["evidence"]
        .as_array()
        .expect("records")
        .iter()
        .map(|record| record["kind"].as_str().expect("a kind"))
        .collect();
    assert_eq!(kinds, ["join", "offer", "speed"], "{detail}");
    assert_eq!(detail["evidence"][1]["signature"].as_str().map(str::len), Some(128), "{detail}");
    assert!(!detail.to_string().contains("Repeat"), "no prompt is kept");
    let by_name =
        admin.get(&format!("/admin/v1/nodes/{}", node["provider"].as_str().unwrap())).await;
    assert_eq!(by_name["id"], node["id"]);
}

#[tokio::test]
async fn a_node_that_fails_its_measurement_stays_on_probation_with_the_reason() {
    let gateway = gateway_with("", measuring).await;
    let url = [format!("https://{}", gateway.node_addr())];
    let provider = provider::testing::member(&url, |_, options| {
        options.weights_id = Some(WEIGHTS.to_owned());
        options.script = provider::testing::parse(json!({"status": 500})).expect("a script");
    });
    let _provider = provider.await.expect("serves");
    until(|| gateway.metrics().measurements.get(Measurement::Failed).get() == 1).await;
    let admin = Admin::new(&gateway);
    let node = &admin.get("/admin/v1/nodes").await["data"][0];
    assert_eq!(node["standing"], "probation", "{node}");
    assert_eq!(node["models"][0]["measured"], Value::Null);
    let detail = admin.get(&format!("/admin/v1/nodes/{}", node["id"].as_str().unwrap())).await;
    let last = detail["evidence"].as_array().expect("records").last().expect("one");
    assert_eq!((&last["kind"], &last["verdict"]), (&json!("speed"), &json!("failed")), "{detail}");
    assert!(last["note"].as_str().is_some_and(|note| note.contains("500")), "{detail}");
}

#[tokio::test]
async fn operators_send_nodes_away_and_let_them_come_back() {
    let gateway = gateway().await;
    let admin = Admin::new(&gateway);
    let identity = Identity::new(1);
    let mut node = identity.join(&gateway).await;
    gateway.until_offers(1).await;
    let id = identity.key.public().to_string();
    let path = |what: &str| format!("/admin/v1/nodes/{id}/{what}");
    for (body, param) in [
        (json!({}), "reason"),
        (json!({"reason": ""}), "reason"),
        (json!({"reason": "a\nb"}), "reason"),
        (json!({"reason": "x".repeat(257)}), "reason"),
    ] {
        assert_eq!(admin.refused(Method::POST, &path("eject"), body).await, (400, param.into()));
    }
    let changed = admin.post(&path("eject"), json!({"reason": "it lies"})).await;
    assert_eq!((&changed["standing"], &changed["id"]), (&json!("ejected"), &json!(id)));
    let (reason, retry) = node.bye().await;
    assert!(reason.contains("it lies") && !retry, "{reason}");
    gateway.until_quiet().await;
    let list = admin.get("/admin/v1/nodes").await;
    assert_eq!(list["ejected"], json!([{"id": id, "reason": "it lies"}]), "{list}");
    assert_eq!(list["data"], json!([]));
    let detail = admin.get(&format!("/admin/v1/nodes/{id}")).await;
    assert_eq!((&detail["standing"], &detail["node"]), (&json!("ejected"), &Value::Null));
    assert!(detail["evidence"].to_string().contains("it lies"), "{detail}");
    // Not even with a new connection.
    let mut dialed = crate::node::Dialed::new(&gateway).await;
    let challenge = dialed.challenge().await;
    let hello = identity.sign(&identity.hello(&challenge, dialed.exporter));
    let (status, body) = dialed.hello(&hello).await;
    assert_eq!((status.as_u16(), crate::node::code(&body)), (403, "ejected"), "{body}");
    let changed = admin.post(&path("readmit"), Value::Null).await;
    assert_eq!(changed["standing"], "gone");
    assert_eq!(
        admin.refused(Method::POST, &path("readmit"), Value::Null).await,
        (400, "id".into())
    );
    let node = identity.join(&gateway).await;
    gateway.until_offers(1).await;
    assert_eq!(admin.post(&path("drain"), Value::Null).await["standing"], "draining");
    let (status, _, text) = ask(gateway.addr(), stream("hello")).await;
    assert_eq!(status, 503, "{text}");
    assert_eq!(node.work.begun.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_is_asked_for_must_be_there_and_well_formed() {
    let gateway = gateway().await;
    let admin = Admin::new(&gateway);
    let unknown = "0".repeat(64);
    for (method, path, expected) in [
        (Method::GET, "/admin/v1/nodes?limit=0".to_owned(), (400, "limit")),
        (Method::GET, "/admin/v1/nodes?limit=1001".to_owned(), (400, "limit")),
        (Method::GET, "/admin/v1/nodes?after=x".to_owned(), (400, "after")),
        (Method::GET, "/admin/v1/nodes?x=1".to_owned(), (400, "")),
        (Method::GET, format!("/admin/v1/nodes/{unknown}"), (404, "node_not_found")),
        (Method::GET, "/admin/v1/nodes/nobody".to_owned(), (404, "node_not_found")),
        (Method::POST, format!("/admin/v1/nodes/{unknown}/drain"), (404, "node_not_found")),
        (Method::POST, format!("/admin/v1/nodes/{unknown}/readmit"), (400, "id")),
    ] {
        let (status, word) = admin.refused(method, &path, Value::Null).await;
        assert_eq!((status, word.as_str()), expected, "{path}");
    }
    let request = Request::get("/admin/v1/nodes").body(axum::body::Body::empty()).unwrap();
    assert_eq!(admin.edge.answer(request).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn nodes_are_listed_page_by_page_in_the_order_of_their_keys() {
    let gateway = gateway().await;
    let admin = Admin::new(&gateway);
    let mut nodes = Vec::new();
    for byte in 1..=3 {
        nodes.push(Identity::new(byte).join(&gateway).await);
    }
    gateway.until_offers(3).await;
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = admin.get(&format!("/admin/v1/nodes?limit=2{after}")).await;
        let ids = page["data"].as_array().expect("a list").iter();
        seen.extend(ids.map(|node| node["id"].as_str().expect("a key").to_owned()));
        after = format!("&after={}", seen.last().expect("one"));
        if page["has_more"] == false {
            break;
        }
    }
    assert!(seen.len() == 3 && seen.is_sorted(), "{seen:?}");
}

/// A member without a connection of its own, whose ways are what the test says.
async fn member(gateway: &Gateway, identity: &Identity, region: &str) -> Membership {
    let app = &gateway.running.app;
    let now_ms = app.market.time().now().unix_ms;
    let challenge = Challenge {
        protocol_min: 1,
        protocol_max: 1,
        gateway: gateway.key(),
        nonce: hex::encode([7; 32]),
        time_ms: now_ms,
    };
    let mut hello = identity.hello(&challenge, [9; 32]);
    hello.region = Some(region.to_owned());
    let presented = Presented {
        hello: &identity.sign(&hello),
        join_token: None,
        exporter: [9; 32],
        nonce: &challenge.nonce,
        remote: ([127, 0, 0, 1], 1).into(),
    };
    let admission: Admission = app.market.admit(&presented).expect("admitted");
    let (ours, _theirs) = tokio::io::duplex(64);
    let held = gateway::metrics::Held::new(&app.metrics.node_connections);
    let tunnel = Tunnel::open(TokioIo::new(ours), held, &app.shutdown).await.expect("a tunnel");
    let (name, token) = (admission.provider.clone(), admission.token.expose().to_owned());
    let endpoint = Endpoint::tunnel(&name, "op", tunnel, &token).expect("an endpoint");
    app.market.attach(admission, Arc::new(endpoint))
}

#[tokio::test]
async fn a_region_that_cannot_be_true_ends_the_lease_and_is_not_taken_again() {
    let gateway = gateway_with("", |market| market.region = Some("eu-west".to_owned())).await;
    let admin = Admin::new(&gateway);
    let (honest, liar) = (Identity::new(1), Identity::new(2));
    let near = member(&gateway, &honest, "eu-west").await;
    let far = member(&gateway, &liar, "ap-northeast").await;
    for membership in [&near, &far] {
        for _ in 0..4 {
            membership.way(Duration::from_millis(3));
        }
    }
    let bye = far.ended().await;
    assert!(bye.reason.contains("region_refuted") && !bye.retry, "{bye:?}");
    drop(far);
    let id = liar.key.public().to_string();
    let detail = admin.get(&format!("/admin/v1/nodes/{id}")).await;
    assert_eq!(detail["refuted_region"], "ap-northeast", "{detail}");
    let refuted = detail["evidence"].as_array().expect("records").iter();
    let refuted = refuted.filter(|record| record["verdict"] == "refuted").count();
    assert_eq!(refuted, 1, "{detail}");
    let near_id = honest.key.public().to_string();
    let detail = admin.get(&format!("/admin/v1/nodes/{near_id}")).await;
    assert_eq!(detail["node"]["region_status"], "unconfirmed", "{detail}");
    // The same claim is refused at the door from now on, until an operator forgives it.
    let mut dialed = crate::node::Dialed::new(&gateway).await;
    let challenge = dialed.challenge().await;
    let mut hello = liar.hello(&challenge, dialed.exporter);
    hello.region = Some("ap-northeast".to_owned());
    let (status, body) = dialed.hello(&liar.sign(&hello)).await;
    assert_eq!((status.as_u16(), crate::node::code(&body)), (403, "region_refuted"), "{body}");
    admin.post(&format!("/admin/v1/nodes/{id}/readmit"), Value::Null).await;
    let _back = member(&gateway, &liar, "ap-northeast").await;
}

#[tokio::test]
async fn the_command_line_asks_the_running_gateway() {
    let gateway = gateway().await;
    let identity = Identity::new(1);
    let mut node = identity.join(&gateway).await;
    gateway.until_offers(1).await;
    let data = gateway.running.app.settings.server.data_dir.clone();
    let run = async |args: &[&str]| {
        let mut command = Command::new(BINARY);
        command.arg("nodes").args(args).arg("--data").arg(&data).env_remove("QUORATE_CONFIG");
        let output = tokio::task::spawn_blocking(move || command.output().expect("runs"));
        let output = output.await.expect("ends");
        let told = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
        (output.status.success(), told)
    };
    let name = identity.key.public().short();
    let (ok, told) = run(&["list"]).await;
    assert!(ok && told.contains(&name) && told.contains("probation"), "{told}");
    let (ok, told) = run(&["show", "nobody"]).await;
    assert!(!ok && told.contains("Nothing is known of a node"), "{told}");
    let (ok, told) = run(&["eject", &name, "--reason", "it lies"]).await;
    assert!(ok && told.contains(&name), "{told}");
    assert!(node.bye().await.0.contains("it lies"));
    let (ok, told) = run(&["list"]).await;
    assert!(ok && told.contains("sent away") && told.contains("it lies"), "{told}");
}

#[test]
fn a_gateway_whose_own_place_is_not_known_is_warned_of() {
    let warnings = |market: &str| {
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\
             data_dir = \"/nowhere\"\n[auth]\nmode = \"open\"\n[market]\n{market}\n"
        );
        let settings = gateway::config::parse(&text, &|_| None).expect("valid settings");
        let about = |warning: &String| warning.starts_with("market.region");
        settings.warnings().iter().filter(|warning| about(warning)).count()
    };
    assert_eq!(warnings("region = \"atlantis\""), 1);
    assert_eq!(warnings("region = \"eu-west\""), 0);
    let place = "[[market.place]]\nname = \"atlantis\"\nlatitude = 31.2\nlongitude = -24.2";
    assert_eq!(warnings(&format!("region = \"atlantis\"\n{place}")), 0);
}

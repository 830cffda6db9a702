//! Who may answer: the model's name with its suffixes and pins, `models`, the `provider` and
//! `verification` objects, by body and by header.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::harness::{MODEL, chat, content, events, json_of, stream};

/// Three providers of [`MODEL`] and one of another model, told apart by what they say.
struct Bazaar {
    gateway: gateway::Running,
    _providers: Vec<provider::app::Running>,
    _data: tempfile::TempDir,
}

const OTHER: &str = "acme/other";

async fn bazaar(scripts: [Value; 4]) -> Bazaar {
    bazaar_for("[auth]\nmode = \"open\"\n", scripts).await
}

async fn bazaar_for(auth: &str, scripts: [Value; 4]) -> Bazaar {
    let data = tempfile::tempdir().expect("a folder");
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\ndata_dir = {:?}\n{auth}",
        data.path()
    );
    let traits = [
        ("eu", "acme", "eu-west", "bf16", 0.9, MODEL),
        ("us", "acme", "us-east", "q4", 0.1, MODEL),
        ("far", "bolt", "ap-south", "q8", 0.5, MODEL),
        ("other", "bolt", "eu-west", "bf16", 0.5, OTHER),
    ];
    let mut providers = Vec::new();
    for (script, (id, operator, region, quantization, price, model)) in scripts.iter().zip(traits) {
        let running = provider::testing::scripted(model, script.clone()).await.expect("serves");
        text += &format!(
            "[[upstream]]\nid = {id:?}\noperator = {operator:?}\nregion = {region:?}\n\
             allow_private = true\nbase_url = \"http://{}/v1\"\n\
             models = [{{ id = {model:?}, quantization = {quantization:?}, price_in = {price}, price_out = {price} }}]\n",
            running.addr
        );
        providers.push(running);
    }
    let settings = gateway::config::parse(&text, &|_| None).expect("valid settings");
    let gateway = gateway::serve(settings).await.expect("serves");
    Bazaar { gateway, _providers: providers, _data: data }
}

fn healthy() -> [Value; 4] {
    ["eu", "us", "far", "other"].map(|text| json!({ "text": text }))
}

impl Bazaar {
    async fn ask(&self, body: &Value, more: &[(&str, &str)]) -> (StatusCode, HeaderMap, Value) {
        let (status, headers, bytes) = self.send(body, more).await;
        (status, headers, json_of(&bytes))
    }

    async fn send(&self, body: &Value, more: &[(&str, &str)]) -> (StatusCode, HeaderMap, Bytes) {
        let stream = TcpStream::connect(self.gateway.addr).await.expect("connects");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("h1");
        tokio::task::spawn(connection);
        let mut request = Request::post("/v1/chat/completions")
            .header("host", self.gateway.addr.to_string())
            .header("content-type", "application/json");
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_string()))).expect("a request");
        let (parts, body) = sender.send_request(request).await.expect("an answer").into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        (parts.status, parts.headers, bytes)
    }

    /// The same, as bytes.
    async fn read(&self, body: &Value, more: &[(&str, &str)]) -> (StatusCode, Bytes) {
        let (status, _, bytes) = self.send(body, more).await;
        (status, bytes)
    }

    /// The providers that answered `rounds` times the same request.
    async fn answered(&self, more: Value, headers: &[(&str, &str)]) -> Vec<String> {
        let mut seen = Vec::new();
        for _ in 0..12 {
            let (status, _, answer) = self.ask(&chat(more.clone()), headers).await;
            assert_eq!(status, 200, "{more} {headers:?}: {answer}");
            let text = answer["choices"][0]["message"]["content"].as_str().expect("text");
            if !seen.iter().any(|known| known == text) {
                seen.push(text.to_owned());
            }
        }
        seen.sort();
        seen
    }
}

#[tokio::test]
async fn a_policy_narrows_who_answers() {
    let bazaar = bazaar(healthy()).await;
    for (policy, answered) in [
        (json!({"only": ["eu"]}), vec!["eu"]),
        (json!({"only": ["acme"], "ignore": ["eu"]}), vec!["us"]),
        (json!({"order": ["far", "eu"]}), vec!["far"]),
        (json!({"order": ["us"], "allow_fallbacks": false}), vec!["us"]),
        (json!({"regions": ["eu-west"]}), vec!["eu"]),
        (json!({"quantizations": ["q8"]}), vec!["far"]),
        (json!({"max_price": {"prompt": 0.2}}), vec!["us"]),
        (json!({"sort": "price"}), vec!["us"]),
        (json!({"sort": "price", "ignore": ["us"]}), vec!["far"]),
    ] {
        let seen = bazaar.answered(json!({ "provider": policy.clone() }), &[]).await;
        assert_eq!(seen, answered, "{policy}");
    }
}

#[tokio::test]
async fn a_key_reaches_no_further_than_its_scope() {
    const KEY: [(&str, &str); 1] = [("authorization", "Bearer qk_0123456789abcdef")];
    let key =
        |scope: &str| format!("[[key]]\nname = \"k\"\nkey = \"qk_0123456789abcdef\"\n{scope}\n");
    let near = bazaar_for(&key("regions = [\"us-east\", \"ap-south\"]"), healthy()).await;
    let by = near.answered(json!({}), &KEY).await;
    assert!(by.iter().all(|provider| provider != "eu"), "{by:?}");
    let others = json!({"provider": {"order": ["eu", "far"]}});
    assert_eq!(near.answered(others, &KEY).await, ["far"], "eu is out of reach");
    // What the request asks for does not widen it.
    let body = chat(json!({"provider": {"only": ["eu"]}}));
    let (status, _, answer) = near.ask(&body, &KEY).await;
    assert_eq!(
        (status.as_u16(), &answer["error"]["code"]),
        (503, &json!("no_provider")),
        "{answer}"
    );
    let (status, _, answer) = near.ask(&chat(json!({"model": OTHER})), &KEY).await;
    let code = &answer["error"]["code"];
    assert_eq!((status.as_u16(), code), (403, &json!("region_not_allowed")), "{answer}");

    let one =
        bazaar_for(&key("providers = [\"bolt\"]\nmodels = [\"acme/test*\"]"), healthy()).await;
    assert_eq!(one.answered(json!({}), &KEY).await, ["far"]);
    for name in [OTHER.to_owned(), format!("{OTHER}:floor"), format!("{OTHER}@other")] {
        let (status, _, answer) = one.ask(&chat(json!({ "model": name })), &KEY).await;
        let code = &answer["error"]["code"];
        assert_eq!((status.as_u16(), code), (403, &json!("model_not_allowed")), "{name}: {answer}");
    }
    let fall_back = chat(json!({"models": [OTHER]}));
    assert_eq!(one.ask(&fall_back, &KEY).await.0, 403);
}

#[tokio::test]
async fn headers_say_the_same_and_the_body_goes_before_them() {
    let bazaar = bazaar(healthy()).await;
    let by = |value| [("x-quorate-provider", value)];
    assert_eq!(bazaar.answered(json!({}), &by("only=us")).await, ["us"]);
    assert_eq!(bazaar.answered(json!({}), &by(r#"{"only": ["far"]}"#)).await, ["far"]);
    let body = json!({"provider": {"only": ["eu"]}});
    assert_eq!(bazaar.answered(body, &by("only=us")).await, ["eu"]);
}

#[tokio::test]
async fn the_models_name_carries_a_suffix_or_a_provider() {
    let bazaar = bazaar(healthy()).await;
    for (name, answered) in [
        (format!("{MODEL}:floor"), "us"),
        (format!("{MODEL}@far"), "far"),
        (format!("{MODEL}@eu:floor"), "eu"),
        (format!("{MODEL}:nitro@eu"), "eu"),
    ] {
        let (status, headers, answer) = bazaar.ask(&chat(json!({ "model": name })), &[]).await;
        assert_eq!(status, 200, "{name}: {answer}");
        assert_eq!(headers["x-quorate-provider"], answered, "{name}");
        assert_eq!(answer["model"], MODEL, "the answer names the model that answered");
    }
    let wrong = chat(json!({"model": format!("{MODEL}@nobody")}));
    let (status, _, answer) = bazaar.ask(&wrong, &[]).await;
    assert_eq!((status.as_u16(), &answer["error"]["code"]), (503, &json!("no_provider")));
    let message = answer["error"]["message"].as_str().expect("text");
    assert!(message.contains("the provider in the model's name"), "{message}");
}

#[tokio::test]
async fn a_policy_nobody_fulfils_is_refused_and_named() {
    let bazaar = bazaar(healthy()).await;
    for (policy, named) in [
        (json!({"only": ["nobody"]}), "provider.only"),
        (json!({"regions": ["mars"]}), "provider.regions"),
        (json!({"max_price": {"completion": 0.01}}), "provider.max_price.completion"),
        (json!({"attested": true}), "provider.attested"),
        (json!({"zdr": true}), "provider.zdr"),
    ] {
        let body = stream(json!({ "provider": policy.clone() }));
        let (status, headers, answer) = bazaar.ask(&body, &[]).await;
        assert_eq!(status, 503, "{policy}: {answer}");
        assert_eq!(answer["error"]["code"], "no_provider", "{policy}");
        assert_eq!(headers["x-should-retry"], "false", "{policy}");
        let message = answer["error"]["message"].as_str().expect("text");
        assert!(message.contains(named), "{policy}: {message}");
    }
}

#[tokio::test]
async fn who_declares_nothing_is_not_taken_to_act_on_everything() {
    let bazaar = bazaar(healthy()).await;
    for (more, named) in [
        (json!({}), "an upstream of the configuration declares nothing"),
        (json!({"reasoning_effort": "low", "top_p": 1}), "\"reasoning_effort\""),
        (json!({"modalities": null, "what is this": 1}), "\"a member\""),
    ] {
        let mut body = chat(more);
        body["provider"] = json!({"require_parameters": true});
        let (status, _, answer) = bazaar.ask(&body, &[]).await;
        assert_eq!(status, 503, "{body}: {answer}");
        let message = answer["error"]["message"].as_str().expect("text");
        assert!(message.contains("provider.require_parameters"), "{message}");
        assert!(message.contains(named), "{message}");
        body["provider"] = json!({"require_parameters": false});
        assert_eq!(bazaar.ask(&body, &[]).await.0, 200);
    }
}

#[tokio::test]
async fn a_quorum_is_not_silently_less() {
    let bazaar = bazaar(healthy()).await;
    let body = chat(json!({"verification": {"mode": "quorum", "k": 2, "n": 3}}));
    let (status, _, answer) = bazaar.ask(&body, &[]).await;
    assert_eq!((status.as_u16(), &answer["error"]["code"]), (503, &json!("no_provider")));
    let header = [("x-quorate-verify", "verify; k=2")];
    assert_eq!(bazaar.ask(&chat(json!({})), &header).await.0, 503);
    for mode in ["off", "audit"] {
        let body = chat(json!({"verification": {"mode": mode}}));
        assert_eq!(bazaar.ask(&body, &[]).await.0, 200, "{mode}");
    }
}

#[tokio::test]
async fn wrong_members_and_headers_are_named() {
    let bazaar = bazaar(healthy()).await;
    for (body, headers, param) in [
        (json!({"provider": {"only": "eu"}}), vec![], "provider.only"),
        (json!({"provider": []}), vec![], "provider"),
        (json!({"provider": {"colour": 1}}), vec![], "provider.colour"),
        (json!({"verification": {"k": 0}}), vec![], "verification.k"),
        (json!({"models": [7]}), vec![], "models"),
        (json!({}), vec![("x-quorate-provider", "only")], "x-quorate-provider"),
        (json!({}), vec![("x-quorate-provider", "only=")], "x-quorate-provider.only"),
        (
            json!({}),
            vec![("x-quorate-provider", "regions=,;sort=price")],
            "x-quorate-provider.regions",
        ),
        (json!({}), vec![("x-quorate-verify", "both")], "x-quorate-verify.mode"),
        (json!({}), vec![("x-quorate-timeout-ms", "soon")], "x-quorate-timeout-ms"),
        (json!({}), vec![("x-quorate-timeout-ms", "0")], "x-quorate-timeout-ms"),
        (json!({}), vec![("x-quorate-priority", "urgent")], "x-quorate-priority"),
    ] {
        let (status, _, answer) = bazaar.ask(&chat(body.clone()), &headers).await;
        assert_eq!(status, 400, "{body} {headers:?}: {answer}");
        assert_eq!(answer["error"]["param"], param, "{body} {headers:?}");
    }
}

#[tokio::test]
async fn the_next_model_answers_when_the_first_cannot() {
    let scripts = [
        json!({"status": 500}),
        json!({"status": 400, "body": "{\"error\":{\"message\":\"too long\",\"type\":\"invalid_request_error\",\"param\":\"messages\",\"code\":\"context_length_exceeded\"}}"}),
        json!({"status": 500}),
        json!({"text": "other"}),
    ];
    let bazaar = bazaar(scripts).await;
    for wanted in [
        json!({"models": [OTHER]}),
        // A refusal of the request is one model's word too.
        json!({"models": [OTHER], "provider": {"order": ["us", "other"]}}),
        json!({"model": format!("{MODEL}@us"), "models": [OTHER]}),
        json!({"model": format!("{MODEL}@nobody"), "models": [OTHER]}),
        json!({"models": [format!("{MODEL}@eu"), OTHER], "stream": false}),
    ] {
        let (status, headers, answer) = bazaar.ask(&chat(wanted.clone()), &[]).await;
        assert_eq!(status, 200, "{wanted}: {answer}");
        assert_eq!(answer["model"], OTHER, "{wanted}");
        assert_eq!(headers["x-quorate-provider"], "other", "{wanted}");
    }
    let alone = chat(json!({"model": format!("{MODEL}@us")}));
    let (status, _, answer) = bazaar.ask(&alone, &[]).await;
    assert_eq!(
        (status.as_u16(), &answer["error"]["code"]),
        (400, &json!("context_length_exceeded"))
    );
    let (status, _, answer) = bazaar.ask(&chat(json!({"models": ["nope"]})), &[]).await;
    assert_eq!((status.as_u16(), &answer["error"]["param"]), (404, &json!("models")));
}

#[tokio::test]
async fn models_alone_will_do() {
    let bazaar = bazaar(healthy()).await;
    let mut body = chat(json!({"models": [OTHER, MODEL]}));
    body.as_object_mut().expect("members").remove("model");
    let (status, _, answer) = bazaar.ask(&body, &[]).await;
    assert_eq!((status.as_u16(), &answer["model"]), (200, &json!(OTHER)), "{answer}");
}

#[tokio::test]
async fn the_clients_patience_ends_a_request() {
    let mut scripts = healthy();
    scripts[0] = json!({"text": "late", "head_ms": 60_000});
    let bazaar = bazaar(scripts).await;
    let body = chat(json!({"provider": {"only": ["eu"]}}));
    let (status, _, answer) = bazaar.ask(&body, &[("x-quorate-timeout-ms", "50")]).await;
    assert_eq!((status.as_u16(), &answer["error"]["code"]), (504, &json!("timeout")), "{answer}");
}

/// With the explanation that was asked for: by whole answers, by streams and by errors.
async fn explained(bazaar: &Bazaar, body: Value) -> Value {
    let (_, _, answer) = bazaar.ask(&chat(body), &[("x-quorate-explain", "1")]).await;
    answer["quorate"]["explain"].clone()
}

fn providers(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list");
    list.iter().map(|one| one["provider"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn who_asks_is_told_how_the_provider_was_chosen() {
    let mut scripts = healthy();
    scripts[1] = json!({"status": 500});
    let bazaar = bazaar(scripts).await;
    let told = explained(&bazaar, json!({"provider": {"order": ["us", "far"]}})).await;
    assert_eq!(providers(&told["candidates"]), ["us", "far"], "{told}");
    assert_eq!(providers(&told["attempts"]), ["us", "far"], "{told}");
    let attempts = &told["attempts"];
    assert_eq!((&attempts[0]["why"], &attempts[1]["why"]), (&json!("first"), &json!("retry")));
    assert_eq!(attempts[0]["outcome"], "status", "{told}");
    assert_eq!(attempts[1]["outcome"], "won", "{told}");
    let cost = &told["candidates"][1]["cost_usd"];
    let parts = ["money", "first_token", "decode", "failure", "dishonesty"];
    let sum: f64 = parts.iter().map(|part| cost[part].as_f64().expect("a number")).sum();
    assert!((sum - cost["total"].as_f64().expect("a number")).abs() < 1e-12, "{cost}");
    assert!(cost["money"].as_f64() > Some(0.0), "{cost}");
    // An answer that nobody asked to be explained is as ever.
    let (_, _, plain) = bazaar.ask(&chat(json!({})), &[]).await;
    assert_eq!(plain.get("quorate"), None);
    let told = explained(&bazaar, json!({"provider": {"only": ["us"]}})).await;
    assert_eq!(told["attempts"][0]["outcome"], "status", "errors say it too: {told}");
}

#[tokio::test]
async fn a_stream_explains_itself_in_a_chunk_of_its_own() {
    let bazaar = bazaar(healthy()).await;
    let body = stream(json!({"provider": {"only": ["far"]}}));
    let (status, bytes) = bazaar.read(&body, &[("x-quorate-explain", "1")]).await;
    assert_eq!(status, 200);
    let events = events(&bytes);
    let [.., explanation, last] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(last, "[DONE]");
    let chunk: Value = serde_json::from_str(explanation).expect("JSON");
    let first: Value = serde_json::from_str(&events[0]).expect("JSON");
    assert_eq!((&chunk["choices"], &chunk["id"]), (&json!([]), &first["id"]), "{chunk}");
    assert_eq!(chunk["object"], "chat.completion.chunk");
    assert_eq!(chunk["quorate"]["explain"]["attempts"][0]["provider"], "far", "{chunk}");
    assert_eq!(content(&events), "far");
    let (_, plain) = bazaar.read(&body, &[]).await;
    assert!(!String::from_utf8_lossy(&plain).contains("quorate"), "only who asks is told");
}

#[tokio::test]
async fn what_time_is_worth_decides_between_price_and_speed() {
    let mut scripts = healthy();
    // The dear one is quick, the cheap one takes its time.
    scripts[1] = json!({"text": "us", "ttft_ms": 300});
    let bazaar = bazaar(scripts).await;
    let messages = json!([{"role": "user", "content": "word ".repeat(80)}]);
    for provider in ["eu", "us"] {
        for _ in 0..12 {
            let policy = json!({"only": [provider]});
            bazaar.ask(&chat(json!({"messages": messages, "provider": policy})), &[]).await;
        }
    }
    for (policy, answered) in [
        (json!({"sort": "price"}), "us"),
        (json!({"value_of_time": 0.0}), "us"),
        (json!({"sort": "latency"}), "eu"),
        (json!({"value_of_time": 1.0}), "eu"),
        (json!({"preferred_max_latency": 0.2, "sort": "price"}), "eu"),
        // Nobody keeps it: all the same, someone answers.
        (json!({"preferred_min_throughput": 1e9, "sort": "price"}), "us"),
    ] {
        let mut policy = policy;
        policy["ignore"] = json!(["far"]);
        let body = json!({"messages": messages, "provider": policy.clone()});
        assert_eq!(bazaar.answered(body, &[]).await, [answered], "{policy}");
    }
}

#[tokio::test]
async fn the_price_of_the_whole_request_is_bounded() {
    let bazaar = bazaar(healthy()).await;
    // A million tokens cost 0.1 at the cheapest, 0.5 at the next.
    for (max, answered) in [(0.2, Some("us")), (0.05, None)] {
        let policy = json!({"max_price": {"request": max}, "sort": "latency"});
        let body = chat(json!({"max_tokens": 1_000_000, "provider": policy}));
        let (status, headers, answer) = bazaar.ask(&body, &[]).await;
        match answered {
            Some(provider) => assert_eq!(headers["x-quorate-provider"], provider, "{answer}"),
            None => {
                assert_eq!(
                    (status.as_u16(), &answer["error"]["code"]),
                    (503, &json!("no_provider"))
                );
                assert!(answer.to_string().contains("provider.max_price.request"), "{answer}");
            }
        }
    }
}

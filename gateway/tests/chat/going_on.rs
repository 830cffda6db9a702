//! A stream that breaks is gone on with by a server that takes the text so far, where the configuration
//! says that it does; each upstream here is written by hand, and what it was asked is looked at.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::harness::{MODEL, ask, content, events, send, stream, until, upstream};

/// How an upstream behaves.
#[derive(Clone)]
enum Does {
    /// Sends the stream and closes.
    Ends(String),
    /// Sends the stream, and when the client has some of it the rest, and closes.
    Breaks(String, String),
    /// Sends the stream and nothing more.
    Stalls(String),
    /// Answers with this status.
    Refuses(u16),
    /// Reads the request and nothing more.
    Hangs,
}

struct Server {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<Value>>>,
    /// Requests whose connection the gateway has closed.
    left: Arc<AtomicUsize>,
    /// The client has some of it.
    shown: Arc<Notify>,
}

impl Server {
    async fn new(does: Does) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let left = Arc::new(AtomicUsize::new(0));
        let shown = Arc::new(Notify::new());
        let (bodies, gone, go) = (asked.clone(), left.clone(), shown.clone());
        let addr = upstream(move |mut socket, _| {
            let (does, bodies, gone) = (does.clone(), bodies.clone(), gone.clone());
            let go = go.clone();
            async move {
                let body = request(&mut socket).await?;
                bodies.lock().expect("no panic").push(body);
                answer(&mut socket, &does).await?;
                if let Does::Breaks(_, rest) = &does {
                    go.notified().await;
                    socket.write_all(rest.as_bytes()).await.ok()?;
                }
                if matches!(does, Does::Stalls(_) | Does::Hangs) {
                    while socket.read(&mut [0; 64]).await.is_ok_and(|n| n > 0) {}
                    gone.fetch_add(1, SeqCst);
                }
                Some(())
            }
        });
        Self { addr: addr.await, asked, left, shown }
    }

    fn asked(&self) -> Vec<Value> {
        self.asked.lock().expect("no panic").clone()
    }
}

async fn answer(socket: &mut TcpStream, does: &Does) -> Option<()> {
    let text = match does {
        Does::Ends(stream) | Does::Stalls(stream) | Does::Breaks(stream, _) => format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{stream}"
        ),
        Does::Refuses(status) => {
            let body = r#"{"error":{"message":"no prefill","type":"invalid_request_error"}}"#;
            let length = body.len();
            format!("HTTP/1.1 {status} No\r\ncontent-length: {length}\r\n\r\n{body}")
        }
        Does::Hangs => return Some(()),
    };
    socket.write_all(text.as_bytes()).await.ok()
}

async fn request(socket: &mut TcpStream) -> Option<Value> {
    let mut read = Vec::new();
    loop {
        let mut buffer = [0u8; 4096];
        let n = socket.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        read.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&read);
        let Some((_, body)) = text.split_once("\r\n\r\n") else { continue };
        if let Ok(body) = serde_json::from_str(body) {
            return Some(body);
        }
    }
}

/// A gateway in front of `servers`, `p0`, `p1`, …; those in `prefill` take the text so far.
async fn gateway(servers: &[&Server], prefill: &[usize]) -> (gateway::Running, tempfile::TempDir) {
    gateway_with("", servers, prefill).await
}

async fn gateway_with(
    more: &str,
    servers: &[&Server],
    prefill: &[usize],
) -> (gateway::Running, tempfile::TempDir) {
    let data = tempfile::tempdir().expect("a folder");
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\ndata_dir = {:?}\n\
         [auth]\nmode = \"open\"\n[limits]\nstall_ms = 150\n{more}[[model]]\nid = {MODEL:?}\n",
        data.path()
    );
    for (number, server) in servers.iter().enumerate() {
        let prefill = if prefill.contains(&number) { "continue_final_message" } else { "none" };
        text += &format!(
            "[[upstream]]\nid = \"p{number}\"\noperator = \"op{number}\"\nallow_private = true\n\
             base_url = \"http://{}/v1\"\nprefill = {prefill:?}\n\
             models = [{{ id = {MODEL:?}, upstream_model = \"theirs{number}\" }}]\n",
            server.addr
        );
    }
    let settings = gateway::config::parse(&text, &|_| None).expect("valid settings");
    (gateway::serve(settings).await.expect("serves"), data)
}

/// Asked of `p0` first, then in order.
fn ordered(more: Value) -> Value {
    let mut body = stream(more);
    body["provider"] = json!({"order": ["p0", "p1", "p2", "p3"]});
    body
}

fn chunk(id: &str, choice: &Value) -> String {
    let chunk = json!({"id": id, "object": "chat.completion.chunk", "created": 5, "model": "x",
        "choices": [choice]});
    format!("data: {chunk}\n\n")
}

fn delta(id: &str, delta: Value) -> String {
    chunk(id, &json!({"index": 0, "delta": delta, "finish_reason": null}))
}

fn text(id: &str, texts: &[&str]) -> String {
    let role = delta(id, json!({"role": "assistant", "content": ""}));
    let texts = texts.iter().map(|text| delta(id, json!({ "content": text })));
    role + &texts.collect::<String>()
}

fn end(id: &str, completion_tokens: u64) -> String {
    let finish = chunk(id, &json!({"index": 0, "delta": {}, "finish_reason": "stop"}));
    let usage = json!({"prompt_tokens": 20, "completion_tokens": completion_tokens,
        "total_tokens": 20 + completion_tokens});
    let usage = json!({"id": id, "object": "chat.completion.chunk", "created": 5, "model": "x",
        "choices": [], "usage": usage});
    format!("{finish}data: {usage}\n\ndata: [DONE]\n\n")
}

fn first() -> String {
    text("a", &["Once", " upon", " a \n"])
}

fn second() -> String {
    text("b", &[" \n", "time", "."]) + &end("b", 3)
}

const WHOLE: &str = "Once upon a \ntime.";

fn error(body: &Bytes) -> Value {
    let events = events(body);
    assert!(!events.iter().any(|event| event == "[DONE]"), "{events:?}");
    let last: Value = serde_json::from_str(events.last().expect("an event")).expect("JSON");
    last["error"].clone()
}

#[tokio::test]
async fn the_text_so_far_is_gone_on_with_as_one_answer() {
    let failure = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";
    for does in [
        Does::Ends(first()),
        Does::Ends(first() + "data: {\"choices\":[{\"delta\":{\"content\":\"lo"),
        Does::Breaks(first(), "data: [DONE]\n\n".to_owned()),
        Does::Breaks(first(), failure.to_owned()),
        Does::Stalls(first()),
    ] {
        let (dying, next) = (Server::new(does).await, Server::new(Does::Ends(second())).await);
        let (gateway, _data) = gateway(&[&dying, &next], &[1]).await;
        let more = json!({"max_tokens": 40, "stream_options": {"include_usage": true}});
        let (parts, mut body) = send(gateway.addr, &ordered(more)).await.into_parts();
        let start = body.frame().await.expect("a frame").expect("bytes").into_data().expect("data");
        dying.shown.notify_one();
        let rest = body.collect().await.expect("a whole body").to_bytes();
        let (status, headers) = (parts.status, parts.headers);
        let body = Bytes::from([start, rest].concat());
        let sent = String::from_utf8_lossy(&body);
        let events = events(&body);
        assert_eq!((status.as_u16(), headers["x-quorate-provider"].as_bytes()), (200, &b"p0"[..]));
        assert_eq!(content(&events), WHOLE, "{sent}");
        assert_eq!(sent.matches("[DONE]").count(), 1, "{sent}");
        assert_eq!(sent.matches(": quorate fail-over\n\n").count(), 1, "{sent}");
        assert_eq!(sent.matches("\"role\":\"assistant\"").count(), 1, "{sent}");
        for event in events.iter().filter(|event| *event != "[DONE]") {
            let chunk: Value = serde_json::from_str(event).expect("JSON");
            assert_eq!((&chunk["id"], &chunk["model"]), (&json!("a"), &json!(MODEL)), "{sent}");
        }
        // Three tokens of the prompt there were the answer's here.
        let usage: Value = serde_json::from_str(&events[events.len() - 2]).expect("JSON");
        let usage = &usage["usage"];
        assert_eq!(
            (&usage["prompt_tokens"], &usage["completion_tokens"], &usage["total_tokens"]),
            (&json!(17), &json!(6), &json!(23))
        );
        let asked = next.asked();
        assert_eq!((dying.asked().len(), asked.len()), (1, 1));
        let turn = json!({"role": "assistant", "content": "Once upon a"});
        assert_eq!(asked[0]["messages"], json!([{"role": "user", "content": "hello"}, turn]));
        assert_eq!(asked[0]["continue_final_message"], json!(true));
        assert_eq!(asked[0]["add_generation_prompt"], json!(false));
        assert_eq!((&asked[0]["max_tokens"], &asked[0]["model"]), (&json!(37), &json!("theirs1")));
        gateway.stop().await;
    }
}

#[tokio::test]
async fn what_is_not_plain_text_ends_with_an_error() {
    let call = json!({"tool_calls": [{"index": 0, "id": "c", "type": "function",
        "function": {"name": "f", "arguments": "{\"a\""}}]});
    let two = chunk("a", &json!({"index": 1, "delta": {"content": "x"}, "finish_reason": null}));
    for (sent, more) in [
        (first() + &delta("a", call), json!({})),
        (delta("a", json!({"reasoning_content": "hm"})), json!({})),
        (first() + &two, json!({"n": 2})),
        (first(), json!({"logprobs": true})),
        (first(), json!({"response_format": {"type": "json_object"}})),
        (first(), json!({"add_generation_prompt": true})),
        (first(), json!({"provider": {"order": ["p0"], "allow_fallbacks": false}})),
        (first(), json!({"provider": {"only": ["p0"]}})),
    ] {
        let (dying, next) =
            (Server::new(Does::Ends(sent)).await, Server::new(Does::Ends(second())).await);
        let (gateway, _data) = gateway(&[&dying, &next], &[1]).await;
        let mut body = ordered(json!({}));
        for (name, value) in more.as_object().expect("members") {
            body[name] = value.clone();
        }
        let (status, _, bytes) = ask(gateway.addr, &body).await;
        assert_eq!(status, 200, "{more}");
        assert_eq!(error(&bytes)["code"], "provider_error", "{more}");
        assert_eq!((dying.asked().len(), next.asked().len()), (1, 0), "{more}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn who_does_not_declare_it_is_not_asked() {
    let (dying, next) =
        (Server::new(Does::Ends(first())).await, Server::new(Does::Ends(second())).await);
    let (gateway, _data) = gateway(&[&dying, &next], &[0]).await;
    let (_, _, body) = ask(gateway.addr, &ordered(json!({}))).await;
    assert_eq!(error(&body)["code"], "provider_error");
    assert_eq!(next.asked().len(), 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_refusal_of_the_second_is_not_the_clients() {
    let dying = Server::new(Does::Ends(first())).await;
    let refuses = Server::new(Does::Refuses(400)).await;
    let good = Server::new(Does::Ends(second())).await;
    let (whole, _data) = gateway(&[&dying, &refuses, &good], &[1, 2]).await;
    let (_, _, body) = ask(whole.addr, &ordered(json!({}))).await;
    assert_eq!(content(&events(&body)), WHOLE, "{body:?}");
    assert_eq!((refuses.asked().len(), good.asked().len()), (1, 1));
    whole.stop().await;
    // Nobody else: the first failure is told, and not the refusal.
    let (broken, _data) = gateway(&[&dying, &refuses], &[1]).await;
    let (_, _, body) = ask(broken.addr, &ordered(json!({}))).await;
    let error = error(&body);
    assert_eq!(error["code"], "provider_error", "{error}");
    assert!(!error.to_string().contains("no prefill"), "{error}");
    broken.stop().await;
}

#[tokio::test]
async fn a_second_fail_over_is_the_last() {
    let one = Server::new(Does::Ends(first())).await;
    let two = Server::new(Does::Ends(text("b", &["time", " there"]))).await;
    let three = Server::new(Does::Ends(text("c", &[" was"]))).await;
    let four = Server::new(Does::Ends(second())).await;
    let (gateway, _data) = gateway(&[&one, &two, &three, &four], &[1, 2, 3]).await;
    let (_, _, body) = ask(gateway.addr, &ordered(json!({}))).await;
    assert_eq!(error(&body)["code"], "provider_error");
    let text: Vec<String> = events(&body);
    assert_eq!(content(&text[..text.len() - 1]), "Once upon a \ntime there was");
    let turn = &three.asked()[0]["messages"][1]["content"];
    assert_eq!(turn, "Once upon a \ntime there");
    assert_eq!(four.asked().len(), 0);
    gateway.stop().await;
}

/// The whole of it arrives at once: what the provider said before it failed was not sent yet.
#[tokio::test]
async fn what_a_second_said_before_it_failed_is_not_lost() {
    let failure = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";
    let one = Server::new(Does::Ends(first())).await;
    let two = Server::new(Does::Ends(text("b", &["time", " there"]) + failure)).await;
    let three = Server::new(Does::Ends(text("c", &[" was"]) + &end("c", 1))).await;
    let (whole, _data) = gateway(&[&one, &two, &three], &[1, 2]).await;
    let (_, _, body) = ask(whole.addr, &ordered(json!({}))).await;
    assert_eq!(content(&events(&body)), "Once upon a \ntime there was", "{body:?}");
    let turn = &three.asked()[0]["messages"][1]["content"];
    assert_eq!(turn, "Once upon a \ntime there");
    whole.stop().await;
    // Nobody else: it is told all the same, and then the error.
    let (broken, _data) = gateway(&[&one, &two], &[1]).await;
    let (_, _, body) = ask(broken.addr, &ordered(json!({}))).await;
    assert_eq!(error(&body)["code"], "provider_error");
    let told = events(&body);
    assert_eq!(content(&told[..told.len() - 1]), "Once upon a \ntime there", "{body:?}");
    broken.stop().await;
}

#[tokio::test]
async fn nobody_goes_on_with_an_answer_that_has_ended() {
    let failure = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";
    let finish = chunk("a", &json!({"index": 0, "delta": {}, "finish_reason": "stop"}));
    let dying = Server::new(Does::Breaks(first() + &finish, failure.to_owned())).await;
    let next = Server::new(Does::Ends(second())).await;
    let (gateway, _data) = gateway(&[&dying, &next], &[1]).await;
    let mut body = send(gateway.addr, &ordered(json!({}))).await.into_body();
    let start = body.frame().await.expect("a frame").expect("bytes").into_data().expect("data");
    dying.shown.notify_one();
    let rest = body.collect().await.expect("a whole body").to_bytes();
    let sent = Bytes::from([start, rest].concat());
    assert_eq!(next.asked().len(), 0, "{sent:?}");
    assert_eq!(String::from_utf8_lossy(&sent).matches("\"stop\"").count(), 1, "{sent:?}");
    assert_eq!(error(&sent)["code"], "provider_error");
    gateway.stop().await;
}

/// Of very many providers only one can go on, and nobody names it.
#[tokio::test]
async fn who_can_go_on_is_found_among_many() {
    let dying = Server::new(Does::Ends(first())).await;
    let (other, next) =
        (Server::new(Does::Ends(second())).await, Server::new(Does::Ends(second())).await);
    let mut servers = vec![&other; 240];
    (servers[0], servers[77]) = (&dying, &next);
    let (gateway, _data) = gateway(&servers, &[77]).await;
    for _ in 0..4 {
        let mut body = ordered(json!({}));
        body["provider"] = json!({"order": ["p0"]});
        let (_, _, body) = ask(gateway.addr, &body).await;
        assert_eq!(content(&events(&body)), WHOLE, "{body:?}");
    }
    assert_eq!((next.asked().len(), other.asked().len()), (4, 0));
    gateway.stop().await;
}

/// It is no one provider's answer, and would be said to be the first one's.
#[tokio::test]
async fn an_answer_of_two_is_not_kept_for_the_next_who_asks() {
    let dying = Server::new(Does::Ends(first())).await;
    let next = Server::new(Does::Ends(second())).await;
    let (gateway, _data) = gateway_with("[cache]\nenabled = true\n", &[&dying, &next], &[1]).await;
    let asked = |order: &'static str| {
        let mut body = ordered(json!({"seed": 1}));
        body["provider"] = json!({ "order": [order] });
        let (addr, body) = (gateway.addr, body.to_string());
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nx-quorate-cache: on\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        async move {
            let mut socket = TcpStream::connect(addr).await.expect("connects");
            socket.write_all(request.as_bytes()).await.expect("is sent");
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.expect("an answer");
            answer
        }
    };
    for (order, count) in [("p0", (1, 1)), ("p0", (2, 2)), ("p1", (2, 3)), ("p1", (2, 3))] {
        let answer = asked(order).await;
        assert!(answer.contains("[DONE]") && answer.contains("time"), "{answer}");
        assert_eq!((dying.asked().len(), next.asked().len()), count, "{answer}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_meanwhile_takes_everything_along() {
    let dying = Server::new(Does::Ends(first())).await;
    let hangs = Server::new(Does::Hangs).await;
    let (gateway, _data) = gateway(&[&dying, &hangs], &[1]).await;
    let mut body = send(gateway.addr, &ordered(json!({}))).await.into_body();
    body.frame().await.expect("a frame").expect("data");
    let is_asked = hangs.asked.clone();
    // Somebody must read for the failure to be noticed.
    let reading = tokio::task::spawn(async move { body.frame().await });
    until(move || is_asked.lock().expect("no panic").len() == 1).await;
    reading.abort();
    let left = hangs.left.clone();
    until(move || left.load(SeqCst) == 1).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_clients_own_word_to_nodes_reaches_nobody() {
    let good = Server::new(Does::Ends(text("a", &["x"]) + &end("a", 1))).await;
    let (gateway, _data) = gateway(&[&good], &[]).await;
    let more = json!({"quorate": {"resume": {"ids": [1], "text_bytes": 0}}, "seed": 4});
    let (status, ..) = ask(gateway.addr, &ordered(more)).await;
    assert_eq!(status, 200);
    let asked = good.asked();
    assert!(asked[0].get("quorate").is_none(), "{}", asked[0]);
    // No seed of ours either, where nobody can go on.
    let (status, ..) = ask(gateway.addr, &ordered(json!({}))).await;
    assert_eq!(status, 200);
    assert!(good.asked()[1].get("seed").is_none());
    gateway.stop().await;
}

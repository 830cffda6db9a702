//! Whom requests go to, over real answers of scripted providers: newcomers' share, and what becomes of
//! a node that drains, fails, graduates or changes its prices.

use gateway::app::App;
use gateway::market::testing::{self, Node};
use gateway::market::{Market, Membership};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use openapi::node::{Feature, Served, Standing};
use openapi::sign::Signed;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;

use crate::harness::{acme, catalogue, listed, settings};

pub(crate) struct Place {
    gateway: gateway::Running,
    client: SendRequest<Full<bytes::Bytes>>,
    providers: Vec<provider::app::Running>,
    pub(crate) members: Vec<Membership>,
    _data: tempfile::TempDir,
}

/// The draws of every test are the same: the sequence of production code from a seed that is pinned.
fn pinned() -> u64 {
    static STATE: AtomicU64 = AtomicU64::new(20_260_101);
    STATE.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed)
}

pub(crate) async fn place(market: &str, scripts: &[Value]) -> Place {
    place_with(market, scripts, |context| context).await
}

/// With a context of the test's.
async fn place_with(
    market: &str,
    scripts: &[Value],
    change: impl FnOnce(gateway::upstream::Context) -> gateway::upstream::Context,
) -> Place {
    let mut providers = Vec::new();
    for script in scripts {
        providers
            .push(provider::testing::scripted("acme/m", script.clone()).await.expect("serves"));
    }
    let data = tempfile::tempdir().expect("a folder");
    // No test waits for a heartbeat, however slow the machine is.
    let mut settings = settings(&format!("lease_ms = 600000\n{market}"), &catalogue());
    data.path().clone_into(&mut settings.server.data_dir);
    let mut app = App::new(settings).expect("an app");
    let context = gateway::upstream::Context { random: pinned, ..(*app.upstream).clone() };
    app.upstream = Arc::new(change(context));
    let gateway = gateway::serve_app(app).await.expect("serves");
    let stream = TcpStream::connect(gateway.addr).await.expect("connects");
    let (client, connection) = handshake(TokioIo::new(stream)).await.expect("h1");
    tokio::task::spawn(connection);
    Place { gateway, client, providers, members: Vec::new(), _data: data }
}

impl Place {
    pub(crate) fn market(&self) -> &Market {
        &self.gateway.app.market
    }

    /// The node in front of the provider of the same number joins.
    pub(crate) fn join(&mut self, number: usize) -> usize {
        self.join_as(number, &Node::new(number as u64, acme()))
    }

    pub(crate) fn join_as(&mut self, number: usize, node: &Node) -> usize {
        let url = format!("http://{}/v1", self.providers[number].addr).parse().expect("a URL");
        self.members.push(node.join(self.market(), &url).expect("joins"));
        self.market().publish();
        self.members.len() - 1
    }

    /// Answers that end the probation.
    pub(crate) fn graduate(&self, member: usize) {
        let member = self.members[member].member();
        while member.standing() == Standing::Probation {
            member.answered(1);
        }
        // As the writer does once a second.
        self.market().reap();
        self.market().publish();
    }

    pub(crate) fn name(&self, member: usize) -> String {
        self.members[member].member().provider.to_string()
    }

    pub(crate) async fn ask(&mut self, more: Value) -> (StatusCode, HeaderMap, Value) {
        self.send(more, "0").await
    }

    /// With how its provider was chosen.
    async fn ask_explained(&mut self, more: Value) -> (StatusCode, HeaderMap, Value) {
        self.send(more, "1").await
    }

    async fn send(&mut self, more: Value, explain: &str) -> (StatusCode, HeaderMap, Value) {
        let mut body = json!({"model": "acme/m", "messages": [{"role": "user", "content": "hi"}]});
        let (Value::Object(members), Value::Object(more)) = (&mut body, more) else {
            panic!("members are an object");
        };
        members.extend(more);
        let request = Request::post("/v1/chat/completions")
            .header("host", self.gateway.addr.to_string())
            .header("content-type", "application/json")
            .header("x-quorate-explain", explain)
            .body(Full::new(body.to_string().into()))
            .expect("a request");
        self.client.ready().await.expect("open");
        let answer = self.client.send_request(request).await.expect("an answer");
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (parts.status, parts.headers, serde_json::from_slice(&body).expect("JSON"))
    }

    /// How many of so many requests each provider answered.
    pub(crate) async fn ask_often(&mut self, times: usize, more: Value) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for _ in 0..times {
            let (status, headers, body) = self.ask(more.clone()).await;
            assert_eq!(status, StatusCode::OK, "{body}");
            let provider = headers["x-quorate-provider"].to_str().expect("text").to_owned();
            *counts.entry(provider).or_default() += 1;
        }
        counts
    }
}

#[tokio::test]
async fn newcomers_together_get_their_share_while_others_have_room() {
    let mut place = place(
        "probation_share = 0.1\nprobation_answers = 1000000",
        &[json!({}), json!({}), json!({})],
    )
    .await;
    for number in 0..3 {
        place.join(number);
    }
    place.graduate(0);
    let counts = place.ask_often(1000, json!({})).await;
    let newcomers = 1000 - counts[&place.name(0)];
    assert!((70..=130).contains(&newcomers), "a tenth of 1000 requests: {newcomers}");
    assert!(counts[&place.name(1)] > 0 && counts[&place.name(2)] > 0, "{counts:?}");
}

#[tokio::test]
async fn a_fresh_market_serves_and_good_answers_end_the_probation() {
    let mut place = place("probation_answers = 5", &[json!({}), json!({})]).await;
    place.join(0);
    place.join(1);
    let counts = place.ask_often(20, json!({})).await;
    assert_eq!(counts.values().sum::<usize>(), 20);
    let answers: Vec<u64> =
        place.members.iter().map(|membership| membership.member().known.answers()).collect();
    assert_eq!(answers.iter().sum::<u64>(), 20);
    for membership in &place.members {
        let known = &membership.member().known;
        let graduated = membership.member().standing() == Standing::Active;
        assert_eq!(graduated, known.answers() >= 5, "{}", known.answers());
        assert!(known.answers() == 0 || known.tokens() > 0);
        assert_eq!(known.requests(), known.answers());
    }
}

#[tokio::test]
async fn newcomers_stand_in_where_nobody_else_can() {
    let failing = json!({"status": 500});
    let mut place = place("probation_share = 0.0", &[failing, json!({})]).await;
    place.join(0);
    place.join(1);
    place.graduate(0);
    let (status, headers, body) = place.ask(json!({})).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(headers["x-quorate-attempts"], "2", "first who is known, then who is new");
    assert_eq!(headers["x-quorate-provider"], *place.name(1));
    let failed = &place.members[0].member().known;
    assert_eq!((failed.requests(), failed.failures()), (1, 1));
    for _ in 0..4 {
        assert_eq!(place.ask(json!({})).await.0, StatusCode::OK);
    }
    let (_, headers, _) = place.ask(json!({})).await;
    assert_eq!(headers["x-quorate-attempts"], "1", "who failed five times in a row is left alone");
    assert_eq!(place.members[0].member().known.failures(), 5);
}

#[tokio::test]
async fn failures_do_not_end_the_probation() {
    let mut place = place("probation_answers = 2", &[json!({"status": 500})]).await;
    place.join(0);
    for _ in 0..5 {
        let (status, _, _) = place.ask(json!({})).await;
        assert_eq!(status, StatusCode::BAD_GATEWAY);
    }
    let member = place.members[0].member();
    assert_eq!(member.standing(), Standing::Probation);
    // Whoever is alone is asked twice.
    assert_eq!(member.known.failures(), 10);
}

#[tokio::test]
async fn who_asks_for_a_newcomer_gets_it() {
    let mut place =
        place("probation_share = 0.0\nprobation_answers = 1000000", &[json!({}), json!({})]).await;
    place.join(0);
    place.join(1);
    place.graduate(0);
    let newcomer = place.name(1);
    for wish in [
        json!({"provider": {"order": [newcomer]}}),
        json!({"provider": {"only": [newcomer]}}),
        json!({"model": format!("acme/m@{newcomer}")}),
        json!({"provider": {"ignore": [place.name(0)]}}),
    ] {
        let counts = place.ask_often(5, wish.clone()).await;
        assert_eq!(counts.get(&newcomer), Some(&5), "{wish}");
    }
    let counts = place.ask_often(50, json!({})).await;
    assert_eq!(counts.get(&newcomer), None, "{counts:?}");
}

#[tokio::test]
async fn who_drains_gets_no_new_request() {
    let mut place = place("", &[json!({}), json!({})]).await;
    place.join(0);
    place.join(1);
    place.members[0].drain(Duration::from_secs(60));
    let counts = place.ask_often(20, json!({})).await;
    assert_eq!(counts.get(&place.name(1)), Some(&20), "{counts:?}");
    place.members[1].drain(Duration::from_secs(60));
    let (status, headers, body) = place.ask(json!({})).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(headers.contains_key("retry-after"));
    assert!(body["error"]["message"].as_str().is_some_and(|m| m.contains("now")), "{body}");
}

#[tokio::test]
async fn new_prices_count_from_the_next_request_on() {
    let mut place = place("", &[json!({})]).await;
    place.join(0);
    let wish = json!({"provider": {"max_price": {"prompt": 0.05, "completion": 0.1}}});
    assert_eq!(place.ask(wish.clone()).await.0, StatusCode::OK);
    let now_ms = place.market().time().now().unix_ms;
    let mut node = Node::new(0, acme());
    (node.sequence, node.price) = (2, (50_001, 100_000));
    let dearer = Signed::new(&node.offer(now_ms), &node.key).expect("signed");
    assert_eq!(place.members[0].offer(&dearer).reason, None);
    let (status, _, body) = place.ask(wish.clone()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.to_string().contains("provider.max_price.prompt"), "{body}");
    (node.sequence, node.price) = (3, (1, 1));
    let cheaper = Signed::new(&node.offer(now_ms), &node.key).expect("signed");
    assert_eq!(place.members[0].offer(&cheaper).reason, None);
    assert_eq!(place.ask(wish).await.0, StatusCode::OK);
}

#[tokio::test]
async fn one_node_that_sells_the_model_often_is_chosen_and_tried_once() {
    let failing = json!({"status": 500});
    let mut place = place("probation_answers = 0", &[json!({}), json!({}), failing]).await;
    let often = |number: u64| {
        let model = |n| testing::served(&format!("m{n}"), Some(&listed()));
        Node::new(
            number,
            [vec![testing::served("acme/m", Some(&listed()))], (0..63).map(model).collect()]
                .concat(),
        )
    };
    place.join(0);
    place.join_as(1, &often(1));
    let (_, _, answer) = place.ask_explained(json!({})).await;
    let candidates = answer["quorate"]["explain"]["candidates"].as_array().expect("a list");
    assert_eq!(candidates.len(), 2, "each node is one candidate: {answer}");
    place.members.remove(1);
    place.join_as(2, &often(2));
    let order = json!({"provider": {"order": [place.name(1)]}});
    let counts = place.ask_often(1, order).await;
    assert_eq!(counts.get(&place.name(0)), Some(&1), "the next attempt is another node's");
}

/// Ten hours go by whenever a provider was chosen.
static LATER: std::sync::LazyLock<Arc<gateway::clock::Manual>> = std::sync::LazyLock::new(|| {
    let now_ms = gateway::clock::Clock::unix_ms(&gateway::clock::System);
    Arc::new(gateway::clock::Manual::new(now_ms))
});

fn passing() -> u64 {
    static DRAWN: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    // The first draw is the request's own.
    if DRAWN.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0 {
        LATER.advance(Duration::from_secs(36_000));
    }
    pinned()
}

#[tokio::test]
async fn an_offer_that_ends_while_another_is_tried_is_not_tried() {
    let failing = [json!({"status": 500}), json!({"status": 500})];
    let mut place = place_with("probation_answers = 0", &failing, |context| {
        let time = Arc::new(gateway::market::Time::new(LATER.clone()));
        gateway::upstream::Context { random: passing, time, ..context }
    })
    .await;
    place.join(0);
    place.join(1);
    let (status, ..) = place.ask(json!({})).await;
    assert!(status.is_server_error(), "{status}");
    let asked: u64 = place.members.iter().map(|member| member.report().requests).sum();
    assert_eq!(asked, 1, "all offers were over by then");
}

#[tokio::test]
async fn one_nodes_word_against_a_request_is_not_the_last() {
    let refusing = json!({"status": 400});
    let scripts = [refusing.clone(), json!({}), refusing];
    let mut place = place("probation_answers = 0", &scripts).await;
    place.join(0);
    place.join(1);
    let refuser = json!({"provider": {"order": [place.name(0)]}});
    let counts = place.ask_often(1, refuser).await;
    assert_eq!(counts.get(&place.name(1)), Some(&1), "another's word counts as much: {counts:?}");
    assert_eq!(place.members[0].report().requests, 1, "the one that refuses was asked first");
    place.members.remove(1);
    place.market().publish();
    assert_eq!(place.ask(json!({})).await.0, StatusCode::BAD_REQUEST, "it is the only one");
    place.join(2);
    let (status, headers, _) = place.ask(json!({})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "two say so");
    assert_eq!(headers.get("x-quorate-attempts").map(|n| n.as_bytes()), None);
    let asked: u64 = place.members.iter().map(|member| member.report().requests).sum();
    assert!(asked > 2);
}

type Then = Box<dyn FnOnce() + Send>;

/// What happens while the first provider is asked, at the draw of the second; the first draw of all is the
/// request's own.
static BETWEEN: std::sync::Mutex<(u32, Option<Then>)> = std::sync::Mutex::new((0, None));

fn interrupted() -> u64 {
    let mut between = BETWEEN.lock().unwrap();
    between.0 += 1;
    if between.0 == 3
        && let Some(then) = between.1.take()
    {
        then();
    }
    pinned()
}

#[tokio::test]
async fn who_has_become_too_dear_meanwhile_is_not_asked() {
    let failing = [json!({"status": 500}), json!({"status": 500})];
    let mut place = place_with("probation_answers = 0", &failing, |context| {
        gateway::upstream::Context { random: interrupted, ..context }
    })
    .await;
    let now_ms = place.market().time().now().unix_ms;
    let mut dearer = Vec::new();
    for number in 0..2 {
        place.join(number);
        let node =
            Node { sequence: 2, price: (50_001, 100_000), ..Node::new(number as u64, acme()) };
        dearer.push(Signed::new(&node.offer(now_ms), &node.key).expect("signed"));
    }
    let members: Vec<_> = place.members.iter().map(|one| one.member().clone()).collect();
    let memberships = Arc::new(std::mem::take(&mut place.members));
    let repriced = memberships.clone();
    let then: Then = Box::new(move || {
        for (membership, offer) in repriced.iter().zip(&dearer) {
            assert_eq!(membership.offer(offer).reason, None);
        }
    });
    BETWEEN.lock().unwrap().1 = Some(then);
    let wish = json!({"provider": {"max_price": {"prompt": 0.05, "completion": 0.1}}});
    let (status, ..) = place.ask(wish).await;
    assert!(status.is_server_error(), "{status}");
    let asked: u64 = members.iter().map(|member| member.known.requests()).sum();
    assert_eq!(asked, 1, "the other wants more than the client pays");
}

#[tokio::test]
async fn aliases_reach_the_model_that_answers_under_its_own_name() {
    let mut place = place("", &[json!({})]).await;
    place.join(0);
    let (status, _, body) = place.ask(json!({"model": "m-old"})).await;
    assert_eq!((status, body["model"].as_str()), (StatusCode::OK, Some("acme/m")));
    let name = place.name(0);
    let (status, _, _) = place.ask(json!({"model": format!("acme/m@{name}:floor")})).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_request_goes_to_who_declares_what_it_needs() {
    let mut place = place("probation_answers = 0", &[json!({}), json!({})]).await;
    let with = |features: Vec<Feature>, context: u64| {
        let able =
            |served| Served { features: features.clone(), context_length: Some(context), ..served };
        acme().into_iter().map(able).collect::<Vec<_>>()
    };
    let plain = Node { price: (1, 1), ..Node::new(0, with(vec![Feature::Chat], 1_000)) };
    place.join_as(0, &plain);
    let tools = json!({"tools": [{"type": "function", "function": {"name": "f"}}]});
    for (needs, named) in [
        (tools.clone(), "tools"),
        (json!({"response_format": {"type": "json_object"}}), "response_format"),
        (json!({"logprobs": true}), "logprobs"),
    ] {
        let (status, _, body) = place.ask(needs.clone()).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{needs}: {body}");
        assert!(body["error"]["message"].as_str().is_some_and(|m| m.contains(named)), "{body}");
    }
    // Nobody has more context: its provider is to judge.
    assert_eq!(place.ask(json!({"max_tokens": 5_000})).await.0, StatusCode::OK);
    let all = vec![Feature::Chat, Feature::Tools, Feature::JsonSchema, Feature::Logprobs];
    place.join_as(1, &Node::new(1, with(all, 100_000)));
    for (needs, number) in [
        (tools, 1),
        (json!({"logprobs": true}), 1),
        (json!({"max_tokens": 5_000}), 1),
        (json!({"max_tokens": 5, "provider": {"ignore": [place.name(1)]}}), 0),
    ] {
        let (status, headers, body) = place.ask(needs.clone()).await;
        assert_eq!(status, StatusCode::OK, "{needs}: {body}");
        assert_eq!(headers["x-quorate-provider"], *place.name(number), "{needs}");
    }
}

#[tokio::test]
async fn what_was_learned_of_a_node_outlives_its_lease_and_its_snapshot() {
    let mut place = place("probation_answers = 0", &[json!({"status": 500}), json!({})]).await;
    place.join(0);
    place.join(1);
    let first = json!({"provider": {"order": [place.name(0)]}});
    for _ in 0..5 {
        let (_, headers, _) = place.ask(first.clone()).await;
        assert_eq!(headers["x-quorate-attempts"], "2");
    }
    let sick = place.members.remove(0);
    drop(sick);
    place.market().publish();
    let back = place.join(0);
    let wish = json!({"provider": {"order": [place.name(back)]}});
    let (_, headers, answer) = place.ask_explained(wish).await;
    assert_eq!(headers["x-quorate-attempts"], "1", "coming back mends nothing: {answer}");
    assert_eq!(answer["quorate"]["explain"]["candidates"][0]["out"], "ejected", "{answer}");
}

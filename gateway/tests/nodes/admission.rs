//! Where the only node is full: who waits goes by urgency and deadline, who is one too many is told when to
//! come back, and a client that leaves gives its place to another.

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use openapi::node::{Capacity, Welcome};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::harness::{Gateway, gateway_with, request, stream, until};
use crate::node::{Dialed, Identity, Node};

/// So long that no wait of these tests ends by it.
const PATIENT: &str = "queue_wait_ms = 600000\nstall_ms = 60000";

type Header = (&'static str, &'static str);

/// A node that bears one request, and what the gateway's clients get.
struct Market {
    gateway: Gateway,
    node: Node,
    answered: mpsc::UnboundedSender<(&'static str, Response<Incoming>)>,
    answers: mpsc::UnboundedReceiver<(&'static str, Response<Incoming>)>,
}

async fn market(limits: &str) -> Market {
    let gateway = gateway_with(limits, |_| {}).await;
    let identity = Identity::new(1);
    let mut dialed = Dialed::new(&gateway).await;
    let challenge = dialed.challenge().await;
    let mut hello = identity.hello(&challenge, dialed.exporter);
    hello.capacity = Capacity { running_max: 1, queued_max: 0 };
    let (status, body) = dialed.hello(&identity.sign(&hello)).await;
    assert_eq!(status, 200, "{body}");
    let welcome: Welcome = serde_json::from_value(body).expect("a welcome");
    let node = Node::serve(dialed.tunnel(&welcome.token).await.expect("an upgrade"));
    gateway.until_offers(1).await;
    let (answered, answers) = mpsc::unbounded_channel();
    Market { gateway, node, answered, answers }
}

impl Market {
    /// A client whose answer begins and does not end, as long as it is kept.
    fn comes(&self, name: &'static str, headers: &[Header]) -> JoinHandle<()> {
        let (addr, answered) = (self.gateway.addr(), self.answered.clone());
        let mut request = request(addr, stream("half"));
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a value"));
        }
        tokio::task::spawn(async move {
            let stream = TcpStream::connect(addr).await.expect("connects");
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.expect("h1");
            tokio::task::spawn(connection);
            let answer = sender.send_request(request).await.expect("an answer");
            answered.send((name, answer)).expect("the test goes on");
        })
    }

    /// The same, until it stands in the line as the one of this number.
    async fn waits(&self, name: &'static str, headers: &[Header], number: i64) -> JoinHandle<()> {
        let client = self.comes(name, headers);
        self.until_queued(number).await;
        client
    }

    async fn until_queued(&self, count: i64) {
        until(|| self.gateway.metrics().route.queued.get() == count).await;
    }

    /// Who is answered next. Dropping the answer makes room for another.
    async fn next(&mut self) -> (&'static str, Response<Incoming>) {
        self.answers.recv().await.expect("this market has a sender")
    }

    async fn served(&mut self, name: &str) -> Response<Incoming> {
        let (served, answer) = self.next().await;
        assert_eq!((served, answer.status().as_u16()), (name, 200));
        answer
    }

    /// In OpenAI's form, with a word on when to come back that its clients heed.
    async fn turned_away(&mut self, name: &str) {
        let (who, answer) = self.next().await;
        let (parts, body) = answer.into_parts();
        let bytes: Bytes = body.collect().await.expect("a whole body").to_bytes();
        assert_eq!((who, parts.status.as_u16()), (name, 429), "{bytes:?}");
        let body: Value = serde_json::from_slice(&bytes).expect("JSON");
        let error = &body["error"];
        assert_eq!(error["type"], "rate_limit_error", "{body}");
        assert_eq!(error["code"], "provider_rate_limited", "{body}");
        assert!(error["message"].is_string() && error["param"].is_null(), "{body}");
        let header = |name| parts.headers[name].to_str().expect("text");
        let seconds: u64 = header("retry-after").parse().expect("whole seconds");
        let ms: u64 = header("retry-after-ms").parse().expect("milliseconds");
        assert!((1..=60).contains(&seconds), "come back in {seconds} s");
        assert!(ms > (seconds - 1) * 1000 && ms <= seconds * 1000, "{seconds} s, {ms} ms");
        assert_eq!(header("x-should-retry"), "true");
    }

    fn shed(&self) -> u64 {
        self.gateway.metrics().route.queue_shed.get()
    }

    fn begun(&self) -> u64 {
        self.node.work.begun.load(std::sync::atomic::Ordering::SeqCst)
    }
}

const LOW: [Header; 1] = [("x-quorate-priority", "low")];
const HIGH: [Header; 1] = [("x-quorate-priority", "high")];

#[tokio::test]
async fn the_urgent_are_served_first_then_those_with_the_nearest_deadline() {
    let mut market = market(PATIENT).await;
    market.comes("first", &[]);
    let first = market.served("first").await;
    market.waits("low", &LOW, 1).await;
    market.waits("late", &[("x-quorate-timeout-ms", "500000")], 2).await;
    market.waits("soon", &[("x-quorate-timeout-ms", "100000")], 3).await;
    market.waits("high", &HIGH, 4).await;
    drop(first);
    for name in ["high", "soon", "late", "low"] {
        drop(market.served(name).await);
    }
    market.until_queued(0).await;
    assert_eq!((market.begun(), market.shed()), (5, 0));
}

#[tokio::test]
async fn who_is_one_too_many_is_told_when_to_come_back_the_least_urgent_first() {
    let mut market = market(&format!("{PATIENT}\nqueued = 2")).await;
    market.comes("first", &[]);
    let first = market.served("first").await;
    market.waits("low", &LOW, 1).await;
    market.waits("normal", &[], 2).await;
    market.comes("low too", &LOW);
    market.turned_away("low too").await;
    market.comes("high", &HIGH);
    market.turned_away("low").await;
    market.until_queued(2).await;
    assert_eq!(market.shed(), 2);
    assert_eq!(market.begun(), 1, "who is turned away is nobody's work");
    drop(first);
    drop(market.served("high").await);
    drop(market.served("normal").await);
}

#[tokio::test]
async fn who_has_waited_in_vain_is_told_too() {
    let mut market = market("queue_wait_ms = 200\nstall_ms = 60000").await;
    market.comes("first", &[]);
    let _first = market.served("first").await;
    market.comes("second", &[]);
    market.turned_away("second").await;
    market.until_queued(0).await;
    assert_eq!((market.begun(), market.shed()), (1, 1));
}

#[tokio::test]
async fn a_client_that_leaves_the_line_frees_its_place() {
    let mut market = market(&format!("{PATIENT}\nqueued = 1")).await;
    market.comes("first", &[]);
    let first = market.served("first").await;
    let leaving = market.waits("leaving", &[], 1).await;
    market.comes("too many", &[]);
    market.turned_away("too many").await;
    leaving.abort();
    market.until_queued(0).await;
    market.waits("next", &[], 1).await;
    drop(first);
    drop(market.served("next").await);
    assert_eq!(market.begun(), 2, "who left was never sent on");
}

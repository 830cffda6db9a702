//! Every reason to refuse a hello, by its word, its status and the member at fault.

use gateway::market::testing::{Error, Node, served};
use http::StatusCode;
use openapi::node::{Delegation, Hello, Link, Price, Sla};
use openapi::sign::{SecretKey, Signed};

use crate::harness::{NOW_MS, acme, catalogue, market, refusal, refused, unlisted};

fn now_ms() -> i64 {
    i64::try_from(NOW_MS).expect("fits")
}

/// A node's hello with a change, signed by the node after it.
fn said(change: impl FnOnce(&mut Hello, &Node)) -> (String, StatusCode, Option<String>) {
    let (market, _) = market("", &catalogue());
    let node = Node::new(1, acme());
    let mut hello = node.hello(market.identity().public(), now_ms()).expect("a hello");
    change(&mut hello, &node);
    let signed = Signed::new(&hello, &node.key).expect("signed");
    match node.present(&market, &signed) {
        Err(Error::Refused(refusal)) => {
            (refusal.code().to_owned(), refusal.status(), refusal.param().map(str::to_owned))
        }
        other => panic!("not refused: {other:?}"),
    }
}

fn assert_refused(
    change: impl FnOnce(&mut Hello, &Node),
    code: &str,
    status: StatusCode,
    param: Option<&str>,
) {
    let (found, found_status, found_param) = said(change);
    assert_eq!((found.as_str(), found_status, found_param.as_deref()), (code, status, param));
}

#[test]
fn a_sound_hello_is_welcomed_by_the_gateways_own_signature() {
    let (market, _) = market("", &catalogue());
    let node = Node::new(1, acme());
    let admission = node.ask(&market).expect("admitted");
    let granted = admission.welcome.granted.open(&market.identity().public()).expect("signed");
    assert_eq!(granted.node, node.key.public());
    assert_eq!(granted.exporter, hex::encode(gateway::market::testing::EXPORTER));
    assert_eq!(granted.provider, node.key.public().short());
    assert_eq!(granted.lease_ms, 15_000);
    let selling = &granted.selling[0];
    assert!(selling.verified && selling.name == "acme/m");
    assert_eq!(admission.welcome.token.len(), 64);
    assert!(admission.token.is(&admission.welcome.token) && !admission.token.is("other"));
    assert!(market.knows_token(&admission.welcome.token));
    let text = format!("{admission:?}");
    assert!(!text.contains(&admission.welcome.token), "a token is never printed");
    let token = admission.welcome.token.clone();
    drop(admission);
    assert!(!market.knows_token(&token), "a place that is given back has no lease");
}

#[test]
fn another_gateway_another_connection_and_another_challenge() {
    let forbidden = StatusCode::FORBIDDEN;
    let other = SecretKey::from_seed(&[9; 32]).public();
    assert_refused(|h, _| h.gateway = other, "wrong_gateway", forbidden, Some("gateway"));
    assert_refused(
        |h, _| h.exporter = hex::encode([8; 32]),
        "wrong_connection",
        forbidden,
        Some("exporter"),
    );
    assert_refused(|h, _| h.nonce = "old".to_owned(), "replayed", forbidden, Some("nonce"));
}

#[test]
fn a_clock_that_is_off_by_more_than_a_minute() {
    for off in [60_001, -60_001, i64::MAX - now_ms(), -now_ms()] {
        let change = |h: &mut Hello, _: &Node| h.time_ms = h.time_ms.saturating_add(off);
        assert_refused(change, "clock_skew", StatusCode::FORBIDDEN, Some("time_ms"));
    }
    let (market, _) = market("", &catalogue());
    let node = Node::new(1, acme());
    for off in [60_000, -60_000] {
        let mut hello = node.hello(market.identity().public(), now_ms()).expect("a hello");
        hello.time_ms += off;
        let signed = Signed::new(&hello, &node.key).expect("signed");
        node.present(&market, &signed).expect("within the minute");
    }
}

#[test]
fn a_hello_that_another_key_signed_or_that_was_changed_after() {
    let (market, _) = market("", &catalogue());
    let node = Node::new(1, acme());
    let hello = node.hello(market.identity().public(), now_ms()).expect("a hello");
    let by_another = Signed::new(&hello, &SecretKey::from_seed(&[3; 32])).expect("signed");
    let mut changed = Signed::new(&hello, &node.key).expect("signed");
    changed.statement = changed.statement.replace("scripted/1", "scripted/2");
    for signed in [by_another, changed] {
        let refusal = refusal(node.present(&market, &signed).map(drop));
        assert_eq!(refusal.code(), "bad_signature");
        assert_eq!(refusal.status(), StatusCode::UNAUTHORIZED);
    }
}

#[test]
fn a_delegation_that_is_not_the_operators_word_for_this_node() {
    let (thief, other) = (SecretKey::from_seed(&[5; 32]), SecretKey::from_seed(&[6; 32]));
    let delegation = |operator: &SecretKey, by: &SecretKey, node, issued_at_ms| {
        let delegation = Delegation { operator: operator.public(), node, issued_at_ms };
        Signed::new(&delegation, by).expect("signed")
    };
    let (code, status, param) = ("bad_delegation", StatusCode::FORBIDDEN, Some("delegation"));
    assert_refused(
        |h, n| h.delegation = delegation(&n.operator, &thief, n.key.public(), 0),
        code,
        status,
        param,
    );
    assert_refused(
        |h, n| h.delegation = delegation(&n.operator, &n.operator, other.public(), 0),
        code,
        status,
        param,
    );
    assert_refused(
        |h, n| h.delegation = delegation(&n.operator, &n.operator, n.key.public(), i64::MAX),
        code,
        status,
        param,
    );
}

#[test]
fn another_protocol_is_named_whatever_else_it_says() {
    let (market, _) = market("", &catalogue());
    let node = Node::new(1, acme());
    let hello = node.hello(market.identity().public(), now_ms()).expect("a hello");
    let mut signed = Signed::new(&hello, &node.key).expect("signed");
    signed.statement = r#"{"protocol":2,"all":"new"}"#.to_owned();
    let refused = refusal(node.present(&market, &signed).map(drop));
    assert_eq!(
        (refused.code(), refused.status()),
        ("protocol_unsupported", StatusCode::BAD_REQUEST)
    );
    for nonsense in ["", "{", "[]", r#"{"protocol":1}"#, r#"{"protocol":"1"}"#] {
        signed.statement = nonsense.to_owned();
        let refused = refusal(node.present(&market, &signed).map(drop));
        assert_eq!((refused.code(), refused.param()), ("invalid_hello", Some("statement")));
    }
    signed.statement = "x".repeat(openapi::node::HELLO_BYTES_MAX + 1);
    let refused = refusal(node.present(&market, &signed).map(drop));
    assert_eq!(
        (refused.code(), refused.status()),
        ("hello_too_large", StatusCode::PAYLOAD_TOO_LARGE)
    );
}

#[test]
fn values_that_can_not_be_are_refused_by_name() {
    type Change = fn(&mut Hello);
    let cases: [(&str, Change); 22] = [
        ("software", |h| h.software = "x".repeat(257)),
        ("software", |h| h.software = "\u{1b}[2J".to_owned()),
        ("software", |h| h.software = "good \u{202e}live\u{202c}".to_owned()),
        ("hardware.gpus", |h| h.hardware.gpus = vec!["H100\u{200b}".to_owned()]),
        ("region", |h| h.region = Some("eu west".to_owned())),
        ("lease_expires_at_ms", |h| h.lease_expires_at_ms = Some(h.time_ms)),
        ("capacity.running_max", |h| h.capacity.running_max = 0),
        ("capacity.queued_max", |h| h.capacity.queued_max = u32::MAX),
        ("models", |h| h.models.clear()),
        ("models", |h| {
            h.models = (0..65).map(|number| served(&format!("m{number}"), None)).collect();
        }),
        ("models[0].id", |h| h.models[0].id = "a@b".to_owned()),
        ("models[0].id", |h| h.models[0].id.clear()),
        ("models[1].id", |h| h.models.push(h.models[0].clone())),
        ("models[0].weights_id", |h| h.models[0].weights_id = Some("b3:12".to_owned())),
        ("models[0].template_sha256", |h| h.models[0].template_sha256 = Some("12".to_owned())),
        ("models[0].quantization", |h| h.models[0].quantization = Some("q 4".to_owned())),
        ("models[0].engine", |h| h.models[0].engine = Some("x".repeat(300))),
        ("models[0].context_length", |h| h.models[0].context_length = Some(0)),
        ("hardware.cores", |h| h.hardware.cores = u32::MAX),
        ("hardware.memory_bytes", |h| h.hardware.memory_bytes = u64::MAX),
        ("hardware.gpus", |h| h.hardware.gpus = vec![String::new(); 65]),
        ("link.url", |h| h.link = Link::Direct { url: "ftp://user@host/?q".to_owned() }),
    ];
    for (param, change) in cases {
        let refused = said(|hello, _| change(hello));
        let expected =
            ("invalid_hello".to_owned(), StatusCode::BAD_REQUEST, Some(param.to_owned()));
        assert_eq!(refused, expected);
    }
}

#[test]
fn an_offer_that_does_not_count() {
    type Change = fn(&mut openapi::node::Offer);
    let cases: [(&str, &str, Change); 10] = [
        ("offer_expired", "offer.valid_until_ms", |o| o.valid_until_ms = o.issued_at_ms),
        ("offer_invalid", "offer.issued_at_ms", |o| o.issued_at_ms += 60_001),
        ("offer_invalid", "offer.node", |o| o.node = SecretKey::from_seed(&[1; 32]).public()),
        ("offer_invalid", "offer.prices", |o| o.prices.clear()),
        ("offer_invalid", "offer.prices", |o| o.prices.push(o.prices[0].clone())),
        ("offer_invalid", "offer.prices[1].model", |o| {
            o.prices.push(Price { model: "other".to_owned(), ..o.prices[0].clone() });
        }),
        ("offer_invalid", "offer.prices[0]", |o| o.prices[0].completion_pusd = u64::MAX),
        ("offer_invalid", "offer.prices[0].cached_pusd", |o| {
            o.prices[0].cached_pusd = Some(o.prices[0].prompt_pusd + 1);
        }),
        ("offer_invalid", "offer.sla", |o| {
            o.sla = Some(Sla {
                ttft_p95_ms: None,
                tokens_per_second_p50: None,
                availability: Some(1.5),
                refund: None,
            });
        }),
        ("offer_invalid", "offer.sla.tokens_per_second_p50", |o| {
            o.sla = Some(Sla {
                ttft_p95_ms: None,
                tokens_per_second_p50: Some(-1.0),
                availability: None,
                refund: None,
            });
        }),
    ];
    for (code, param, change) in cases {
        assert_refused(
            |hello, node| {
                let mut offer = node.offer(now_ms());
                change(&mut offer);
                hello.offer = Signed::new(&offer, &node.key).expect("signed");
            },
            code,
            StatusCode::FORBIDDEN,
            Some(param),
        );
    }
    assert_refused(
        |hello, node| {
            let offer = node.offer(now_ms());
            hello.offer = Signed::new(&offer, &node.operator).expect("signed");
        },
        "offer_invalid",
        StatusCode::FORBIDDEN,
        Some("offer"),
    );
}

#[test]
fn join_modes() {
    let node = Node::new(1, acme());
    let (closed, _) = market("join = \"closed\"", &catalogue());
    assert_eq!(refused(&node, &closed).code(), "join_closed");

    let tokens = "join = \"token\"\ntokens = [\"0123456789abcdef\", \"fedcba9876543210\"]";
    let (market_with_tokens, _) = market(tokens, &catalogue());
    for (token, is_let_in) in [
        (None, false),
        (Some(""), false),
        (Some("0123456789abcdeX"), false),
        (Some("fedcba9876543210"), true),
    ] {
        let node = Node { join_token: token.map(str::to_owned), ..Node::new(1, acme()) };
        match node.ask(&market_with_tokens) {
            Ok(_) => assert!(is_let_in, "{token:?}"),
            Err(error) => {
                let refused = refusal(Err(error));
                assert!(!is_let_in, "{token:?}");
                assert_eq!(refused.code(), "join_token_required");
                assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
            }
        }
    }

    for (kind, key) in [("node", node.key.public()), ("operator", node.operator.public())] {
        let list =
            format!("join = \"allow-list\"\n[[market.{kind}]]\nkey = \"{key}\"\nname = \"n\"");
        let (market, _) = market(&list, &catalogue());
        let admission = node.ask(&market).expect("on the list");
        let named = if kind == "node" { &admission.provider } else { &admission.operator };
        assert_eq!(&**named, "n");
        assert_eq!(refused(&Node::new(2, acme()), &market).code(), "not_on_the_list");
    }
}

#[test]
fn a_name_belongs_to_one() {
    let node = Node::new(1, acme());
    let short = node.key.public().short();
    let upstream = format!(
        "[[upstream]]\nid = {short:?}\nbase_url = \"http://192.0.2.1/v1\"\nmodels = [{{ id = \"x\" }}]"
    );
    let (market_with_upstream, _) = market("", &format!("{}{upstream}", catalogue()));
    assert_eq!(refused(&node, &market_with_upstream).code(), "name_taken");

    let other = Node::new(2, acme()).key.public();
    let named = format!("[[market.node]]\nkey = \"{other}\"\nname = {short:?}");
    let (market, _) = market(&named, &catalogue());
    assert_eq!(refused(&node, &market).code(), "name_taken");
}

#[test]
fn there_are_places_for_so_many_and_a_place_not_taken_is_given_back() {
    let (market, _) = market("nodes_max = 2", &catalogue());
    let nodes = [1, 2, 3].map(|number| Node::new(number, acme()));
    let first = nodes[0].ask(&market).expect("a place");
    let _second = nodes[1].ask(&market).expect("a place");
    let full = refused(&nodes[2], &market);
    assert_eq!((full.code(), full.status()), ("full", StatusCode::SERVICE_UNAVAILABLE));
    assert!(full.retry_after().is_some());
    drop(first);
    nodes[2].ask(&market).expect("the first one's place");
}

#[test]
fn one_node_keeps_nobody_else_out_by_asking_often() {
    let (market, _) = market("nodes_max = 32", &catalogue());
    let node = Node::new(1, acme());
    let places: Vec<_> = (0..32).map_while(|_| node.ask(&market).ok()).collect();
    assert!(places.len() > 1, "a connection may have died unseen");
    assert_eq!(refused(&node, &market).code(), "full");
    Node::new(2, acme()).ask(&market).expect("a place");
}

#[test]
fn a_nodes_words_break_no_line() {
    let (market, _) = market("", &catalogue());
    let node = Node::new(1, acme());
    let hello = node.hello(market.identity().public(), now_ms()).expect("a hello");
    let text = serde_json::to_string(&hello).expect("JSON");
    let text = text.replace(r#""kind":"tunnel""#, r#""kind":"x\nINFO all is well\u001b[2J""#);
    let signature = node.key.sign("quorate/hello/v1", text.as_bytes());
    let signed = serde_json::json!({"statement": text, "signature": signature});
    let signed = serde_json::from_value(signed).expect("signed");
    let refusal = crate::harness::refusal(node.present(&market, &signed).map(drop)).to_string();
    assert!(refusal.contains("all is well") && !refusal.contains(char::is_control), "{refusal:?}");
}

#[test]
fn other_weights_under_a_listed_name_and_another_template() {
    let template = "c3".repeat(32);
    let entry = format!("{}template_sha256 = {template:?}\n", catalogue());
    let (market, _) = market("", &entry);
    let with = |id: &str, weights: Option<&str>, template: Option<&str>| {
        let template_sha256 = template.map(str::to_owned);
        Node::new(1, vec![openapi::node::Served { template_sha256, ..served(id, weights) }])
    };
    let listed = crate::harness::listed();
    let other = unlisted();
    for (id, weights, of, param) in [
        ("acme/m", Some(&other), None, "models[0].weights_id"),
        ("acme/m", None, None, "models[0].weights_id"),
        ("m-old", Some(&other), None, "models[0].weights_id"),
        ("acme/m", Some(&listed), None, "models[0].template_sha256"),
        ("acme/m", Some(&listed), Some("d4".repeat(32)), "models[0].template_sha256"),
    ] {
        let refused = refused(&with(id, weights.map(String::as_str), of.as_deref()), &market);
        assert_eq!((refused.code(), refused.param()), ("weights_not_listed", Some(param)), "{id}");
    }
    let right = with("acme/m", Some(&listed), Some(&template)).ask(&market).expect("admitted");
    assert!(right.welcome.granted.claims().expect("read").selling[0].verified);
}

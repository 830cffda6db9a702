//! Hellos of a node that signs whatever it likes: judged without a panic, and who is admitted sells
//! under names and at prices that mean what they say. What the node itself may sign (hello, offer,
//! delegation) is signed after the fuzzer has changed it.
#![no_main]

use gateway::clock::Manual;
use gateway::config::{self, Join, Settings};
use gateway::market::testing::{EXPORTER, NONCE, Node};
use gateway::market::{Market, Presented};
use libfuzzer_sys::fuzz_target;
use openapi::node::{Delegation, Hello, Offer};
use openapi::sign::{SecretKey, Signed, Statement};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};

const NOW_MS: u64 = 1_700_000_000_000;
const WEIGHTS: &str = "b3:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static SETTINGS: LazyLock<Settings> = LazyLock::new(|| {
    let text = format!(
        "[server]\ndata_dir = \"/nowhere\"\n[[model]]\nid = \"listed\"\naliases = [\"also\"]\n\
         weights_ids = [{WEIGHTS:?}]\n"
    );
    let mut settings = config::parse(&text, &|_| None).expect("valid");
    settings.market.join = Join::Open;
    settings
});

fn sign<T: Statement>(key: &SecretKey, statement: &str) -> Value {
    let signature = key.sign(T::DOMAIN, statement.as_bytes());
    json!({"statement": statement, "signature": signature})
}

/// Signs again what stands at a member.
fn sign_at<T: Statement>(hello: &mut Value, member: &str, key: &SecretKey) {
    let text = hello[member]["statement"].as_str().map(str::to_owned);
    if let Some(text) = text {
        hello[member] = sign::<T>(key, &text);
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(mut hello) = serde_json::from_slice::<Value>(data) else { return };
    if !hello.is_object() {
        return;
    }
    let node = Node::new(1, Vec::new());
    sign_at::<Offer>(&mut hello, "offer", &node.key);
    sign_at::<Delegation>(&mut hello, "delegation", &node.operator);
    let signed = sign::<Hello>(&node.key, &hello.to_string());
    let Ok(signed) = serde_json::from_value::<Signed<Hello>>(signed) else { return };

    let identity = Arc::new(SecretKey::from_seed(&[9; 32]));
    let clock = Arc::new(Manual::new(NOW_MS));
    let market = Market::new(&SETTINGS, identity, clock).expect("a market");
    let admitted = market.admit(&Presented {
        hello: &signed,
        join_token: None,
        exporter: EXPORTER,
        nonce: NONCE,
        remote: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
    });
    match admitted {
        Ok(admission) => {
            let granted = admission.welcome.granted.claims().expect("our own words");
            assert_eq!(granted.node, node.key.public());
            let hello: Hello = signed.claims().expect("it was read");
            assert_eq!(granted.selling.len(), hello.models.len());
            for selling in &granted.selling {
                let weights = hello.models.iter().find(|served| served.id == selling.model);
                let is_listed = weights.and_then(|w| w.weights_id.as_deref()) == Some(WEIGHTS);
                assert_eq!(selling.verified, is_listed, "{selling:?}");
                assert_eq!(selling.name == "listed", is_listed, "{selling:?}");
                assert!(is_listed || selling.name.ends_with(&format!("@{}", granted.provider)));
                assert!(selling.name.bytes().all(|b| b.is_ascii_graphic()), "{selling:?}");
            }
        }
        Err(refusal) => {
            assert!(!refusal.code().is_empty() && !refusal.to_string().is_empty());
            assert!(refusal.status().is_client_error() || refusal.status().is_server_error());
        }
    }
});

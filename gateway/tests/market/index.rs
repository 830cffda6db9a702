//! The index says what the naive filter says, for any offers, policy and scope.

use gateway::auth::Scope;
use gateway::market::Model;
use gateway::market::testing::Node;
use gateway::request::Policy;
use gateway::route::eligible::{self, Needs};
use openapi::node::{Feature, Served};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::sync::Arc;

use crate::harness::{acme, catalogue, market, url};

const REGIONS: [&str; 4] = ["eu-west", "EU-West", "us-east", "ap-south"];
const QUANTIZATIONS: [&str; 3] = ["bf16", "q4_k_m", "Q4_K_M"];
const FEATURES: [Feature; 5] =
    [Feature::Chat, Feature::Tools, Feature::JsonSchema, Feature::Logprobs, Feature::Vision];
const STATIC: &str = r#"
    [[upstream]]
    id = "static"
    operator = "acme"
    region = "us-east"
    base_url = "http://192.0.2.1/v1"
    models = [{ id = "acme/m", price_in = 0.1, quantization = "bf16" }]
"#;

#[derive(Debug, Clone)]
struct Draft {
    region: Option<&'static str>,
    quantization: Option<&'static str>,
    price: (u64, u64),
    features: Vec<Feature>,
    context: Option<u64>,
}

fn draft() -> impl Strategy<Value = Draft> {
    let region = proptest::option::of(select(&REGIONS[..]));
    let quantization = proptest::option::of(select(&QUANTIZATIONS[..]));
    let features = subsequence(FEATURES.to_vec(), 0..=FEATURES.len());
    let context = proptest::option::of(select(vec![1_000, 4_000, 4_001]));
    (region, quantization, (0..200_000u64, 0..200_000u64), features, context).prop_map(
        |(region, quantization, price, features, context)| Draft {
            region,
            quantization,
            price,
            features,
            context,
        },
    )
}

/// Names of the first few nodes and of the upstream, by id and by operator, and one of nobody.
fn names() -> Vec<String> {
    let nodes = (0..4).map(|number| Node::new(number, acme()));
    let keys = nodes.flat_map(|node| [node.key.public().short(), node.operator.public().short()]);
    keys.chain(["static", "acme", "nobody"].map(str::to_owned)).collect()
}

fn some(list: Vec<String>) -> impl Strategy<Value = Vec<String>> {
    let len = list.len().min(4);
    prop_oneof![Just(Vec::new()), subsequence(list, 0..=len)]
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().chain(&["nowhere"]).map(|text| (*text).to_owned()).collect()
}

fn policy() -> impl Strategy<Value = Option<Policy>> {
    let lists = (
        some(names()),
        some(names()),
        some(names()),
        some(texts(&REGIONS)),
        some(texts(&QUANTIZATIONS)),
    );
    let price = || proptest::option::of(0.0..0.2f64);
    let more = (any::<bool>(), price(), price(), prop::bool::weighted(0.05));
    let pin = proptest::option::weighted(0.2, select(names()));
    let policy = (lists, more, pin).prop_map(|(lists, more, pin)| {
        let (order, only, ignore, regions, quantizations) = lists;
        let (allow_fallbacks, prompt, completion, zdr) = more;
        let mut policy = Policy {
            order,
            only,
            ignore,
            regions,
            quantizations,
            allow_fallbacks,
            zdr,
            pin,
            ..Policy::default()
        };
        (policy.max_price.prompt, policy.max_price.completion) = (prompt, completion);
        policy
    });
    proptest::option::of(policy)
}

fn scope() -> impl Strategy<Value = Scope> {
    let regions = proptest::option::of(some(texts(&REGIONS)));
    let providers = proptest::option::of(some(names()));
    (regions, providers).prop_map(|(regions, providers)| Scope::new(None, regions, providers))
}

fn needs() -> impl Strategy<Value = Needs> {
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(tools, json_schema, logprobs, vision)| Needs { tools, json_schema, logprobs, vision },
    )
}

fn model(drafts: &[Draft]) -> Arc<Model> {
    let (market, _) = market("", &format!("{}{STATIC}", catalogue()));
    let join = |(number, draft): (usize, &Draft)| {
        let models = acme().into_iter().map(|served| Served {
            quantization: draft.quantization.map(str::to_owned),
            features: draft.features.clone(),
            context_length: draft.context,
            ..served
        });
        let mut node = Node::new(number as u64, models.collect());
        node.price = draft.price;
        node.region = draft.region.map(str::to_owned);
        node.join(&market, &url()).expect("joins")
    };
    let _members: Vec<_> = drafts.iter().enumerate().map(join).collect();
    market.publish();
    market.snapshot().model("acme/m").expect("sold").clone()
}

// Few cases with many questions each: a node's signatures take most of the time.
proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn bitmaps_admit_what_the_policy_admits(
        drafts in prop::collection::vec(draft(), 0..40),
        asked in prop::collection::vec((policy(), scope()), 64),
        needed in prop::collection::vec((needs(), 0..6_000u64), 16),
    ) {
        let model = model(&drafts);
        prop_assert_eq!(model.offers.len(), drafts.len() + 1);
        for (policy, scope) in asked {
            let by_index = model.index.admitted(&model.offers, policy.as_ref(), &scope);
            for (place, offer) in model.offers.iter().enumerate() {
                let terms = offer.terms();
                let refusal = policy.as_ref().and_then(|p| eligible::refusal(p, &terms));
                let naive = refusal.is_none() && eligible::reaches(&scope, &terms);
                prop_assert_eq!(by_index.contains(place), naive, "{:?} {:?}", policy, refusal);
            }
        }
        for (needs, tokens) in needed {
            let (able, shorter) = (model.index.able(&needs), model.index.shorter(tokens));
            for (place, offer) in model.offers.iter().enumerate() {
                let naive = eligible::lack(&needs, &offer.terms()).is_none();
                prop_assert_eq!(able.as_ref().is_none_or(|able| able.contains(place)), naive);
                let naive = offer.context.is_some_and(|context| context < tokens);
                prop_assert_eq!(shorter.as_ref().is_some_and(|set| set.contains(place)), naive);
            }
        }
    }
}

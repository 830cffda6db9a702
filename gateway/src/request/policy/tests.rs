use super::*;

fn param(result: Result<Policy, Error>) -> String {
    result.unwrap_err().param.unwrap()
}

#[test]
fn the_whole_vocabulary_is_read() {
    let policy = Policy::from_json(
        r#"{"order": ["a"], "only": ["a", "b"], "ignore": ["c"], "allow_fallbacks": false,
            "require_parameters": true, "data_collection": "deny", "zdr": true,
            "quantizations": ["bf16"], "sort": "latency", "preferred_min_throughput": 40,
            "preferred_max_latency": {"p50": 0.5, "p99": 3}, "max_price": {"prompt": 1, "completion": 2.5},
            "regions": ["eu-west"], "min_reputation": 0.9, "attested": true, "hedge": "off",
            "value_of_time": 0.001}"#,
    )
    .unwrap();
    assert_eq!(policy.only, ["a", "b"]);
    assert!(!policy.allow_fallbacks && policy.zdr && policy.attested);
    assert_eq!(policy.sort, Some(Sort::Latency));
    assert_eq!(policy.max_price.completion, Some(2.5));
    assert_eq!(policy.preferred_min_throughput, Some(Preference::Median(40.0)));
    let latency = [(Percentile::P50, 0.5), (Percentile::P99, 3.0)];
    assert_eq!(policy.preferred_max_latency, Some(Preference::Percentiles(latency.into())));
    assert_eq!(Policy::from_json("{}").unwrap(), Policy::default());
}

#[test]
fn errors_name_the_member() {
    for (text, member) in [
        (r#"[["a"]]"#, "provider"),
        (r#""eu""#, "provider"),
        (r#"{"only": "a"}"#, "provider.only"),
        (r#"{"only": [1]}"#, "provider.only[0]"),
        (r#"{"only": [""]}"#, "provider.only"),
        (r#"{"regoins": ["eu"]}"#, "provider.regoins"),
        (r#"{"sort": "exacto"}"#, "provider.sort"),
        (r#"{"max_price": {"prompt": "1"}}"#, "provider.max_price.prompt"),
        (r#"{"max_price": {"prompt": -1}}"#, "provider.max_price.prompt"),
        (r#"{"max_price": {"image": 1}}"#, "provider.max_price.image"),
        (r#"{"min_reputation": 2}"#, "provider.min_reputation"),
        (r#"{"preferred_max_latency": {"p51": 1}}"#, "provider.preferred_max_latency"),
        (r#"{"value_of_time": 1e99}"#, "provider.value_of_time"),
    ] {
        assert_eq!(param(Policy::from_json(text)), member, "{text}");
    }
    let long = format!(r#"{{"only": ["{}"]}}"#, "a".repeat(TEXT_BYTES_MAX));
    assert_eq!(param(Policy::from_json(&long)), "provider");
}

#[test]
fn a_doubled_member_is_refused() {
    let error = Policy::from_json(r#"{"only": ["a"], "only": ["b"]}"#).unwrap_err();
    assert!(error.message.contains("duplicate"), "{error}");
}

#[test]
fn a_header_says_the_same() {
    let name = "x-quorate-provider";
    let by_header = Policy::from_header(
        name,
        "only=a, b; sort=price; allow_fallbacks=false; max_price.prompt=0.5; max_price.completion=2",
    );
    let by_body = Policy::from_json(
        r#"{"only": ["a", "b"], "sort": "price", "allow_fallbacks": false,
            "max_price": {"prompt": 0.5, "completion": 2}}"#,
    );
    assert_eq!(by_header.unwrap(), by_body.unwrap());
    let json = Policy::from_header(name, r#"{"regions": ["eu"]}"#).unwrap();
    assert_eq!(json.regions, ["eu"]);
    for (text, member) in [
        ("sort", name),
        ("sort=price; sort=latency", "x-quorate-provider.sort"),
        ("zdr=maybe", "x-quorate-provider.zdr"),
        ("max_price=1; max_price.prompt=1", "x-quorate-provider.max_price"),
        ("colour=red", "x-quorate-provider.colour"),
    ] {
        assert_eq!(param(Policy::from_header(name, text)), member, "{text}");
    }
}

#[test]
fn verification_is_read_and_bounded() {
    let quorum = r#"{"mode": "quorum", "k": 2, "n": 3, "stream": "buffered", "strict": true}"#;
    let by_body = Verification::from_json(quorum).unwrap();
    let by_header =
        Verification::from_header("h", "quorum; k=2; n=3; stream=buffered; strict=true");
    assert_eq!(by_header.unwrap(), by_body);
    assert_eq!(Verification::from_header("h", "off").unwrap().mode, Mode::Off);
    assert_eq!(Verification::from_json("{}").unwrap(), Verification::default());
    for (text, member) in [
        (r#"{"mode": "both"}"#, "verification.mode"),
        (r#"{"mode": "quorum", "k": 4}"#, "verification.k"),
        (r#"{"n": 0}"#, "verification.n"),
        (r#"{"k": 1.5}"#, "verification.k"),
        (r#"{"quorum": true}"#, "verification.quorum"),
    ] {
        let error = Verification::from_json(text).unwrap_err();
        assert_eq!(error.param.unwrap(), member, "{text}");
    }
}

#[test]
fn a_name_said_again_in_an_order_says_nothing_more() {
    let policy = Policy::from_json(r#"{"order": ["a", "b", "a", "b", "c", "a"]}"#).unwrap();
    assert_eq!(policy.order, ["a", "b", "c"]);
}

use super::super::{Flags, Settings};
use super::*;

const ENGINE: &str = "[engine]\nkind = \"scripted\"\n";

fn parse(text: &str, flags: &Flags) -> Result<Market, Vec<String>> {
    let settings = Settings::parse(&format!("{ENGINE}{text}"), flags);
    settings.map(|settings| settings.market).map_err(|error| error.0)
}

#[test]
fn a_file_with_everything() {
    let key = "ab".repeat(32);
    let text = format!(
        r#"
        [node]
        region = "eu-west"
        lease_expires_at = "2026-03-01T00:00:30Z"
        [direct]
        listen = "0.0.0.0:8443"
        url = "https://me.example:8443"
        [[gateway]]
        url = "https://a.example:7443"
        key = "{key}"
        join_token = "secret-canary"
        ca = "public"
        [[gateway]]
        url = "https://[::1]:7443"
        [offer]
        price_in = 0.05
        price_out = 1
        valid_for_s = 3600
        [[offer.model]]
        id = "m"
        price_in = 0.25
        price_cached = 0.025
        [offer.sla]
        ttft_p95_ms = 800
        refund = 0.5
    "#
    );
    let market = parse(&text, &Flags::default()).unwrap();
    assert_eq!(market.gateways.len(), 2);
    assert_eq!(market.gateways[0].key.unwrap().to_string(), key);
    assert_eq!(market.offer.prices, Prices { prompt: 50_000, completion: 1_000_000, cached: None });
    let own = Prices { prompt: 250_000, completion: 1_000_000, cached: Some(25_000) };
    assert_eq!(market.offer.models["m"], own);
    assert_eq!(market.offer.valid_for, Duration::from_hours(1));
    assert_eq!(market.offer.sla.unwrap().ttft_p95_ms, Some(800));
    assert_eq!(market.lease_ends_ms, Some(1_772_323_230_000));
    assert_eq!(market.direct.as_ref().unwrap().url.as_str(), "https://me.example:8443/");
    assert!(!format!("{market:?}").contains("canary"));
}

#[test]
fn flags_name_gateways_pin_keys_and_set_prices() {
    let key = "cd".repeat(32);
    let flags = Flags {
        gateways: vec![format!("https://g:1#{key}"), "https://h".into()],
        join_token: Some("t".into()),
        price_in: Some(0.1),
        region: Some("us".into()),
        lease_expires_at: Some("60".into()),
        ..Flags::default()
    };
    let text = "[[gateway]]\nurl = \"https://h\"\njoin_token = \"own\"\n[[gateway]]\nurl = \"https://i\"\n[offer]\nprice_in = 9\nprice_out = 2";
    let market = parse(text, &flags).unwrap();
    let urls: Vec<&str> = market.gateways.iter().map(|gateway| gateway.url.as_str()).collect();
    assert_eq!(urls, ["https://g:1/", "https://h/"]);
    assert_eq!(market.gateways[0].key.unwrap().to_string(), key);
    let tokens = market.gateways.iter().map(|gateway| gateway.join_token.as_ref().unwrap());
    let tokens: Vec<&str> = tokens.map(secrecy::ExposeSecret::expose_secret).collect();
    assert_eq!(tokens, ["t", "own"]);
    assert_eq!(
        market.offer.prices,
        Prices { prompt: 100_000, completion: 2_000_000, cached: None }
    );
    assert_eq!((market.region.as_deref(), market.lease_ends_ms), (Some("us"), Some(60_000)));
}

#[test]
fn every_fault_has_its_path() {
    let text = r#"
        [node]
        lease_expires_at = "tomorrow"
        [direct]
        url = "http://me"
        [[gateway]]
        url = "http://plain"
        [[gateway]]
        url = "https://a"
        key = "12"
        ca = "/no/such/file"
        client_cert = "x"
        [offer]
        price_in = -1
        price_out = "much"
        [[offer.model]]
        price_in = 1
        [offer.sla]
        availability = 2
    "#;
    let flags = Flags { price_in: Some(-2.0), ..Flags::default() };
    let faults = parse(text, &flags).unwrap_err();
    let mut paths: Vec<&str> = faults.iter().map(|line| line.split(": ").next().unwrap()).collect();
    paths.sort_unstable();
    let expected = [
        "--price-in",
        "direct.listen",
        "direct.url",
        "gateway[0].url",
        "gateway[1].ca",
        "gateway[1].client_cert",
        "gateway[1].key",
        "node.lease_expires_at",
        "offer.model[0].id",
        "offer.price_in",
        "offer.price_out",
        "offer.sla.availability",
    ];
    assert_eq!(paths, expected, "{faults:#?}");
    for url in ["http://g", "https://g/path", "https://u:p@g", "https://g#12", "g"] {
        let flags = Flags { gateways: vec![url.to_owned()], ..Flags::default() };
        let faults = parse("", &flags).unwrap_err();
        assert!(faults.len() == 1 && faults[0].starts_with("--gateway: "), "{url} {faults:?}");
    }
}

#[test]
fn the_example_is_good() {
    let example = include_str!("../../../../deploy/provider.toml");
    let settings = Settings::parse(example, &Flags::default()).unwrap();
    assert_eq!(settings.market.gateways.len(), 1);
    assert_eq!(settings.market.offer.prices.cached, Some(5_000));
    // What is commented out is good too, once its files and variables are there.
    let lines = example.lines().map(|line| match line.strip_prefix("# ") {
        Some(member) if member.contains(" = ") || member.starts_with('[') => member,
        _ => line,
    });
    let absent = ["key", "ca", "client_cert", "client_key", "api_key", "join_token"];
    let faults = Settings::parse(&lines.collect::<Vec<_>>().join("\n"), &Flags::default());
    let faults = faults.unwrap_err().0;
    let of_absent = |line: &String| absent.iter().any(|key| line.contains(&format!(".{key}: ")));
    assert!(faults.iter().all(of_absent), "{faults:#?}");
}

#[test]
fn prices_that_lose_money_or_are_refused_everywhere_are_faults() {
    let paths = |text: &str, flags: &Flags| -> Vec<String> {
        let faults = parse(text, flags).unwrap_err();
        faults.iter().map(|line| line.split(": ").next().unwrap().to_owned()).collect()
    };
    let none = Flags::default();
    // Dollars per token, where dollars per million tokens are meant.
    let text = "[offer]\nprice_in = 0.00000005\nprice_out = 0.0000002";
    assert_eq!(paths(text, &none), ["offer.price_in", "offer.price_out"]);
    let flags = Flags { price_in: Some(1e-7), ..Flags::default() };
    assert_eq!(paths("", &flags), ["offer.price_in"]);
    assert_eq!(parse("[offer]\nprice_in = 0.000001", &none).unwrap().offer.prices.prompt, 1);
    let text = "[offer]\nprice_in = 0.01\nprice_cached = 0.05";
    assert_eq!(paths(text, &none), ["offer.price_cached"]);
    let text =
        "[[offer.model]]\nid = \"m\"\nprice_in = 1\n[[offer.model]]\nid = \"m\"\nprice_in = 2";
    assert_eq!(paths(text, &none), ["offer.model[1].id"]);
}

#[test]
fn a_join_token_goes_to_one_gateway_and_keys_are_not_printed() {
    let gateways = vec!["https://g".to_owned(), "https://h".to_owned()];
    let flags = Flags { gateways, join_token: Some("t".into()), ..Flags::default() };
    let faults = parse("", &flags).unwrap_err();
    assert!(faults.len() == 1 && faults[0].starts_with("--join-token: "), "{faults:?}");
    let pem = "-----BEGIN PRIVATE KEY-----\\ncanary\\n-----END PRIVATE KEY-----";
    let text = format!(
        "[node]\noperator_key = \"ed25519:canary\"\n[[gateway]]\nurl = \"https://g\"\n\
         ca = \"{pem}\"\nclient_cert = \"{pem}\"\nclient_key = \"{pem}\""
    );
    let faults = parse(&text, &Flags::default()).unwrap_err();
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert!(faults.iter().all(|line| !line.contains("canary")), "{faults:?}");
}

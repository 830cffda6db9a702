//! The configuration file: everything that is wrong with it, at once, with its place.

use gateway::config::{self, Error, LIMITS, Mode, Problem};
use gateway::request::{DeveloperRole, Dialect, TokenLimit};
use secrecy::ExposeSecret as _;
use std::num::NonZeroU32;
use std::time::Duration;

fn env(name: &str) -> Option<String> {
    match name {
        "BENCH_KEY" => Some("qk_bench_0123456789".to_owned()),
        "VLLM_KEY" => Some("sk-upstream".to_owned()),
        "HOME" => Some("/home/me".to_owned()),
        _ => None,
    }
}

fn problems(text: &str) -> Vec<(String, String)> {
    match config::parse(text, &env) {
        Err(Error::Invalid(problems)) => {
            problems.into_iter().map(|Problem { path, message }| (path, message)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_documented_example_is_valid() {
    let digest = format!("b3:{}", "0f".repeat(32));
    let text = format!(
        r#"
        [server]
        listen = "0.0.0.0:8080"
        admin_listen = "127.0.0.1:9090"
        data_dir = "/var/lib/quorate"
        [auth]
        mode = "keys"
        [[key]]
        name = "bench"
        key = "$BENCH_KEY"
        requests_per_minute = 600
        tokens_per_minute = 100000
        concurrent_streams = 8
        choices_max = 4
        models = ["qwen3-8b", "acme/*"]
        regions = ["eu-west"]
        providers = ["vllm-a"]
        budget_usd_per_day = 5.0
        [[upstream]]
        id = "vllm-a"
        operator = "acme"
        base_url = "http://10.0.0.5:8000/v1/"
        api_key = "${{VLLM_KEY}}"
        region = "eu-west"
        allow_private = true
        max_tokens_member = "max_tokens"
        developer_role = "system"
        prefill = "continue_final_message"
        models = [{{ id = "qwen3-8b", upstream_model = "Qwen/Qwen3-8B", price_in = 0.05, price_out = 1, context = 32768 }}]
        [[model]]
        id = "qwen3-8b"
        aliases = ["gpt-4o-mini"]
        weights_ids = ["{digest}"]
        [limits]
        stall_ms = 1500
        [telemetry]
        format = "json"
        level = "gateway=debug,info"
        "#
    );
    let settings = config::parse(&text, &env).expect("valid");
    assert_eq!(settings.server.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(settings.auth.mode, Mode::Keys);
    assert_eq!(settings.keys[0].key.expose_secret(), "qk_bench_0123456789");
    let upstream = &settings.upstreams[0];
    assert_eq!(upstream.base_url.as_str(), "http://10.0.0.5:8000/v1");
    assert_eq!(upstream.api_key.as_ref().map(|key| key.expose_secret()), Some("sk-upstream"));
    assert_eq!(upstream.models[0].price_out, Some(1.0));
    let dialect = Dialect { token_limit: TokenLimit::MaxTokens, developer: DeveloperRole::System };
    assert_eq!(upstream.dialect, dialect);
    assert!(upstream.continues);
    assert_eq!(settings.limits.stall, Duration::from_millis(1500));
    assert_eq!(settings.limits.body_bytes, 64 * 1024 * 1024);
    let key = &settings.keys[0];
    assert_eq!(key.rules.requests_per_minute.map(NonZeroU32::get), Some(600));
    assert_eq!(key.rules.tokens_per_minute.map(NonZeroU32::get), Some(100_000));
    assert!(key.scope.allows_model(&["acme/any"]) && !key.scope.allows_model(&["other"]));
    assert_eq!(settings.warnings(), ["key bench: budget_usd_per_day is not yet enforced"]);
}

#[test]
fn little_needs_to_be_said() {
    let settings = config::parse("[auth]\nmode = \"open\"", &env).expect("valid");
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.server.admin_listen.to_string(), "127.0.0.1:9090");
    assert_eq!(settings.server.data_dir.to_str(), Some("/home/me/.local/share/quorate"));
    assert!(settings.warnings()[0].contains("no [[upstream]]"));
}

#[test]
fn all_errors_come_at_once_with_their_places() {
    let text = r#"
        bogus = 1
        [server]
        listen = "nonsense"
        [market]
        join = "token"
        [[key]]
        name = "a"
        key = 12345678901234567890123
        [[key]]
        name = "a"
        key = "$NO_SUCH_KEY"
        extra = 1
        [[key]]
        key = "short"
        [[upstream]]
        id = "a b"
        base_url = "ftp://example.com"
        models = [{ id = 5 }, { id = "x", price_in = -1.0, price_out = 1e300 }, { id = "x" }]
        [[upstream]]
        base_url = "http://user:pass@example.com/v1?x=1"
        [[model]]
        id = "m"
        aliases = ["m", "x"]
        weights_ids = ["md5:1"]
        [limits]
        attempts = 99
        stall_ms = "soon"
        no_such_ms = 1
        [telemetry]
        format = "xml"
        level = "a=b=c"
    "#
    // The integer above is too long for TOML; this one is not.
    .replace("12345678901234567890123", "1234567890123456");
    let found = problems(&text);
    for (path, message) in [
        ("bogus", "unknown field"),
        ("server.listen", "not an address"),
        ("market.node_listen", "is required where nodes may join"),
        ("market.tokens", "at least one token"),
        ("key[0].key", "must be a string"),
        ("key[1].name", "used twice"),
        ("key[1].key", "NO_SUCH_KEY is not set"),
        ("key[1].extra", "unknown field"),
        ("key[2].name", "is required"),
        ("key[2].key", "16 to 256"),
        ("upstream[0].id", "may hold"),
        ("upstream[0].base_url", "http or https"),
        ("upstream[0].models[0].id", "expected a string"),
        ("upstream[0].models[1].price_in", "at least 0"),
        ("upstream[0].models[1].price_out", "at most 1000000"),
        ("upstream[0].models[2].id", "listed twice"),
        ("upstream[1].id", "is required"),
        ("upstream[1].base_url", "user or password"),
        ("upstream[1].models", "at least one"),
        ("model[0].aliases[0]", "already a name"),
        ("model[0].weights_ids[0]", "64 hex digits"),
        ("limits.attempts", "not between 1 and 16"),
        ("limits.stall_ms", "expected u64"),
        ("limits.no_such_ms", "unknown field"),
        ("telemetry.format", "xml"),
        ("telemetry.level", "not a log filter"),
    ] {
        let at = found.iter().filter(|(p, m)| p == path && m.contains(message)).count();
        assert_eq!(at, 1, "{path}: {message} in {found:#?}");
    }
    assert!(!format!("{found:?}").contains("1234567890123456"), "a key is never printed");
    assert!(!format!("{found:?}").contains("user:pass"), "nor is a password");
}

#[test]
fn the_breakers_and_hedges_numbers_are_checked() {
    let found = problems(
        r#"
        [breaker]
        failures = 0
        backoff_ms = 50
        backoff_max_ms = 90000000
        ejected_max = 1.5
        patience = 1
        [hedging]
        credits = -0.1
        delay_max_ms = 9000
        [routing]
        value_of_time = 2.0
        "#,
    );
    for (path, message) in [
        ("breaker.failures", "0 is not between 1 and 1000"),
        ("breaker.backoff_ms", "50 is not between 100 and 86400000"),
        ("breaker.backoff_max_ms", "90000000 is not between 100 and 86400000"),
        ("breaker.ejected_max", "1.5 is not between 0 and 1"),
        ("breaker.patience", "unknown field"),
        ("hedging.credits", "-0.1 is not between 0 and 1"),
        ("hedging.delay_max_ms", "9000 is not between 300 and 8000"),
        ("routing.value_of_time", "2 is not between 0 and 1"),
    ] {
        let at = found.iter().filter(|(p, m)| p == path && m.contains(message)).count();
        assert_eq!(at, 1, "{path}: {message} in {found:#?}");
    }
    let larger = problems("[breaker]\nbackoff_ms = 2000\nbackoff_max_ms = 1000");
    assert_eq!(larger[0].0, "breaker.backoff_ms", "{larger:?}");
    // The longest pause is no shorter than the first, if only that is set.
    let text = "[auth]\nmode = \"open\"\n[breaker]\nbackoff_ms = 600000\nfailures = 2";
    let breaker = config::parse(text, &env).expect("valid").breaker;
    assert_eq!((breaker.rules.failures, breaker.rules.backoff_max_ms), (2, 600_000));
    assert!((breaker.ejected_max - 0.7).abs() < 1e-9);
}

#[test]
fn a_keys_limits_and_lists_are_checked() {
    let found = problems(
        r#"
        [[key]]
        name = "key_00000000000000000000000000000001"
        key = "qk_0123456789abcdef"
        requests_per_minute = 0
        tokens_per_minute = -5
        choices_max = 129
        models = ["a*b"]
        regions = "eu"
        providers = []
        "#,
    );
    for (member, message) in [
        ("name", "look like a key's id"),
        ("requests_per_minute", "not between 1 and 1000000000"),
        ("tokens_per_minute", "expected u64"),
        ("choices_max", "not between 1 and 128"),
        ("models", "a * may only stand at the end"),
        ("regions", "expected a sequence"),
        ("providers", "leave it out to allow all"),
    ] {
        let path = format!("key[0].{member}");
        let at = found.iter().filter(|(p, m)| *p == path && m.contains(message)).count();
        assert_eq!(at, 1, "{path}: {message} in {found:#?}");
    }
}

#[test]
fn a_dialect_has_its_words_and_a_cache_its_ranges() {
    let text = r#"
        auth.mode = "open"
        cache = { bytes = 100000, entry_bytes = 200000, ttl_ms = 0 }
        [[upstream]]
        id = "a"
        base_url = "http://127.0.0.1:1/v1"
        models = [{ id = "m" }]
        max_tokens_member = "limit"
        developer_role = "user"
        prefill = "yes"
    "#;
    let found = problems(text);
    for (path, message) in [
        ("upstream[0].max_tokens_member", "as_sent, max_tokens or max_completion_tokens"),
        ("upstream[0].developer_role", "as_sent or system"),
        ("upstream[0].prefill", "none or continue_final_message"),
        ("cache.entry_bytes", "not be larger"),
        ("cache.ttl_ms", "not between 1 and"),
    ] {
        let at = found.iter().filter(|(p, m)| p == path && m.contains(message)).count();
        assert_eq!(at, 1, "{path}: {message} in {found:#?}");
    }
    assert_eq!(found.len(), 5, "{found:#?}");
}

#[test]
fn a_missing_thing_is_reported_once() {
    let found = problems("[[upstream]]\nid = 1\nbase_url = 2\nmodels = 3");
    let mut paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["upstream[0].base_url", "upstream[0].id", "upstream[0].models"]);
}

#[test]
fn an_open_gateway_must_not_be_reachable() {
    for (member, address, refused) in [
        ("listen", "127.0.0.1:0", false),
        ("listen", "[::1]:0", false),
        ("listen", "localhost:0", false),
        ("listen", "0.0.0.0:0", true),
        ("listen", "[::]:0", true),
        ("listen", "192.168.1.4:0", true),
        ("admin_listen", "0.0.0.0:0", true),
    ] {
        let text = format!("[auth]\nmode = \"open\"\n[server]\n{member} = \"{address}\"");
        let outcome = config::parse(&text, &env);
        assert_eq!(outcome.is_err(), refused, "{member} {address}");
        if let Err(error) = outcome {
            assert!(error.to_string().starts_with("auth.mode: "), "{error}");
        }
    }
}

#[test]
fn a_syntax_error_names_its_place_and_shows_no_line() {
    let error = config::parse("[[key]]\nname = \"a\"\nkey = \"qk_secret_secret\n", &env)
        .expect_err("not TOML")
        .to_string();
    assert!(error.starts_with("line 3, column "), "{error}");
    assert!(!error.contains("qk_secret"), "{error}");
}

#[test]
fn listeners_differ() {
    let found = problems("[server]\nlisten = \"127.0.0.1:1\"\nadmin_listen = \"127.0.0.1:1\"");
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["server.admin_listen"]);
}

#[test]
fn a_file_without_keys_is_valid_since_keys_are_made_at_run_time() {
    let settings = config::parse("", &env).expect("valid");
    assert_eq!(settings.auth.mode, Mode::Keys);
    assert!(settings.keys.is_empty());
}

#[test]
fn the_limits_table() {
    let rows: Vec<String> = LIMITS
        .iter()
        .map(|l| format!("{} = {} ({}..={})  {}", l.name, l.default, l.min, l.max, l.behaviour))
        .collect();
    insta::assert_snapshot!(rows.join("\n"));
}

#[test]
fn each_limit_is_a_member_of_the_file_and_is_kept_to() {
    for limit in LIMITS {
        let with = |value: u64| {
            let text = format!("[auth]\nmode = \"open\"\n[limits]\n{} = {value}", limit.name);
            config::parse(&text, &env)
        };
        assert!(with(limit.default).is_ok() && with(limit.max).is_ok(), "{}", limit.name);
        let error = with(limit.max + 1).expect_err("beyond the range").to_string();
        assert!(error.starts_with(&format!("limits.{}: ", limit.name)), "{error}");
    }
}

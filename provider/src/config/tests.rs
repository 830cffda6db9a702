use super::*;
use crate::engine::toy::{Cheat, Options, Quant};

fn faults(text: &str) -> Vec<String> {
    Settings::parse(text, &Flags::default()).unwrap_err().0
}

#[test]
fn all_faults_are_reported_at_once_with_their_path() {
    let text = r#"
        colour = "red"
        [server]
        listen = "nowhere"
        max_connections = 0
        drain_timeout_ms = "soon"
        speed = 9
        [admission]
        queue = -1
        [engine]
        kind = "upstream"
        [upstream]
        api_key = "$QUORATE_TEST_THIS_IS_NOT_SET"
        models = [{ upstream_model = "x" }, 7]
    "#;
    let faults = faults(text);
    for path in [
        "colour",
        "server.listen",
        "server.max_connections",
        "server.drain_timeout_ms",
        "server.speed",
        "admission.queue",
        "upstream.api_key",
        "upstream.base_url",
        "upstream.models[0].id",
        "upstream.models[1]",
    ] {
        let hits = faults.iter().filter(|line| line.starts_with(&format!("{path}: "))).count();
        assert_eq!(hits, 1, "{path} in {faults:#?}");
    }
    assert_eq!(faults.len(), 10, "{faults:#?}");
}

#[test]
fn flags_win_over_the_file() {
    let text = r#"
        [server]
        listen = "127.0.0.1:1"
        [engine]
        kind = "scripted"
        model_id = "a"
        max_concurrent = 3
        [script]
        tokens = 5
    "#;
    let flags = Flags {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        model_id: Some("b".into()),
        ..Flags::default()
    };
    let settings = Settings::parse(text, &flags).unwrap();
    assert_eq!(settings.listen.port(), 0);
    let Engine::Scripted(options) = settings.engine else { panic!("not scripted") };
    assert_eq!(options.models, ["b"]);
    assert_eq!((options.max_concurrent, options.script.tokens), (3, 5));
}

#[test]
fn defaults_need_only_a_model() {
    assert_eq!(faults("").len(), 1);
    let flags = Flags { model: Some("/models/m".into()), ..Flags::default() };
    let settings = Settings::parse("", &flags).unwrap();
    assert_eq!(settings.listen, LISTEN_DEFAULT);
    assert_eq!(settings.queue, 64);
    assert_eq!(settings.requests.body_bytes, 64 << 20);
    assert!(matches!(settings.engine, Engine::Mistral(_)));
}

#[test]
fn an_upstream_that_scores() {
    let text = r#"
        [engine]
        kind = "upstream"
        [upstream]
        base_url = "http://127.0.0.1:8000/v1"
        scorer = "sglang"
        models = [{ id = "m", weights_id = "b3:w", quant = "bf16", files = "/models/m" }]
    "#;
    let settings = Settings::parse(text, &Flags::default()).unwrap();
    let Engine::Upstream(options) = settings.engine else { panic!("no upstream") };
    assert_eq!(options.scorer, Some(upstream::Dialect::Sglang));
    let model = &options.models[0];
    assert_eq!((model.weights_id.as_deref(), model.quant.as_deref()), (Some("b3:w"), Some("bf16")));
    assert_eq!(model.files.as_deref(), Some(Path::new("/models/m")));
    let wrong = faults(&text.replace("sglang", "ollama"));
    assert_eq!(wrong, ["upstream.scorer: must be vllm, sglang or llama_cpp"]);
}

#[test]
fn an_upstream_by_flags_alone() {
    let flags = Flags {
        upstream: Some("http://127.0.0.1:8000/v1".into()),
        model: Some("Qwen/Qwen3-8B".into()),
        model_id: Some("qwen3-8b".into()),
        ..Flags::default()
    };
    let settings = Settings::parse("", &flags).unwrap();
    let Engine::Upstream(options) = settings.engine else { panic!("not upstream") };
    assert_eq!(options.models[0].id, "qwen3-8b");
    assert_eq!(options.models[0].upstream_model, "Qwen/Qwen3-8B");
}

#[test]
fn a_section_of_another_engine_is_a_fault() {
    let text = "[engine]\nkind = \"mistral\"\nmodel = \"m\"\n[script]\ntokens = 1";
    assert_eq!(faults(text), ["script.tokens: unknown member"]);
}

#[test]
fn keys_are_not_printed() {
    let text = "[upstream]\nbase_url = \"http://h/v1\"\napi_key = \"sk-canary\"\n[engine]\nkind = \"upstream\"";
    let settings = Settings::parse(text, &Flags::default()).unwrap();
    assert!(!format!("{settings:?}").contains("canary"));
}

#[test]
fn malformed_text_is_placed_and_not_repeated() {
    let error = Settings::parse("[upstream]\napi_key = \"sk-hidden\nx = 1", &Flags::default());
    let text = error.unwrap_err().to_string();
    assert!(text.contains("line 2: "), "{text}");
    assert!(!text.contains("sk-hidden"), "{text}");
}

#[test]
fn a_second_model_by_flags_or_by_the_file() {
    let text = "[engine]\nmodel = \"m\"\nembedding_model = \"a\"\nembedding_model_id = \"x\"";
    let of = |flags: &Flags| match Settings::parse(text, flags).unwrap().engine {
        Engine::Mistral(mistral) => (mistral.embedding_model, mistral.embedding_model_id),
        other => panic!("{other:?}"),
    };
    assert_eq!(of(&Flags::default()), (Some("a".into()), Some("x".into())));
    let flags = Flags { embedding_model: Some("b".into()), ..Flags::default() };
    assert_eq!(of(&flags), (Some("b".into()), Some("x".into())));
    let elsewhere = "[engine]\nkind = \"scripted\"\nembedding_model = \"a\"";
    assert_eq!(faults(elsewhere), ["engine.embedding_model: unknown member"]);
}

#[test]
fn a_toy_is_told_what_to_be_and_how_to_cheat() {
    let text = "[engine]\nkind = \"toy\"\nmodel_id = \"t\"\n[toy]\nweights = \"w\"\nquant = \"q4_k_m\"\n\
        noise = 0.03\nmachine = 2\nbuild = \"b\"\ntoken_delay_ms = 5\ncheat = \"prefill\"\ncheat_share = 0.1";
    let Engine::Toy(toy) = Settings::parse(text, &Flags::default()).unwrap().engine else {
        panic!("a toy")
    };
    let expected = Options {
        id: "t".to_owned(),
        weights: "w".to_owned(),
        quant: Quant::Q4,
        noise: 0.03,
        machine: 2,
        build: Some("b".to_owned()),
        token_delay: Duration::from_millis(5),
        cheat: Some(Cheat::Prefill),
        cheat_share: 0.1,
        ..Options::default()
    };
    assert_eq!(*toy, expected);
    let wrong = faults(
        "[engine]\nkind = \"toy\"\n[toy]\nquant = \"q5\"\ncheat = \"all\"\nnoise = -1\nspeed = 1",
    );
    let paths: Vec<&str> = wrong.iter().filter_map(|line| Some(line.split_once(':')?.0)).collect();
    assert_eq!(paths, ["toy.quant", "toy.cheat", "toy.noise", "toy.speed"]);
    assert_eq!(
        faults("[engine]\nkind = \"scripted\"\n[toy]\nnoise = 1"),
        ["toy.noise: unknown member"]
    );
}

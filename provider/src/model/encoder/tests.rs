use super::*;
use crate::engine::RawRequest;
use crate::tokenizer::fixture;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The fixture's vocabulary, an end token after every text, a context of 1,024.
fn folder(modules: Value, pooling: Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, value: Value| {
        std::fs::write(folder.path().join(name), value.to_string()).unwrap();
    };
    fixture::folder(folder.path(), "");
    let mut tokenizer = fixture::file();
    let end = json!({"SpecialToken": {"id": "<|im_end|>", "type_id": 0}});
    tokenizer["post_processor"] = json!({"type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, end], "pair": [],
        "special_tokens": {"<|im_end|>": {"id": "<|im_end|>", "ids": [fixture::EOS], "tokens": ["<|im_end|>"]}}});
    // As some models' files have it: a longer input would lose its end without a word.
    tokenizer["truncation"] = json!({"direction": "Right", "max_length": 16,
        "strategy": "LongestFirst", "stride": 0});
    write("tokenizer.json", tokenizer);
    write(
        "config.json",
        json!({"architectures": ["Qwen3ForCausalLM"], "max_position_embeddings": 1024,
            "vocab_size": 1010, "torch_dtype": "float16"}),
    );
    write("modules.json", modules);
    for (name, value) in
        [("1_Pooling", pooling), ("2_Dense", json!({"out_features": 4, "bias": true}))]
    {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        write(&format!("{name}/config.json"), value);
    }
    folder
}

fn modules(kinds: &[&str]) -> Value {
    let paths = ["", "1_Pooling", "2_Dense", "3_Normalize"];
    kinds
        .iter()
        .zip(paths)
        .map(|(kind, path)| json!({"path": path, "type": format!("sentence_transformers.models.{kind}")}))
        .collect()
}

fn last_token() -> Value {
    json!({"word_embedding_dimension": 8, "pooling_mode_lasttoken": true, "include_prompt": true})
}

fn encoder() -> Encoder {
    let folder = folder(modules(&["Transformer", "Pooling"]), last_token());
    assert!(is_encoder(folder.path()));
    Encoder::from_folder(folder.path()).unwrap()
}

fn job(inputs: Vec<Input>) -> Job {
    Job {
        request_id: "r".into(),
        model: "m".into(),
        inputs,
        is_list: true,
        dimensions: None,
        raw: RawRequest::default(),
    }
}

fn text(text: &str) -> Input {
    Input::Text(text.to_owned())
}

#[test]
fn texts_get_the_tokenizers_own_tokens_and_ids_do_not() {
    let encoder = encoder();
    assert_eq!((encoder.dimensions, encoder.context), (8, 1024));
    let encoded = encoder.encode(&job(vec![text("hello"), Input::Ids(vec![7, 1009])])).unwrap();
    assert_eq!(encoded.inputs, [vec![259, fixture::EOS], vec![7, 1009]]);
    assert_eq!(encoded.tokens, 4);
}

#[test]
fn nothing_is_cut_off_in_silence() {
    let encoded = encoder().encode(&job(vec![text(&"x".repeat(1023))])).unwrap();
    assert_eq!(encoded.tokens, 1024);
}

#[test]
fn what_cannot_be_read_is_refused_by_its_place() {
    let encoder = encoder();
    let long = Some("context_length_exceeded");
    for (input, code) in [
        (text(&"x".repeat(1024)), long),
        (text(&"hello".repeat(1 << 20)), long),
        (Input::Ids(vec![1; 1025]), long),
        (Input::Ids(vec![1, 1010]), None),
        (Input::Ids(vec![1, u32::MAX]), None),
        (Input::Ids(vec![1]), None),
    ] {
        match encoder.encode(&job(vec![text("hello"), input])) {
            Err(Error::Invalid { param, code: found, .. }) => {
                assert_eq!((param.as_deref(), found), (Some("input[1]"), code));
            }
            other => panic!("{other:?}"),
        }
    }
    let wide = Job { dimensions: Some(9), ..job(vec![text("hello")]) };
    match encoder.encode(&wide) {
        Err(Error::Invalid { param, .. }) => assert_eq!(param.as_deref(), Some("dimensions")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn models_of_which_wrong_vectors_would_be_made_are_refused() {
    let mean = json!({"word_embedding_dimension": 8, "pooling_mode_mean_tokens": true});
    let usual = ["Transformer", "Pooling", "Dense", "Normalize"];
    let load = |kinds: &[&str], pooling: &Value| {
        Encoder::from_folder(folder(modules(kinds), pooling.clone()).path())
    };
    assert_eq!(load(&usual, &last_token()).unwrap().dimensions, 4);
    assert_eq!(load(&["Transformer", "Pooling"], &mean).unwrap().dimensions, 8);
    // Its bias would be added to a sum.
    assert!(load(&usual, &mean).is_err());
    for kinds in [
        &["Transformer"][..],
        &["Pooling", "Transformer"],
        &["Transformer", "Normalize"],
        &["Transformer", "Pooling", "LSTM"],
        &["Transformer", "Pooling", "Pooling"],
    ] {
        assert!(load(kinds, &last_token()).is_err(), "{kinds:?}");
    }
    for (member, value) in [
        ("pooling_mode_cls_token", json!(true)),
        ("pooling_mode_max_tokens", json!(true)),
        ("pooling_mode_mean_tokens", json!(true)),
        ("pooling_mode_lasttoken", json!(false)),
        ("include_prompt", json!(false)),
        ("word_embedding_dimension", json!(0)),
    ] {
        let mut pooling = last_token();
        pooling[member] = value;
        assert!(load(&["Transformer", "Pooling"], &pooling).is_err(), "{member}");
    }
    let mut outside = modules(&["Transformer", "Pooling"]);
    outside[1]["path"] = json!("../1_Pooling");
    let folder = folder(outside, last_token());
    assert!(Encoder::from_folder(folder.path()).is_err());
}

//! The bundled model as other files of the same weights: Q8_0 in GGUF, with and without the
//! tokenizer's files beside it, and f16 arithmetic.

use crate::bench::*;
use std::fs;
use std::path::Path;

/// GGUF's tensor types.
const F32: u32 = 0;
const Q8_0: u32 = 8;

#[tokio::test]
async fn a_gguf_file_alone_is_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pip-q8_0.gguf");
    fs::write(&file, gguf()).unwrap();
    let source = ModelSource::parse(&file.display().to_string(), false).unwrap();
    let bench = bench_of(source.clone(), Dtype::Auto).await;
    bench.assert_alive().await;
    let models = bench.engine.models();
    assert_eq!((models[0].quant.as_deref(), models[0].context_length), (Some("q8_0"), Some(1024)));
    let alone = bench.read(warm(ask("Tell me a story."), 1.0, 3)).await.unwrap();

    for name in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        fs::copy(model().join(name), folder.path().join(name)).unwrap();
    }
    let beside = bench_of(source, Dtype::Auto).await;
    assert_eq!(beside.read(warm(ask("Tell me a story."), 1.0, 3)).await.unwrap(), alone);
    assert_eq!(beside.engine.models()[0].weights_id, models[0].weights_id);
}

#[tokio::test]
async fn f16_works_on_the_cpu() {
    let bench = bench_of(ModelSource::Folder(model()), Dtype::F16).await;
    bench.assert_alive().await;
    assert_eq!(bench.engine.models()[0].quant.as_deref(), Some("f16"));
}

/// The safetensors of the bundled model, matrices in Q8_0, with tokenizer and template inside.
fn gguf() -> Vec<u8> {
    let weights = fs::read(model().join("model.safetensors")).unwrap();
    let header = usize::try_from(u64::from_le_bytes(weights[..8].try_into().unwrap())).unwrap();
    let tensors: Value = serde_json::from_slice(&weights[8..8 + header]).unwrap();
    let data = &weights[8 + header..];
    let tensors: Vec<_> = tensors
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| *name != "__metadata__")
        .map(|(name, tensor)| {
            let at =
                |i: usize| usize::try_from(tensor["data_offsets"][i].as_u64().unwrap()).unwrap();
            let values: Vec<f32> = data[at(0)..at(1)]
                .chunks_exact(2)
                .map(|half| f16(u16::from_le_bytes([half[0], half[1]])))
                .collect();
            let mut shape: Vec<u64> =
                tensor["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
            shape.reverse();
            let (kind, bytes) = match shape.len() {
                1 => (F32, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()),
                _ => (Q8_0, values.chunks_exact(32).flat_map(q8_0).collect()),
            };
            (renamed(name), shape, kind, bytes)
        })
        .collect();
    let mut file = b"GGUF\x03\0\0\0".to_vec();
    let pairs = metadata();
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend((pairs.len() as u64).to_le_bytes());
    for (key, value) in &pairs {
        text(&mut file, key);
        file.extend(value);
    }
    let mut offset = 0u64;
    for (name, shape, kind, bytes) in &tensors {
        text(&mut file, name);
        file.extend(u32::try_from(shape.len()).unwrap().to_le_bytes());
        shape.iter().for_each(|n| file.extend(n.to_le_bytes()));
        file.extend(kind.to_le_bytes());
        file.extend(offset.to_le_bytes());
        offset += (bytes.len() as u64).next_multiple_of(32);
    }
    for (_, _, _, bytes) in &tensors {
        file.resize(file.len().next_multiple_of(32), 0);
        file.extend(bytes);
    }
    file
}

fn metadata() -> Vec<(String, Vec<u8>)> {
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(model().join(Path::new(name))).unwrap()).unwrap()
    };
    let (config, tokenizer) = (read("config.json"), read("tokenizer.json"));
    let mut tokens: Vec<(u64, String)> = tokenizer["model"]["vocab"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(token, id)| (id.as_u64().unwrap(), token.clone()))
        .collect();
    let added = tokenizer["added_tokens"].as_array().unwrap();
    let special: Vec<u64> = added.iter().map(|token| token["id"].as_u64().unwrap()).collect();
    tokens.extend(
        added.iter().map(|t| (t["id"].as_u64().unwrap(), t["content"].as_str().unwrap().into())),
    );
    tokens.sort();
    tokens.dedup();
    let kinds = tokens.iter().map(|(id, _)| if special.contains(id) { 3i32 } else { 1 });
    let kinds: Vec<u8> = kinds.flat_map(i32::to_le_bytes).collect();
    let names: Vec<String> = tokens.into_iter().map(|(_, token)| token).collect();
    let merges = tokenizer["model"]["merges"].as_array().unwrap().iter().map(|merge| match merge {
        Value::String(merge) => merge.clone(),
        pair => format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()),
    });
    let number = |name: &str| u32::try_from(config[name].as_u64().unwrap()).unwrap();
    let template = read("tokenizer_config.json")["chat_template"].as_str().unwrap().to_owned();
    let mut pairs = vec![
        ("general.architecture".into(), string("qwen3")),
        ("general.file_type".into(), int(7)),
        ("general.quantization_version".into(), int(2)),
        ("qwen3.attention.layer_norm_rms_epsilon".into(), float(1e-6)),
        ("qwen3.rope.freq_base".into(), float(10_000.0)),
        ("tokenizer.ggml.model".into(), string("gpt2")),
        ("tokenizer.ggml.pre".into(), string("qwen2")),
        ("tokenizer.ggml.tokens".into(), strings(&names)),
        ("tokenizer.ggml.token_type".into(), list(5, names.len(), &kinds)),
        ("tokenizer.ggml.merges".into(), strings(&merges.collect::<Vec<_>>())),
        ("tokenizer.ggml.eos_token_id".into(), int(END)),
        ("tokenizer.ggml.bos_token_id".into(), int(1533)),
        ("tokenizer.chat_template".into(), string(&template)),
    ];
    for (key, name) in [
        ("context_length", "max_position_embeddings"),
        ("embedding_length", "hidden_size"),
        ("block_count", "num_hidden_layers"),
        ("feed_forward_length", "intermediate_size"),
        ("attention.head_count", "num_attention_heads"),
        ("attention.head_count_kv", "num_key_value_heads"),
        ("attention.key_length", "head_dim"),
        ("attention.value_length", "head_dim"),
        ("rope.dimension_count", "head_dim"),
        ("vocab_size", "vocab_size"),
    ] {
        pairs.push((format!("qwen3.{key}"), int(number(name))));
    }
    pairs
}

fn renamed(name: &str) -> String {
    let name = name.strip_prefix("model.").unwrap();
    match name {
        "embed_tokens.weight" => return "token_embd.weight".into(),
        "norm.weight" => return "output_norm.weight".into(),
        _ => {}
    }
    let (layer, part) = name.strip_prefix("layers.").unwrap().split_once('.').unwrap();
    let parts = [
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ];
    let part = part.strip_suffix(".weight").unwrap();
    let (_, gguf) = parts.iter().find(|(hf, _)| *hf == part).unwrap();
    format!("blk.{layer}.{gguf}.weight")
}

fn text(file: &mut Vec<u8>, text: &str) {
    file.extend((text.len() as u64).to_le_bytes());
    file.extend(text.as_bytes());
}

fn string(value: &str) -> Vec<u8> {
    let mut bytes = 8u32.to_le_bytes().to_vec();
    text(&mut bytes, value);
    bytes
}

fn int(value: u32) -> Vec<u8> {
    [4u32.to_le_bytes(), value.to_le_bytes()].concat()
}

fn float(value: f32) -> Vec<u8> {
    [6u32.to_le_bytes(), value.to_le_bytes()].concat()
}

fn list(kind: u32, length: usize, items: &[u8]) -> Vec<u8> {
    let mut bytes = [9u32.to_le_bytes(), kind.to_le_bytes()].concat();
    bytes.extend((length as u64).to_le_bytes());
    bytes.extend(items);
    bytes
}

fn strings(values: &[String]) -> Vec<u8> {
    let mut bytes = Vec::new();
    values.iter().for_each(|value| text(&mut bytes, value));
    list(8, values.len(), &bytes)
}

/// Half precision to single; the weights hold no infinities.
fn f16(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (bits >> 15, bits >> 10 & 31, f32::from(bits & 1023));
    let value = match exponent {
        0 => fraction * (-24f32).exp2(),
        _ => (1.0 + fraction / 1024.0) * (f32::from(exponent) - 15.0).exp2(),
    };
    if sign == 1 { -value } else { value }
}

/// One block: a scale in half precision and 32 signed bytes.
fn q8_0(values: &[f32]) -> Vec<u8> {
    let wanted = values.iter().fold(0f32, |max, value| max.max(value.abs())) / 127.0;
    // The smallest half that is not below it; positive halves are ordered like their bits.
    let bits = (0..0x7C00u16).collect::<Vec<_>>();
    let bits = bits[bits.partition_point(|bits| f16(*bits) < wanted)];
    let scale = f16(bits);
    let mut block = bits.to_le_bytes().to_vec();
    block.extend(values.iter().map(|value| {
        let whole = if scale == 0.0 { 0.0 } else { (value / scale).round() };
        // Between -127 and 127 by the choice of the scale.
        (-127i8..=127).find(|byte| f32::from(*byte) == whole).unwrap().to_le_bytes()[0]
    }));
    block
}

//! The committed contract is the one the binary prints.

use serde_json::Value;
use std::path::Path;

#[test]
fn the_committed_contract_has_not_drifted() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi/provider.json");
    let committed = std::fs::read_to_string(path).unwrap();
    let printed = provider::cli::contract().unwrap() + "\n";
    assert!(
        committed == printed,
        "openapi/provider.json is stale: run `quorate-provider openapi > openapi/provider.json`"
    );
}

fn contract() -> Value {
    serde_json::from_str(&provider::cli::contract().unwrap()).unwrap()
}

#[test]
fn streams_are_described_by_their_events() {
    let contract = contract();
    assert_eq!(contract["openapi"], "3.2.0", "the first version with itemSchema");
    let content = &contract["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["content"];
    let data = &content["text/event-stream"]["itemSchema"]["properties"]["data"]["anyOf"];
    assert_eq!(data[0]["contentSchema"]["$ref"], "#/components/schemas/ChatCompletionChunk");
    assert_eq!(data[1]["enum"][0], "[DONE]");
    assert!(contract["paths"]["/v1/models/{id}"]["get"].is_object());
    assert!(contract["components"]["schemas"]["Provenance"].is_object());
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let contract = contract();
    let mut found = Vec::new();
    references(&contract, &mut found);
    assert!(found.len() > 30);
    for reference in found {
        let name = reference.strip_prefix("#/components/schemas/").unwrap();
        assert!(contract["components"]["schemas"][name].is_object(), "{reference}");
    }
}

#[test]
fn both_endpoints_keep_their_own_types() {
    let contract = contract();
    let schema = |path: &str| {
        contract["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
            ["$ref"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_ne!(schema("/v1/chat/completions"), schema("/v1/completions"));
    let chat = &contract["components"]["schemas"]["ChatCompletionRequest"]["properties"];
    let text = &contract["components"]["schemas"]["CompletionRequest"]["properties"];
    assert!(chat["messages"].is_object() && text["prompt"].is_object());
}

#[test]
fn operations_have_ids_of_their_own() {
    let contract = contract();
    let mut seen = std::collections::HashSet::new();
    for (path, item) in contract["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
            assert!(!id.is_empty() && seen.insert(id), "{method} {path}");
        }
    }
}

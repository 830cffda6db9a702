//! The committed contract is the one the binary prints.

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

#[test]
fn streams_are_described_by_their_events() {
    let contract: serde_json::Value =
        serde_json::from_str(&provider::cli::contract().unwrap()).unwrap();
    let content = &contract["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["content"];
    assert_eq!(content["text/event-stream"]["itemSchema"]["$ref"], "#/components/schemas/Chunk");
    assert!(contract["paths"]["/v1/models/{id}"]["get"].is_object());
    assert!(contract["components"]["schemas"]["Provenance"].is_object());
}

//! Streams in the contracts. OpenAPI describes an event with its fields; the routes say only what
//! its data are.

use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Type};
use utoipa::openapi::{OpenApi, RefOr, Schema};

const STREAM: &str = "text/event-stream";

/// Puts the schema that a route names for a stream into the events that carry it.
pub fn describe(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        // Responses name their events, and their last one says that it is.
        let is_named = path.ends_with("/responses");
        let operations = [&mut item.post, &mut item.get];
        let responses = operations
            .into_iter()
            .flatten()
            .flat_map(|operation| operation.responses.responses.values_mut());
        for response in responses {
            let RefOr::T(response) = response else { continue };
            let Some(RefOr::T(content)) = response.content.get_mut(STREAM) else { continue };
            content.item_schema = content.item_schema.take().map(|data| event(data, is_named));
        }
    }
}

fn event(data: RefOr<Schema>, is_named: bool) -> RefOr<Schema> {
    let json = ObjectBuilder::new()
        .schema_type(Type::String)
        .content_media_type("application/json")
        .content_schema(Some(data));
    let event = ObjectBuilder::new().required("data");
    let event = if is_named {
        let name = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("The data's own `type`."));
        event.property("event", name).required("event").property("data", json)
    } else {
        let done = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["[DONE]"]));
        let data = AnyOfBuilder::new().item(json).item(done);
        event.property(
            "data",
            data.description(Some("JSON; at the end of a whole answer `[DONE]`.")),
        )
    };
    event.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_data_of_an_event_is_json_or_done() {
        let stream =
            json!({"text/event-stream": {"itemSchema": {"$ref": "#/components/schemas/A"}}});
        let route = json!({"post": {"responses": {"200": {"description": "", "content": stream}}}});
        let mut document: OpenApi = serde_json::from_value(json!({
            "openapi": "3.2.0",
            "info": {"title": "", "version": "1"},
            "paths": {"/v1/x": route, "/v1/responses": route},
        }))
        .unwrap();
        describe(&mut document);
        let document: Value = serde_json::to_value(&document).unwrap();
        let event = |path: &str| {
            document["paths"][path]["post"]["responses"]["200"]["content"][STREAM]["itemSchema"]
                .clone()
        };
        let data = &event("/v1/x")["properties"]["data"]["anyOf"];
        assert_eq!(data[0]["contentSchema"]["$ref"], "#/components/schemas/A");
        assert_eq!(data[1]["enum"][0], "[DONE]");
        let named = event("/v1/responses");
        assert_eq!(named["properties"]["data"]["contentSchema"]["$ref"], "#/components/schemas/A");
        assert_eq!(named["required"], json!(["data", "event"]));
    }
}

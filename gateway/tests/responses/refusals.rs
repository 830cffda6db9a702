//! Requests that are wrong, or that a stateless server cannot serve: each names its member.

use gateway::responses::translate;
use serde_json::{Value, json};

use crate::harness::{ask_for, json_of, market, whole};

fn refused(body: &[u8]) -> (Option<String>, Option<&'static str>, String) {
    let Err(error) = translate(body) else {
        panic!("{} was taken", String::from_utf8_lossy(body));
    };
    assert!(!error.message.is_empty());
    (error.param, error.code, error.message)
}

#[test]
fn what_needs_a_store_or_a_tool_of_the_servers_is_refused_by_name() {
    let tool = |kind: &str| json!({"tools": [{"type": "function", "name": "f"}, {"type": kind}]});
    let item = |kind: &str| json!({"input": [{"role": "user", "content": "x"}, {"type": kind}]});
    let mut cases = vec![
        (json!({"previous_response_id": "resp_1"}), "previous_response_id"),
        (json!({"conversation": "conv_1"}), "conversation"),
        (json!({"conversation": {"id": "conv_1"}}), "conversation"),
        (json!({"background": true}), "background"),
        (json!({"store": true}), "store"),
        (json!({"prompt": {"id": "pmpt_1"}}), "prompt"),
        (json!({"truncation": "auto"}), "truncation"),
        (json!({"context_management": [{"type": "compaction"}]}), "context_management"),
        (item("item_reference"), "input[1]"),
        (json!({"tool_choice": {"type": "web_search_preview"}}), "tool_choice.type"),
        (json!({"tool_choice": {"type": "mcp", "server_label": "s"}}), "tool_choice.type"),
    ];
    for kind in [
        "web_search",
        "file_search",
        "code_interpreter",
        "computer",
        "mcp",
        "custom",
        "image_generation",
        "local_shell",
        "web_search_preview",
    ] {
        cases.push((tool(kind), "tools[1].type"));
    }
    for kind in ["web_search_call", "computer_call_output", "compaction", "custom_tool_call"] {
        cases.push((item(kind), "input[1].type"));
    }
    for name in [
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "response_format",
        "n",
        "reasoning_effort",
        "verbosity",
        "logprobs",
        "functions",
        "function_call",
        "modalities",
    ] {
        cases.push((json!({name: 1}), name));
    }
    for (more, param) in cases {
        let (seen, code, message) = refused(ask_for(more.clone()).to_string().as_bytes());
        assert_eq!(seen.as_deref(), Some(param), "{more}: {message}");
        assert!(code.is_some(), "{more}");
        let is_chain = code == Some("previous_response_not_found");
        let name = param.split(['[', '.']).next().unwrap();
        assert!(is_chain || message.contains(name), "{more}: {message}");
    }
    let (_, code, _) =
        refused(ask_for(json!({"previous_response_id": "x"})).to_string().as_bytes());
    assert_eq!(code, Some("previous_response_not_found"));
}

#[test]
fn a_wrong_request_names_the_member() {
    let input = |item: Value| json!({"input": [item]});
    let part = |part: Value| input(json!({"role": "user", "content": [part]}));
    let call = json!({"type": "function_call", "call_id": "a", "name": "f", "arguments": 7});
    let allowed = |tools: Value| {
        json!({"tools": [{"type": "function", "name": "f"}],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": tools}})
    };
    for (more, param) in [
        (json!({"model": null}), "model"),
        (json!({"model": 7}), "model"),
        (json!({"input": null}), "input"),
        (json!({"input": 7}), "input"),
        (json!({"input": []}), "input"),
        (input(json!("x")), "input[0]"),
        (input(json!({"content": "x"})), "input[0].role"),
        (input(json!({"role": "tool", "content": "x"})), "input[0].role"),
        (input(json!({"role": "user"})), "input[0].content"),
        (input(json!({"role": "user", "content": 7})), "input[0].content"),
        (input(json!({"type": "nonsense"})), "input[0].type"),
        (input(json!({"type": 7})), "input[0].type"),
        (part(json!({"text": "x"})), "input[0].content[0].type"),
        (part(json!({"type": "text", "text": "x"})), "input[0].content[0].type"),
        (part(json!({"type": "input_text"})), "input[0].content[0].text"),
        (part(json!({"type": "input_text", "text": 7})), "input[0].content[0].text"),
        (part(json!({"type": "input_image"})), "input[0].content[0].image_url"),
        (part(json!({"type": "input_image", "file_id": "f"})), "input[0].content[0].file_id"),
        (part(json!({"type": "input_file", "file_url": "u"})), "input[0].content[0].file_url"),
        (input(call), "input[0].arguments"),
        (input(json!({"type": "function_call_output", "output": "x"})), "input[0].call_id"),
        (input(json!({"type": "function_call_output", "call_id": "a"})), "input[0].output"),
        (json!({"reasoning": {"summary": 7}}), "reasoning.summary"),
        (input(json!({"type": "reasoning", "summary": [7]})), "input[0].summary[0]"),
        (json!({"instructions": 7}), "instructions"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"stream_options": 7}), "stream_options"),
        (json!({"max_output_tokens": 0}), "max_output_tokens"),
        (json!({"max_output_tokens": 1.5}), "max_output_tokens"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"top_p": []}), "top_p"),
        (json!({"top_logprobs": 21}), "top_logprobs"),
        (json!({"include": ["everything"]}), "include[0]"),
        (json!({"metadata": {"a": 1}}), "metadata.a"),
        (json!({"metadata": "x"}), "metadata"),
        (json!({"parallel_tool_calls": "yes"}), "parallel_tool_calls"),
        (json!({"store": "no"}), "store"),
        (json!({"background": 1}), "background"),
        (json!({"truncation": "some"}), "truncation"),
        (json!({"user": 7}), "user"),
        (json!({"reasoning": "high"}), "reasoning"),
        (json!({"reasoning": {"effort": 1}}), "reasoning.effort"),
        (json!({"text": "json"}), "text"),
        (json!({"text": {"format": {"type": "xml"}}}), "text.format.type"),
        (json!({"text": {"format": {}}}), "text.format.type"),
        (json!({"text": {"format": {"type": "json_schema", "schema": {}}}}), "text.format.name"),
        (json!({"text": {"format": {"type": "json_schema", "name": "n"}}}), "text.format.schema"),
        (json!({"tools": {}}), "tools"),
        (json!({"tools": [{"name": "f"}]}), "tools[0].type"),
        (json!({"tools": [{"type": "function"}]}), "tools[0].name"),
        (json!({"tool_choice": "any"}), "tool_choice"),
        (json!({"tool_choice": 7}), "tool_choice"),
        (json!({"tool_choice": {"type": "function"}}), "tool_choice.name"),
        (allowed(json!([])), "tool_choice.tools"),
        (allowed(json!([{"type": "function", "name": "g"}])), "tool_choice.tools[0].name"),
        (allowed(json!([{"type": "mcp"}])), "tool_choice.tools[0].type"),
    ] {
        let (seen, _, message) = refused(ask_for(more.clone()).to_string().as_bytes());
        assert_eq!(seen.as_deref(), Some(param), "{more}: {message}");
    }
}

#[test]
fn a_member_that_is_there_twice_is_refused_wherever_it_is_read() {
    for (body, param) in [
        (r#"{"model":"m","input":"a","input":"b"}"#, "input"),
        (r#"{"model":"m","input":"a","x":1,"\u0078":2}"#, "x"),
        (
            r#"{"model":"m","input":[{"role":"user","content":"a","role":"system"}]}"#,
            "input[0].role",
        ),
        (
            r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"a","text":"b"}]}]}"#,
            "input[0].content[0].text",
        ),
        (
            r#"{"model":"m","input":"a","tools":[{"type":"function","name":"f","name":"g"}]}"#,
            "tools[0].name",
        ),
        (r#"{"model":"m","input":"a","text":{"format":null,"format":null}}"#, "text.format"),
    ] {
        assert_eq!(refused(body.as_bytes()).0.as_deref(), Some(param), "{body}");
    }
}

#[test]
fn what_is_not_json_says_where() {
    let deep =
        format!(r#"{{"model":"m","input":"x","y":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    for (body, words) in [
        (&b""[..], "empty"),
        (b"[]", "JSON object"),
        (b"{\"input\":}", "line 1 column"),
        (b"{\"input\":\"\xff\"}", "UTF-8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (deep.as_bytes(), "128 levels"),
    ] {
        let (param, _, message) = refused(body);
        assert_eq!(param, None);
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn refusals_are_openais_errors_and_name_what_was_sent() {
    let market = market(json!({})).await;
    for (more, status, param, code) in [
        (json!({"model": "nobody/knows"}), 404, json!("model"), json!("model_not_found")),
        (json!({"store": true}), 400, json!("store"), json!("unsupported_parameter")),
        (
            json!({"input": [{"role": "user"}]}),
            400,
            json!("input[0].content"),
            json!("missing_required_parameter"),
        ),
        // Found by the chat flow, which knows the members by other names.
        (json!({"Model": "m"}), 400, json!("model"), Value::Null),
        (json!({"seed": "x"}), 400, json!("seed"), Value::Null),
        // Found by the provider.
        (
            json!({"tools": [{"type": "function", "name": "a b"}]}),
            400,
            json!("tools[0].name"),
            Value::Null,
        ),
        (
            json!({"tools": [{"type": "function", "name": "f"}],
            "tool_choice": {"type": "function", "name": "g"}}),
            400,
            json!("tool_choice.name"),
            Value::Null,
        ),
    ] {
        let (seen, headers, bytes) = market.ask(&ask_for(more.clone())).await;
        let error = &json_of(&bytes)["error"];
        assert_eq!((seen.as_u16(), &error["param"]), (status, &param), "{more}: {error}");
        if status == 404 || !code.is_null() {
            assert_eq!(error["code"], code, "{error}");
        }
        assert_eq!(error["type"], "invalid_request_error", "{error}");
        assert_eq!(headers["x-should-retry"], "false");
        assert!(headers.contains_key("x-request-id"));
    }
}

#[tokio::test]
async fn no_response_is_stored() {
    let market = market(json!({})).await;
    for (method, path) in [
        (http::Method::GET, "/v1/responses/resp_1"),
        (http::Method::DELETE, "/v1/responses/resp_1"),
        (http::Method::POST, "/v1/responses/resp_1/cancel"),
        (http::Method::GET, "/v1/responses/resp_1/input_items?limit=3"),
        (http::Method::GET, "/v1/responses/%ff"),
    ] {
        let (status, _, bytes) = whole(market.request(method, path, String::new()).await).await;
        assert_eq!(status, 404, "{path}");
        let error = json_of(&bytes)["error"].clone();
        assert_eq!((&error["param"], &error["code"]), (&Value::Null, &Value::Null), "{error}");
        let message = error["message"].as_str().expect("text");
        assert!(message.starts_with("Response with id '"), "{message}");
    }
}

#[test]
fn lists_and_objects_of_countless_entries_are_refused() {
    let list = |item: &str, count: usize| vec![item; count].join(",");
    let many = 1 << 20;
    for (body, param) in [
        (format!(r#"{{"model":"m","input":[{}]}}"#, list("1", many)), "input"),
        (
            format!(
                r#"{{"model":"m","input":[{{"role":"user","content":[{}]}}]}}"#,
                list("1", many)
            ),
            "input[0].content",
        ),
        (format!(r#"{{"model":"m","input":"x","tools":[{}]}}"#, list("{}", many)), "tools"),
    ] {
        let (found, code, message) = refused(body.as_bytes());
        assert_eq!(found.as_deref(), Some(param), "{message}");
        assert_eq!(code, Some("array_above_max_length"), "{message}");
    }
    let members: Vec<String> = (0..many).map(|number| format!("\"a{number}\":1")).collect();
    let members = members.join(",");
    for (body, param) in [
        (format!(r#"{{"model":"m","input":"x",{members}}}"#), None),
        (format!(r#"{{"model":"m","input":"x","metadata":{{{members}}}}}"#), Some("metadata")),
    ] {
        let (found, code, message) = refused(body.as_bytes());
        assert_eq!(
            (found.as_deref(), code),
            (param, Some("object_above_max_properties")),
            "{message}"
        );
    }
}

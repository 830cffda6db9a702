//! A request, and the chat request it becomes.

use gateway::responses::translate;
use serde_json::{Value, json};

fn chat(request: &Value) -> Value {
    let translated = translate(request.to_string().as_bytes());
    let translated = translated.unwrap_or_else(|error| panic!("{request}: {error:?}"));
    serde_json::from_slice(&translated.chat).expect("JSON")
}

fn messages(input: Value) -> Value {
    chat(&json!({"model": "m", "input": input}))["messages"].clone()
}

#[test]
fn a_text_is_a_message_of_the_user_and_instructions_come_before_it() {
    assert_eq!(
        chat(&json!({"input": "hi", "model": "m", "instructions": "be brief"})),
        json!({"messages": [
            {"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"},
        ], "model": "m"})
    );
}

#[test]
fn messages_keep_their_roles_and_parts() {
    for (item, message) in [
        (
            json!({"role": "developer", "content": "d"}),
            json!({"role": "developer", "content": "d"}),
        ),
        (
            json!({"type": "message", "role": "user", "id": "msg_1", "status": "completed",
                "content": [{"type": "input_text", "text": "one"}], "name": "ann"}),
            json!({"role": "user", "content": "one", "name": "ann"}),
        ),
        (
            json!({"role": "user", "content": [
                {"type": "input_text", "text": "what?", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low",
                    "file_id": null},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                {"type": "input_file", "file_data": "data:,x", "filename": "a.txt"}]}),
            json!({"role": "user", "content": [
                {"type": "text", "text": "what?", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "image_url",
                    "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:,x", "filename": "a.txt"}}]}),
        ),
        (
            json!({"type": "message", "role": "assistant", "phase": "final_answer", "content": [
                {"type": "output_text", "text": "yes", "annotations": [], "logprobs": []},
                {"type": "refusal", "refusal": "no"}]}),
            json!({"role": "assistant", "content": [
                {"type": "text", "text": "yes"}, {"type": "refusal", "refusal": "no"}]}),
        ),
        (json!({"role": "user", "content": []}), json!({"role": "user", "content": ""})),
        (
            json!({"role": "user", "content": "a\u{1f600}\u{0}"}),
            json!({"role": "user", "content": "a\u{1f600}\u{0}"}),
        ),
    ] {
        assert_eq!(messages(json!([item])), json!([message]), "{item}");
    }
}

#[test]
fn what_one_turn_left_behind_is_one_message() {
    let call = |id: &str| {
        json!({"type": "function_call", "id": "fc_1", "call_id": id,
        "name": "f", "arguments": "{\"a\":1}", "status": "completed"})
    };
    let called = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}});
    let output = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "7"});
    let told = |id: &str| json!({"role": "tool", "content": "7", "tool_call_id": id});
    let thought = |text: &str| {
        json!({"type": "reasoning", "id": "rs_1", "summary": [],
        "content": [{"type": "reasoning_text", "text": text}], "encrypted_content": null})
    };
    assert_eq!(
        messages(json!([
            {"role": "user", "content": "go"},
            thought("hm"), call("a"), call("b"), output("a"), output("b"),
            thought("then"), {"role": "assistant", "content": "well"}, call("c"), output("c"),
            {"role": "assistant", "content": "done"},
            {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "xyz"},
            {"role": "user", "content": "thanks"},
        ])),
        json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": null, "reasoning_content": "hm",
                "tool_calls": [called("a"), called("b")]},
            told("a"), told("b"),
            {"role": "assistant", "content": "well", "reasoning_content": "then",
                "tool_calls": [called("c")]},
            told("c"),
            {"role": "assistant", "content": "done"},
            {"role": "user", "content": "thanks"},
        ])
    );
    let summary = json!({"type": "reasoning", "id": "r", "summary": [
        {"type": "summary_text", "text": "s"}]});
    assert_eq!(
        messages(json!([summary, {"role": "assistant", "content": "x"}]))[0]["reasoning_content"],
        "s"
    );
    let parts = json!([{"type": "function_call_output", "call_id": "a", "output": [
        {"type": "input_text", "text": "1"}, {"type": "input_text", "text": "2"}]}]);
    assert_eq!(
        messages(parts)[0]["content"],
        json!([{"type": "text", "text": "1"}, {"type": "text", "text": "2"}])
    );
}

#[test]
fn tools_and_the_choice_among_them() {
    let tool = |name: &str| {
        json!({"type": "function", "name": name, "description": "d", "strict": true,
            "parameters": {"type": "object"}, "defer_loading": false})
    };
    let nested = |name: &str| {
        json!({"type": "function", "function": {"name": name, "description": "d", "strict": true,
            "parameters": {"type": "object"}}})
    };
    let of = |tools: Value, choice: Value| {
        let request = json!({"model": "m", "input": "x", "tools": tools, "tool_choice": choice,
            "parallel_tool_calls": false});
        let chat = chat(&request);
        (chat["tools"].clone(), chat["tool_choice"].clone(), chat["parallel_tool_calls"].clone())
    };
    let both = json!([tool("f"), tool("g")]);
    let nested_both = json!([nested("f"), nested("g")]);
    for (sent, chosen) in [
        (json!("auto"), json!("auto")),
        (json!("none"), json!("none")),
        (json!("required"), json!("required")),
        (Value::Null, Value::Null),
        (
            json!({"type": "function", "name": "g"}),
            json!({"type": "function", "function": {"name": "g"}}),
        ),
    ] {
        assert_eq!(of(both.clone(), sent), (nested_both.clone(), chosen, json!(false)));
    }
    let allowed = json!({"type": "allowed_tools", "mode": "required",
        "tools": [{"type": "function", "name": "g"}]});
    assert_eq!(of(both, allowed), (json!([nested("g")]), json!("required"), json!(false)));
    let bare = json!([{"type": "function", "name": "f", "parameters": null, "strict": null}]);
    let expected = json!([{"type": "function", "function": {"name": "f"}}]);
    assert_eq!(of(bare, Value::Null).0, expected);
    for choice in ["auto", "none"] {
        assert_eq!(of(json!([]), json!(choice)), (Value::Null, Value::Null, Value::Null));
    }
    assert_eq!(of(json!([]), json!("required")).1, "required");
}

#[test]
fn the_form_of_the_answer() {
    let schema = json!({"type": "object"});
    for (member, chat_members) in [
        (json!({"text": {"format": {"type": "text"}}}), json!({})),
        (json!({"text": null, "reasoning": null, "include": null, "tools": null}), json!({})),
        (
            json!({"text": {"format": {"type": "json_object"}, "verbosity": "low"}}),
            json!({"response_format": {"type": "json_object"}, "verbosity": "low"}),
        ),
        (
            json!({"text": {"format": {"type": "json_schema", "name": "n", "schema": schema,
                "strict": true, "description": "d"}}}),
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n",
                "schema": schema, "description": "d", "strict": true}}}),
        ),
        (
            json!({"text": {"format": {"type": "regex", "regex": "a+"}}}),
            json!({"response_format": {"type": "regex", "regex": "a+"}}),
        ),
        (
            json!({"reasoning": {"effort": "low", "summary": "auto"}}),
            json!({"reasoning_effort": "low"}),
        ),
        (json!({"max_output_tokens": 9}), json!({"max_completion_tokens": 9})),
        (
            json!({"include": ["message.output_text.logprobs"], "top_logprobs": 2}),
            json!({"logprobs": true, "top_logprobs": 2}),
        ),
        (json!({"include": ["reasoning.encrypted_content"], "top_logprobs": 2}), json!({})),
        (
            json!({"stream": true}),
            json!({"stream": true,
            "stream_options": {"include_usage": true}}),
        ),
        (
            json!({"stream": false, "stream_options": {"include_obfuscation": false}}),
            json!({"stream": false}),
        ),
        (
            json!({"store": false, "background": false, "truncation": "disabled",
                "previous_response_id": null, "max_tool_calls": 3, "metadata": {"a": "b"},
                "prompt": null, "context_management": []}),
            json!({}),
        ),
        (
            json!({"user": "u", "safety_identifier": "s", "prompt_cache_key": "k",
                "service_tier": "flex", "seed": 7, "provider": {"only": ["a"]}}),
            json!({"user": "u", "safety_identifier": "s", "prompt_cache_key": "k",
                "service_tier": "flex", "seed": 7, "provider": {"only": ["a"]}}),
        ),
    ] {
        let mut request = json!({"model": "m", "input": "x"});
        request.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
        let mut expected = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
        expected.as_object_mut().unwrap().extend(chat_members.as_object().unwrap().clone());
        assert_eq!(chat(&request), expected, "{member}");
    }
}

#[test]
fn what_is_not_known_passes_as_it_was_written() {
    let request = r#"{ "top_k" : 3, "temperature":0.30000000000000004, "model":"m",
        "seed": 12345678901234567890123, "input":"é\u00e9\/" , "x\u0041":{"b":1,"a":[1E+2]},
        "tools":[{"type":"function","name":"f","parameters":{"maximum":1e400},"x":1}],
        "verification":{"k":2}, "models":[] }"#;
    let chat = translate(request.as_bytes()).expect("a request").chat;
    assert_eq!(
        std::str::from_utf8(&chat).expect("UTF-8"),
        r#"{"top_k":3,"temperature":0.30000000000000004,"model":"m","seed":12345678901234567890123,"messages":[{"role":"user","content":"é\u00e9\/"}],"x\u0041":{"b":1,"a":[1E+2]},"tools":[{"type":"function","x":1,"function":{"name":"f","parameters":{"maximum":1e400}}}],"verification":{"k":2},"models":[]}"#
    );
}

#[test]
fn a_member_of_chats_own_that_is_null_is_not_there() {
    let chat = chat(&json!({"model": "m", "input": "hi", "messages": null, "max_output_tokens": 5,
        "max_tokens": null, "max_completion_tokens": null, "reasoning": {"effort": "low"},
        "reasoning_effort": null, "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "response_format": null, "verbosity": null, "logprobs": null, "n": null}));
    assert_eq!(
        chat,
        json!({"model": "m", "messages": [{"role": "user", "content": "hi"}],
            "max_completion_tokens": 5, "reasoning_effort": "low", "verbosity": "low",
            "response_format": {"type": "json_object"}})
    );
    let text = br#"{"response_format":null,"model":"m","input":"x","text":{"verbosity":"low","format":{"type":"json_object"}},"verbosity":null}"#;
    let translated = translate(text).expect("a request").chat;
    let text = std::str::from_utf8(&translated).expect("UTF-8");
    for name in ["response_format", "verbosity"] {
        assert_eq!(text.matches(name).count(), 1, "{text}");
    }
}

use super::*;
use crate::tokenizer::Tokenizer;
use openapi::chat::Tool;

fn tokenizer() -> std::sync::Arc<Tokenizer> {
    crate::tokenizer::fixture::tokenizer()
}

/// Walks the grammar over the tokens of `text`; how many it took, and whether the end may follow.
fn walk(guide: &mut Guide, tokenizer: &Tokenizer, text: &str) -> (String, bool) {
    let mut taken = Vec::new();
    for id in tokenizer.encode_text(text).unwrap() {
        if guide.is_done() || !guide.mask().unwrap().allows(id) {
            break;
        }
        guide.accept(id).unwrap();
        taken.push(id);
    }
    let end = guide.is_done() || guide.mask().unwrap().allows(tokenizer.eos()[0]);
    (tokenizer.decode(&taken), end)
}

fn check(guide: Result<Guide, Error>, text: &str) -> bool {
    let tokenizer = tokenizer();
    let mut guide = guide.unwrap();
    walk(&mut guide, &tokenizer, text) == (text.to_owned(), true)
}

#[test]
fn a_regex_takes_its_texts_and_no_others() {
    let grammars = Grammars::new(tokenizer().env()).unwrap();
    let regex = || grammars.constraint(&Constraint::Regex("abc[0-9]{3}xyz".into()));
    assert!(check(regex(), "abc123xyz"));
    assert!(!check(regex(), "abc12xyz"));
    assert!(!check(regex(), "abc123xy"));
}

#[test]
fn a_schema_takes_tight_json_alone() {
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"},
        "age": {"type": "integer"}}, "required": ["name", "age"], "additionalProperties": false});
    let grammars = Grammars::new(tokenizer().env()).unwrap();
    let guide = || grammars.constraint(&Constraint::JsonSchema(schema.clone()));
    assert!(check(guide(), r#"{"name": "Ann", "age": 7}"#));
    assert!(!check(guide(), r#"{"name":  "Ann", "age": 7}"#));
    assert!(!check(guide(), r#"{"name": "Ann"}"#));
    assert!(check(grammars.constraint(&Constraint::JsonObject), r#"{"any": [1, {"x": null}]}"#));
    assert!(!check(grammars.constraint(&Constraint::JsonObject), "[1]"));
}

#[test]
fn a_bad_grammar_is_the_callers_fault_in_one_line() {
    let grammars = Grammars::new(tokenizer().env()).unwrap();
    for constraint in [
        Constraint::Regex("(unclosed".into()),
        Constraint::Regex("a".repeat(SOURCE_BYTES_MAX + 1)),
        Constraint::JsonSchema(json!({"type": "nonsense"})),
        Constraint::JsonSchema(json!(3)),
        Constraint::JsonSchema(json!(false)),
        Constraint::JsonSchema(json!({"$ref": "#/$defs/missing"})),
    ] {
        let Err(Error::Invalid { message, param, .. }) = grammars.constraint(&constraint) else {
            panic!("{constraint:?} was taken");
        };
        assert_eq!(param.as_deref(), Some("response_format"));
        assert!(!message.contains('\n') && message.len() < 400, "{message}");
    }
}

fn tools() -> Vec<Tool> {
    let tools = json!([
        {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object",
            "properties": {"city": {"$ref": "#/$defs/city"}}, "required": ["city"],
            "additionalProperties": false, "$defs": {"city": {"type": "string"}}}}},
        {"type": "function", "function": {"name": "now"}},
    ]);
    serde_json::from_value(tools).unwrap()
}

#[test]
fn forced_tool_calls_are_written_in_the_models_form() {
    let tools = tools();
    let tokenizer = tokenizer();
    let grammars = Grammars::new(tokenizer.env()).unwrap();
    let weather = r#"{"name": "get_weather", "arguments": {"city": "Rome"}}"#;
    let hermes = format!("<tool_call>\n{weather}\n</tool_call>");
    let id_of = |token: &str| tokenizer.id_of(token);
    let any = ToolChoice::Any { tools: &tools, parallel: true };
    let one = ToolChoice::One(&tools[1]);
    let guide = |form, choice| grammars.tool_calls(form, choice, &id_of);
    assert!(check(guide(ToolForm::Hermes, &any), &hermes));
    assert!(check(guide(ToolForm::Hermes, &any), &format!("{hermes}\n{hermes}")));
    assert!(!check(guide(ToolForm::Hermes, &one), &hermes));
    assert!(check(guide(ToolForm::Mistral, &any), &format!("[TOOL_CALLS][{weather}, {weather}]")));
    assert!(check(guide(ToolForm::Llama, &any), &weather.replace("arguments", "parameters")));
    assert!(!check(guide(ToolForm::Hermes, &any), "hello"));
}

#[test]
fn forms_are_read_off_templates() {
    assert_eq!(ToolForm::of_template("x <tool_call> y"), ToolForm::Hermes);
    assert_eq!(ToolForm::of_template("[TOOL_CALLS]"), ToolForm::Mistral);
    assert_eq!(ToolForm::of_template("<|python_tag|>"), ToolForm::Llama);
    assert_eq!(ToolForm::of_template(""), ToolForm::Hermes);
}

fn refused(constraint: &Constraint) -> String {
    let grammars = Grammars::new(tokenizer().env()).unwrap();
    match grammars.constraint(constraint) {
        Err(Error::Invalid { message, param, .. }) => {
            assert_eq!(param.as_deref(), Some("response_format"));
            message
        }
        other => panic!("{other:?}"),
    }
}

/// `n` definitions, each made by `link` from a reference to the next.
fn chain(n: usize, link: fn(Value) -> Value) -> Constraint {
    let reference = |at: usize| json!({"$ref": format!("#/$defs/d{at}")});
    let mut definitions = serde_json::Map::new();
    for at in 0..n {
        definitions.insert(format!("d{at}"), link(reference(at + 1)));
    }
    definitions.insert(format!("d{n}"), json!({"type": "string"}));
    Constraint::JsonSchema(json!({"$ref": "#/$defs/d0", "$defs": definitions}))
}

#[test]
fn deep_references_do_not_overflow_the_stack() {
    let links: [fn(Value) -> Value; 5] = [
        |next| next,
        |next| json!({"allOf": [next, {"type": "string"}]}),
        |next| json!({"anyOf": [next, {"type": "integer"}]}),
        |next| json!({"type": "array", "items": next}),
        |next| json!({"type": "object", "properties": {"x": next}, "required": ["x"]}),
    ];
    let grammars = Grammars::new(tokenizer().env()).unwrap();
    for link in links {
        // As deep as is taken, or one of the compiler's own refusals; either way it returns.
        let _ = grammars.constraint(&chain(480, link));
        assert!(refused(&chain(5_000, link)).contains("levels deep"));
    }
    let names: Vec<String> = (0..4_000).map(|at| format!("p{at}")).collect();
    let properties: serde_json::Map<_, _> =
        names.iter().map(|name| (name.clone(), json!({}))).collect();
    let wide = json!({"type": "object", "properties": properties, "required": names});
    let _ = grammars.constraint(&Constraint::JsonSchema(wide));
}

#[test]
fn regular_expressions_are_bounded_together() {
    let long = ".?a?b?".repeat(20_000);
    assert!(refused(&Constraint::Regex(long.clone())).contains("regular expressions"));
    let pattern = json!({"type": "string", "pattern": long});
    assert!(refused(&Constraint::JsonSchema(pattern)).contains("regular expressions"));
    let half =
        |c: &str| json!({"type": "string", "pattern": c.repeat(bounds::PATTERN_BYTES_MAX / 2 + 1)});
    let both = json!({"type": "array", "prefixItems": [half("a"), half("b")]});
    assert!(refused(&Constraint::JsonSchema(both)).contains("regular expressions"));
    let keys = json!({"type": "object", "patternProperties": {".?a?b?".repeat(20_000): {}}});
    assert!(refused(&Constraint::JsonSchema(keys)).contains("regular expressions"));
}

#[test]
fn a_grammar_that_outgrows_its_limits_on_the_way_is_the_callers_fault() {
    let grammars = Grammars::new(tokenizer().env()).unwrap();
    let mut guide = grammars.constraint(&Constraint::Regex("(a{1000}){1000}".into())).unwrap();
    let failed = (0..2_000).find_map(|_| {
        let step = guide.mask().and_then(|_| guide.accept(u32::from(b'a')));
        step.err()
    });
    let Some(Error::Invalid { param, .. }) = failed else { panic!("{failed:?}") };
    assert_eq!(param.as_deref(), Some("response_format"));
}

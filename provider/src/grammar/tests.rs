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

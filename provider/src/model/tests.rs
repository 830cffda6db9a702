use super::*;
use crate::engine::{Constraint, RawRequest, Sampling};
use crate::tokenizer::fixture;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::OnceLock;

const CHATML: &str = "{%- for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' }}\
    {%- endfor %}{% if tools %}<tool_call>{% endif %}{{ '<|im_start|>assistant' }}{{ tail }}";

/// The fixture's vocabulary with a ChatML template and a context of 1,024.
pub(crate) fn model() -> &'static Model {
    static SHARED: OnceLock<Model> = OnceLock::new();
    SHARED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        fixture::folder(folder.path(), CHATML);
        Model::from_folder(folder.path()).unwrap()
    })
}

pub(crate) fn job(prompt: Prompt) -> Job {
    Job {
        request_id: "r".into(),
        model: "m".into(),
        prompt,
        sampling: Sampling {
            seed: 1,
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            repetition_penalty: 1.0,
            logit_bias: BTreeMap::new(),
        },
        max_tokens: None,
        stop: vec![],
        constraint: None,
        tool_use: ToolUse::Off,
        logprobs: None,
        evidence: false,
        choice: 0,
        resume: None,
        raw: RawRequest::default(),
    }
}

pub(crate) fn chat(mut body: Value) -> Job {
    body["model"] = "m".into();
    if body.get("messages").is_none() {
        body["messages"] = json!([{"role": "user", "content": "hello"}]);
    }
    job(Prompt::Chat(Arc::new(serde_json::from_value(body).unwrap())))
}

fn refusal(job: &Job) -> (String, Option<&'static str>) {
    match model().prepare(job) {
        Err(Error::Invalid { param, code, .. }) => (param.unwrap(), code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_chat_is_rendered_and_the_rest_of_the_context_is_its_room() {
    let prepared = model().prepare(&chat(json!({}))).unwrap();
    assert_eq!(prepared.ids[..2], [1001, u32::from(b'u')]);
    let room = 1024 - u32::try_from(prepared.ids.len()).unwrap();
    assert_eq!(prepared.max_tokens, room);
    let with_max = |max| model().prepare(&Job { max_tokens: Some(max), ..chat(json!({})) });
    assert_eq!(with_max(5000).unwrap().max_tokens, room);
    assert_eq!(with_max(5).unwrap().max_tokens, 5);
    assert!(prepared.text.reasoning && !prepared.text.thinking && prepared.text.calls.is_none());
    assert_eq!(model().stored_as.as_deref(), Some("f16"));
}

#[test]
fn a_prompt_that_opens_reasoning_is_seen() {
    let job = chat(json!({"chat_template_kwargs": {"tail": "<think>\n"}}));
    assert!(model().prepare(&job).unwrap().text.thinking);
    let job = Job { constraint: Some(Constraint::JsonObject), ..job };
    assert!(!model().prepare(&job).unwrap().text.thinking);
}

#[test]
fn what_cannot_run_is_refused_by_name() {
    let long = |n: usize| chat(json!({"messages": [{"role": "user", "content": "z".repeat(n)}]}));
    let exceeded = || ("messages".to_owned(), Some("context_length_exceeded"));
    assert_eq!(refusal(&long(2000)), exceeded());
    assert_eq!(refusal(&long(2 << 20)), exceeded());
    assert_eq!(refusal(&chat(json!({"messages": []}))).0, "messages");
    assert_eq!(refusal(&Job { max_tokens: Some(0), ..chat(json!({})) }).0, "max_tokens");
    assert_eq!(refusal(&job(Prompt::Text(String::new()))).0, "prompt");
    assert_eq!(refusal(&job(Prompt::Ids(vec![]))).0, "prompt");
    assert_eq!(refusal(&job(Prompt::Ids(vec![1, 1010]))).0, "prompt");
    assert_eq!(refusal(&job(Prompt::Ids(vec![1; 1024]))), ("prompt".into(), exceeded().1));
    let mut biased = chat(json!({}));
    biased.sampling.logit_bias.insert(1010, 1.0);
    assert_eq!(refusal(&biased).0, "logit_bias");
    let constraint = Some(Constraint::Regex("(".into()));
    assert_eq!(refusal(&Job { constraint, ..chat(json!({})) }).0, "response_format");
}

#[test]
fn raw_prompts_are_not_read_for_reasoning_or_calls() {
    let prepared = model().prepare(&job(Prompt::Text("hello<|im_end|>".into()))).unwrap();
    assert_eq!(prepared.ids, [259, fixture::EOS]);
    assert!(!prepared.text.reasoning && prepared.text.calls.is_none());
    assert_eq!(model().prepare(&job(Prompt::Ids(vec![7, 1009]))).unwrap().ids, [7, 1009]);
}

#[test]
fn tools_are_shown_read_and_forced() {
    let body = json!({"tools": [{"type": "function", "function": {"name": "f"}}],
        "parallel_tool_calls": false});
    let with = |tool_use| Job { tool_use, ..chat(body.clone()) };
    let auto = model().prepare(&with(ToolUse::Auto)).unwrap();
    let calls = auto.text.calls.unwrap();
    assert_eq!((calls.names, calls.parallel), (vec!["f".to_owned()], false));
    assert!(auto.guide.is_none());
    let off = model().prepare(&with(ToolUse::Off)).unwrap();
    assert!(off.text.calls.is_none() && off.ids.len() < auto.ids.len());
    assert!(model().prepare(&with(ToolUse::Required)).unwrap().guide.is_some());
    assert!(model().prepare(&with(ToolUse::Named("f".into()))).unwrap().guide.is_some());
    assert_eq!(refusal(&with(ToolUse::Named("g".into()))).0, "tool_choice");
    let bare = Job { tool_use: ToolUse::Required, ..chat(json!({})) };
    assert_eq!(refusal(&bare).0, "tools");
}

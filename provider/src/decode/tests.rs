use super::*;
use crate::engine::{Constraint, Job, ToolUse};
use crate::model::tests::{chat, model};
use crate::tokenizer::fixture::EOS;
use openapi::usage::Usage;
use serde_json::json;

/// A row on which `id` wins by far, then `second`.
fn row(id: u32, second: u32) -> Vec<f32> {
    let mut row = vec![0.0; 1010];
    row[second as usize] = 20.0;
    row[id as usize] = 40.0;
    row
}

struct Run {
    decode: Decode,
    events: Events,
    counters: Arc<Counters>,
}

fn start(job: &Job) -> Run {
    let counters = Arc::new(Counters::default());
    let prepared = model().prepare(job).unwrap();
    let (decode, _, events) = Decode::new(model(), prepared, job, Arc::clone(&counters));
    Run { decode, events, counters }
}

impl Run {
    /// Feeds rows on which these ids win until the answer ends; all events.
    fn feed(&mut self, ids: impl IntoIterator<Item = u32>) -> Vec<Result<Event, Error>> {
        for id in ids {
            if self.decode.step(&row(id, EOS)) == Step::Over {
                break;
            }
        }
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }
}

fn text(events: &[Result<Event, Error>]) -> String {
    let deltas = events.iter().filter_map(|event| match event {
        Ok(Event::Delta(delta)) => delta.content.clone(),
        _ => None,
    });
    deltas.collect()
}

fn finish(events: &[Result<Event, Error>]) -> (FinishReason, Usage, Vec<u32>) {
    match events.last() {
        Some(Ok(Event::Finish { reason, usage, ids, .. })) => (*reason, *usage, ids.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_end_token_ends_the_answer_and_is_counted() {
    let mut run = start(&chat(json!({})));
    let events = run.feed([259, 262, EOS, 259]);
    assert_eq!(text(&events), "hello wor");
    let (reason, usage, ids) = finish(&events);
    assert_eq!((reason, usage.completion_tokens, ids), (FinishReason::Stop, 3, vec![EOS]));
    assert_eq!(run.decode.outcome(), Some(Outcome::Finished));
    assert_eq!(run.decode.step(&row(1, 2)), Step::Over);
    assert_eq!(run.counters.tokens_generated(), 3);
}

#[test]
fn max_tokens_ends_it_with_length() {
    let mut run = start(&Job { max_tokens: Some(2), ..chat(json!({})) });
    let events = run.feed([259; 5]);
    assert_eq!(text(&events), "hellohello");
    assert_eq!(finish(&events).0, FinishReason::Length);
    assert_eq!(run.counters.tokens_generated(), 2);
}

#[test]
fn stop_strings_end_it_at_once() {
    let mut run = start(&Job { stop: vec!["wo".into()], ..chat(json!({})) });
    let events = run.feed([259, 262, 259]);
    assert_eq!(text(&events), "hello ");
    assert_eq!(finish(&events).0, FinishReason::Stop);
    assert_eq!(run.counters.tokens_generated(), 2);
}

#[test]
fn a_caller_who_leaves_ends_it_before_the_next_token() {
    let mut run = start(&chat(json!({})));
    assert_eq!(run.decode.step(&row(259, EOS)), Step::Token(259));
    run.events.close();
    assert_eq!(run.decode.step(&row(259, EOS)), Step::Over);
    assert_eq!(run.decode.outcome(), Some(Outcome::Cancelled));
    assert_eq!(run.counters.tokens_generated(), 1);
}

#[test]
fn a_grammar_rules_and_ends_the_answer() {
    let constraint = Some(Constraint::Regex("(ab|ac)!".into()));
    let mut run = start(&Job { constraint, ..chat(json!({})) });
    let mut wanted = row(b'x'.into(), b'c'.into());
    wanted[usize::from(b'a')] = 10.0;
    wanted[usize::from(b'!')] = 5.0;
    let steps: Vec<Step> = (0..3).map(|_| run.decode.step(&wanted)).collect();
    assert_eq!(steps, [Step::Token(b'a'.into()), Step::Token(b'c'.into()), Step::Over]);
    let events = run.feed([]);
    assert_eq!(text(&events), "ac!");
    assert_eq!(finish(&events).0, FinishReason::Stop);
}

#[test]
fn forced_calls_end_with_tool_calls() {
    let body = json!({"tools": [{"type": "function", "function": {"name": "f", "parameters":
        {"type": "object", "properties": {}, "additionalProperties": false}}}]});
    let mut run = start(&Job { tool_use: ToolUse::Named("f".into()), ..chat(body) });
    let noise: Vec<f32> = (0..1010u16).map(|i| f32::from(i * 37 % 1000) / 100.0).collect();
    while run.decode.step(&noise) != Step::Over {}
    let events = run.feed([]);
    let is_told = |event: &&Result<Event, Error>| matches!(event, Ok(Event::Delta(delta)) if delta.is_ids_alone());
    // While its text is held back, a call shows that it is worked at.
    let early = events.iter().take_while(is_told).count();
    assert!(early > 1, "{events:?}");
    let Some(Ok(Event::Delta(Delta { tool_call: Some(call), .. }))) = events.get(early) else {
        panic!("{events:?}")
    };
    let function = call.function.clone().unwrap();
    assert_eq!((function.name.as_deref(), function.arguments.as_deref()), (Some("f"), Some("{}")));
    assert_eq!((events.len(), finish(&events).0), (early + 2, FinishReason::ToolCalls));
    assert_eq!(ids_of(&events).len() as u64, finish(&events).1.completion_tokens);
}

/// All that were told, in their order.
fn ids_of(events: &[Result<Event, Error>]) -> Vec<u32> {
    let ids = events.iter().flat_map(|event| match event {
        Ok(Event::Delta(delta)) => delta.ids.clone(),
        Ok(Event::Finish { ids, .. }) => ids.clone(),
        _ => vec![],
    });
    ids.collect()
}

#[test]
fn a_row_of_nothing_fails_the_answer_and_nothing_else() {
    let mut run = start(&chat(json!({})));
    assert_eq!(run.decode.step(&[f32::NAN; 1010]), Step::Over);
    assert!(matches!(run.feed([])[..], [Err(Error::Internal(_))]));
    assert_eq!(run.decode.outcome(), Some(Outcome::Failed));
    run.decode.fail(Error::Internal("again".into()));
    assert!(run.feed([]).is_empty());
}

#[test]
fn logprobs_ride_with_their_text() {
    let mut run = start(&Job { logprobs: Some(1), ..chat(json!({})) });
    let events = run.feed([259, EOS]);
    let Some(Ok(Event::Delta(delta))) = events.first() else { panic!("{events:?}") };
    assert_eq!((delta.logprobs.len(), delta.ids.len()), (1, 1));
    assert_eq!(delta.logprobs[0].top_logprobs[0].token, "hello");
}

#[test]
fn reasoning_tokens_are_told_apart() {
    let mut run = start(&chat(json!({})));
    let usage = finish(&run.feed([1002, 259, 1003, 259, EOS])).1;
    assert_eq!(usage.completion_tokens, 5);
    assert_eq!(usage.completion_tokens_details.unwrap().reasoning_tokens, 2);
}

/// Feeds a whole answer; of each cut behind one of its pieces, what a node that goes on from there
/// sends is the rest, piece by piece.
fn resumes_anywhere(job: &Job, rows: &[Vec<f32>]) {
    let mut alone = start(job);
    for row in rows {
        if alone.decode.step(row) == Step::Over {
            break;
        }
    }
    let whole = alone.feed([]);
    finish(&whole);
    let (mut ids, mut text_bytes) = (Vec::new(), 0);
    for at in 0..whole.len() {
        let resume = Resume { ids: ids.clone(), text_bytes, prompt_ids_sha256: None };
        let mut second = start(job);
        second.decode.resume(&resume).unwrap();
        for row in &rows[ids.len()..] {
            if second.decode.step(row) == Step::Over {
                break;
            }
        }
        let rest = second.feed([]);
        assert_eq!(format!("{rest:?}"), format!("{:?}", &whole[at..]), "cut at {at}");
        if let Some(Ok(Event::Delta(delta))) = whole.get(at) {
            ids.extend(&delta.ids);
            text_bytes += sent_bytes(delta);
        }
    }
}

fn sent_bytes(delta: &Delta) -> u64 {
    let call = delta.tool_call.clone().and_then(|call| call.function?.arguments);
    [delta.content.clone(), delta.reasoning.clone(), call]
        .into_iter()
        .flatten()
        .map(|text| text.len() as u64)
        .sum()
}

fn rows(ids: &[u32]) -> Vec<Vec<f32>> {
    ids.iter().map(|id| row(*id, EOS)).collect()
}

#[test]
fn an_answer_goes_on_from_any_piece_of_it() {
    let a = u32::from(b'a');
    let b = u32::from(b'b');
    resumes_anywhere(&chat(json!({})), &rows(&[259, 262, 259, EOS]));
    // Characters over several tokens, text that is held for a stop string, then the string itself.
    let stop = Job { stop: vec!["abac".into()], ..chat(json!({})) };
    resumes_anywhere(&stop, &rows(&[259, a, b, a, b, a, b, 0xC3, 0xBC, a, b, a, EOS]));
    resumes_anywhere(&stop, &rows(&[259, a, b, a, b, a, u32::from(b'c'), 259, EOS]));
    resumes_anywhere(&chat(json!({})), &rows(&[1002, 259, 1003, 259, EOS]));
    let short = Job { max_tokens: Some(3), ..stop };
    resumes_anywhere(&short, &rows(&[259, a, b, a]));
}

#[test]
fn penalties_and_noise_go_on_with_the_very_next_token() {
    let mut job = Job { max_tokens: Some(40), ..chat(json!({})) };
    job.sampling.temperature = 1.3;
    job.sampling.frequency_penalty = 0.7;
    job.sampling.repetition_penalty = 1.2;
    job.sampling.seed = 77;
    let noise = |step: usize| (0..1010).map(move |id| ((id * 37 + step * 11) % 97) as f32 / 20.0);
    let rows: Vec<Vec<f32>> = (0..40).map(|step| noise(step).collect()).collect();
    resumes_anywhere(&job, &rows);
}

#[test]
fn grammars_and_calls_go_on() {
    let noise: Vec<Vec<f32>> = (0..200usize)
        .map(|step| (0..1010).map(|i| ((i * 37 + step * 7) % 1000) as f32 / 100.0).collect())
        .collect();
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"enum":
        ["one", "two"]}}, "required": ["a", "b"], "additionalProperties": false});
    let job = Job { constraint: Some(Constraint::JsonSchema(schema)), ..chat(json!({})) };
    resumes_anywhere(&Job { max_tokens: Some(60), ..job }, &noise);
    let body = json!({"tools": [{"type": "function", "function": {"name": "f", "parameters":
        {"type": "object", "properties": {"x": {"enum": [1, 2]}}, "required": ["x"],
         "additionalProperties": false}}}]});
    resumes_anywhere(&Job { tool_use: ToolUse::Named("f".into()), ..chat(body) }, &noise);
}

#[test]
fn the_middle_of_a_call_is_made_again_in_silence() {
    let body = json!({"tools": [{"type": "function", "function": {"name": "f", "parameters":
        {"type": "object", "properties": {}, "additionalProperties": false}}}]});
    let job = Job { tool_use: ToolUse::Named("f".into()), ..chat(body) };
    let noise: Vec<f32> = (0..1010u16).map(|i| f32::from(i * 37 % 1000) / 100.0).collect();
    let mut alone = start(&job);
    let mut ids = Vec::new();
    while let Step::Token(id) = alone.decode.step(&noise) {
        ids.push(id);
    }
    let whole = alone.feed([]);
    ids.truncate(ids.len() / 2);
    let mut second = start(&job);
    second.decode.resume(&Resume { ids: ids.clone(), ..Resume::default() }).unwrap();
    while second.decode.step(&noise) != Step::Over {}
    let rest = second.feed([]);
    let call = |events: &[Result<Event, Error>]| {
        let mut calls = events.iter().filter_map(|event| match event {
            Ok(Event::Delta(delta)) => delta.tool_call.clone(),
            _ => None,
        });
        calls.next().unwrap()
    };
    assert_eq!(call(&whole), call(&rest));
    assert_eq!([ids, ids_of(&rest)].concat(), ids_of(&whole));
    assert_eq!(finish(&rest).1, finish(&whole).1);
}

#[test]
fn the_whole_answer_is_counted_and_only_new_tokens_as_work() {
    let job = chat(json!({}));
    let mut second = start(&job);
    let ids = vec![259, 262];
    second.decode.resume(&Resume { ids, text_bytes: 9, prompt_ids_sha256: None }).unwrap();
    let events = second.feed([259, EOS]);
    assert_eq!((text(&events).as_str(), finish(&events).1.completion_tokens), ("hello", 4));
    assert_eq!(finish(&events).1.prompt_tokens, u64::from(second.decode.sequence.prompt_tokens()));
    assert_eq!(second.counters.tokens_generated(), 2);
}

#[test]
fn another_answer_is_refused() {
    let refused = |job: &Job, ids: &[u32], text_bytes: u64| {
        let resume = Resume { ids: ids.to_vec(), text_bytes, prompt_ids_sha256: None };
        let error = start(job).decode.resume(&resume).unwrap_err();
        assert!(matches!(error, Error::Mismatch(_)), "{error:?}");
    };
    let job = chat(json!({}));
    refused(&job, &[259, 262], 8);
    refused(&job, &[259, 262], 10);
    refused(&job, &[259, EOS, 259], 5);
    refused(&Job { stop: vec!["wo".into()], ..chat(json!({})) }, &[259, 262, 259], 6);
    let constraint = Some(Constraint::Regex("ab".into()));
    refused(&Job { constraint, ..chat(json!({})) }, &[259], 5);
    refused(&Job { max_tokens: Some(1), ..chat(json!({})) }, &[259, 259], 10);
}

#[test]
fn what_is_not_resumable_is_refused_before_it_runs() {
    let with = |resume: Resume| Job { resume: Some(resume), ..chat(json!({})) };
    let ids = |ids: Vec<u32>| Resume { ids, ..Resume::default() };
    let prepare = |job: Job| model().prepare(&job);
    assert!(matches!(prepare(with(ids(vec![1010]))), Err(Error::Invalid { .. })));
    let short = Job { max_tokens: Some(2), ..with(ids(vec![1; 3])) };
    assert!(matches!(prepare(short), Err(Error::Invalid { .. })));
    let hash = prepare(chat(json!({}))).unwrap().ids_sha256();
    let hashed = |hash: String| Resume { prompt_ids_sha256: Some(hash), ..ids(vec![1]) };
    assert!(prepare(with(hashed(hash))).is_ok());
    assert!(matches!(prepare(with(hashed("00".into()))), Err(Error::Mismatch(_))));
}

use super::*;
use crate::engine::{Constraint, Job, ToolUse};
use crate::model::tests::{chat, model};
use crate::tokenizer::fixture::EOS;
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
    let sampling = job.sampling.clone();
    let (decode, _, events) =
        Decode::new(model(), prepared, sampling, job.logprobs, Arc::clone(&counters));
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
        Some(Ok(Event::Finish { reason, usage, ids })) => (*reason, *usage, ids.clone()),
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
    let Some(Ok(Event::Delta(Delta { tool_call: Some(call), ids, .. }))) = events.first() else {
        panic!("{events:?}")
    };
    let function = call.function.clone().unwrap();
    assert_eq!((function.name.as_deref(), function.arguments.as_deref()), (Some("f"), Some("{}")));
    assert!(!ids.is_empty());
    assert_eq!((events.len(), finish(&events).0), (2, FinishReason::ToolCalls));
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

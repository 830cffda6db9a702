use super::*;
use crate::counters::Counters;
use crate::decode::{Decode, Step};
use crate::engine::{Constraint, Event, Job as Writing, ToolUse};
use crate::model::tests::{chat, model};
use crate::tokenizer::fixture::EOS;
use openapi::commit::{Claim, thousandths};
use serde_json::json;
use std::sync::Arc;

const ROW: u32 = 1010;

/// A model's row: the same of the same tokens before it, another one of others.
fn row(swap: usize, before: &[u32]) -> Vec<f32> {
    let last = before.iter().fold(before.len() * 7, |sum, id| sum * 31 % 9973 + *id as usize);
    let mut row: Vec<f32> =
        (0..ROW as usize).map(|id| ((id * (37 + swap) + last * 11) % 997) as f32 / 90.0).collect();
    row[EOS as usize] = before.len() as f32 - 16.0;
    row
}

/// What a writer made: its ids, its claims, its text, its end.
#[derive(Debug)]
struct Written {
    ids: Vec<u32>,
    claims: Vec<Claim>,
    text: TextHash,
    reason: FinishReason,
}

fn write(job: &Writing) -> Written {
    let job = Writing { evidence: true, ..job.clone() };
    let prepared = model().prepare(&job).unwrap();
    let (mut decode, _, mut events) =
        Decode::new(model(), prepared, &job, Arc::new(Counters::default()));
    let mut ids = Vec::new();
    while let Step::Token(id) = decode.step(&row(0, &ids)) {
        ids.push(id);
    }
    let (mut told, mut text) = (Vec::new(), TextHash::default());
    while let Ok(event) = events.try_recv() {
        match event.unwrap() {
            Event::Delta(delta) => {
                told.extend(delta.ids);
                let texts = [delta.content, delta.reasoning].into_iter().flatten();
                texts.for_each(|part| text.text(&part));
                let call = delta.tool_call.and_then(|call| call.function).unwrap_or_default();
                call.name.iter().for_each(|name| text.call(name));
                call.arguments.iter().for_each(|part| text.text(part));
            }
            Event::Finish { reason, ids, claims, .. } => {
                told.extend(ids);
                return Written { ids: told, claims, text, reason };
            }
            Event::Raw(_) => panic!("raw bytes"),
        }
    }
    panic!("no end");
}

fn ask(job: &Writing, ids: &[u32]) -> Job {
    Job { job: job.clone(), ids: ids.to_vec(), positions: None, top_k: 3, margins: true }
}

/// By the same model, or by another one.
fn score(job: &Job, swap: usize) -> Answer {
    let prepared = model().prepare_score(job).unwrap();
    let (mut scorer, _) = Scorer::new(model(), prepared, job);
    while let Some(at) = scorer.next() {
        scorer.row(&row(swap, &job.ids[..at])).unwrap();
    }
    scorer.finish()
}

fn warm(mut job: Writing, seed: u64) -> Writing {
    job.sampling.temperature = 1.1;
    job.sampling.seed = seed;
    Writing { max_tokens: Some(40), ..job }
}

/// Every way of asking that changes what is drawn.
fn askings() -> Vec<Writing> {
    let plain = || warm(chat(json!({})), 77);
    let mut all = vec![plain(), Writing { max_tokens: Some(9), ..chat(json!({})) }];
    let mut with = |change: &dyn Fn(&mut Writing)| {
        let mut job = plain();
        change(&mut job);
        all.push(job);
    };
    with(&|job| {
        job.sampling.frequency_penalty = 0.7;
        job.sampling.presence_penalty = 0.4;
        job.sampling.repetition_penalty = 1.3;
    });
    with(&|job| job.sampling.logit_bias = [(259, 6.0), (260, -9.0), (5, 90.0)].into());
    with(&|job| (job.sampling.top_p, job.sampling.top_k, job.sampling.min_p) = (0.6, 20, 0.02));
    with(&|job| job.sampling.temperature = 1e-310);
    with(&|job| job.stop = vec!["a".into(), "lo".into()]);
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"enum":
        ["one", "two"]}}, "required": ["a", "b"], "additionalProperties": false});
    with(&|job| job.constraint = Some(Constraint::JsonSchema(schema.clone())));
    let tools = json!({"tools": [{"type": "function", "function": {"name": "f", "parameters":
        {"type": "object", "properties": {"x": {"enum": [1, 2]}}, "required": ["x"],
         "additionalProperties": false}}}]});
    let forced = Writing { tool_use: ToolUse::Named("f".into()), ..warm(chat(tools), 5) };
    all.push(Writing { max_tokens: Some(200), ..forced });
    all
}

#[test]
fn an_honest_answer_is_what_the_scorer_would_have_drawn() {
    let mut reasons = Vec::new();
    for job in askings() {
        let written = write(&job);
        let scored = score(&ask(&job, &written.ids), 0);
        assert_eq!(scored.scores.len(), written.ids.len());
        for (score, claim) in scored.scores.iter().zip(&written.claims) {
            assert_eq!(score.margin, Some(0.0), "{job:?}: {score:?}");
            assert_eq!(thousandths(score.lp), claim.lp, "{score:?}");
            let top: Vec<_> = score.top.iter().map(|(id, lp)| (*id, thousandths(*lp))).collect();
            assert_eq!(top, claim.top[..3], "{score:?}");
            assert!(score.own > 0.0 && score.above + score.own <= 1.0 + 1e-9, "{score:?}");
        }
        assert_eq!(scored.finish_reason, Some(written.reason), "{job:?}");
        assert_eq!(scored.text_sha256, written.text.clone().finish(), "{job:?}");
        assert_eq!(scored.constrained, job.constraint.is_some() || job.tool_use != ToolUse::Off);
        assert_eq!(scored.sampler, Some("gumbel-v1"));
        assert_eq!(written.claims.len(), written.ids.len());
        assert!(written.claims.iter().all(|claim| claim.top.len() == 20));
        reasons.push(written.reason);
    }
    for reason in [FinishReason::Stop, FinishReason::Length, FinishReason::ToolCalls] {
        assert!(reasons.contains(&reason), "{reasons:?}");
    }
}

fn matches(scored: &Answer) -> usize {
    scored.scores.iter().filter(|score| score.margin == Some(0.0)).count()
}

#[test]
fn another_seed_or_another_model_shows() {
    let job = warm(chat(json!({})), 77);
    let written = write(&job);
    assert!(written.ids.len() > 12, "{written:?}");
    let mut other = job.clone();
    other.sampling.seed = 78;
    let scored = score(&ask(&other, &written.ids), 0);
    assert!(matches(&scored) * 2 < written.ids.len(), "{scored:?}");
    // The log-probabilities do not depend on the seed.
    assert!(scored.scores.iter().zip(&written.claims).all(|(s, c)| thousandths(s.lp) == c.lp));
    let scored = score(&ask(&job, &written.ids), 5);
    assert!(matches(&scored) * 2 < written.ids.len(), "{scored:?}");
    let close = |(s, c): (&Score, &Claim)| thousandths(s.lp).abs_diff(c.lp) < 50;
    assert!(!scored.scores.iter().zip(&written.claims).all(close));
    // One who takes the likeliest although it was to be drawn.
    let mut greedy = job.clone();
    greedy.sampling.temperature = 0.0;
    let scored = score(&ask(&job, &write(&greedy).ids), 0);
    assert!(scored.scores.iter().all(|score| score.above == 0.0 && score.rank == 0));
    assert!(matches(&scored) * 2 < scored.scores.len(), "{scored:?}");
}

#[test]
fn a_margin_is_told_in_logits_and_clipped() {
    let mut job = warm(chat(json!({})), 3);
    job.sampling.temperature = 0.0;
    let rows = row(0, &[]);
    let mut order: Vec<u32> = (0..ROW).collect();
    order.sort_by(|a, b| rows[*b as usize].total_cmp(&rows[*a as usize]).then(a.cmp(b)));
    let first = |id: u32| score(&ask(&job, &[id]), 0).scores[0].clone();
    let second = first(order[1]);
    let gap = f64::from(rows[order[0] as usize] - rows[order[1] as usize]);
    assert!((second.margin.unwrap() - gap).abs() < 1e-6, "{second:?} {gap}");
    assert_eq!((second.above, second.own), (1.0, 0.0));
    // Beyond the 256 candidates.
    let last = first(order[900]);
    assert_eq!(last.margin, Some(MARGIN_MAX));
    assert!(last.rank > 800 && last.lp < -5.0, "{last:?}");
    assert!((last.eos_lp - f64::from(row(0, &[])[EOS as usize])).abs() < 40.0 && last.eos_rank > 0);
    // Without a seed nobody can say what would be drawn.
    let blind = score(&Job { margins: false, ..ask(&job, &[order[1]]) }, 0);
    assert_eq!((blind.scores[0].margin, blind.sampler), (None, None));
}

#[test]
fn tokens_that_no_answer_has() {
    let job = warm(chat(json!({})), 77);
    let written = write(&job);
    assert_eq!(written.reason, FinishReason::Stop);
    // Cut off: it is not at its end.
    let cut = &written.ids[..written.ids.len() - 1];
    assert_eq!(score(&ask(&job, cut), 0).finish_reason, None);
    // Behind its end.
    let long = [&written.ids[..], &[259, 260]].concat();
    let scored = score(&ask(&job, &long), 0);
    assert_eq!(scored.finish_reason, None);
    let margins: Vec<_> = scored.scores.iter().map(|score| score.margin.unwrap()).collect();
    assert_eq!(margins[written.ids.len()..], [MARGIN_MAX, MARGIN_MAX]);
    // Against the grammar: from there on it is no answer.
    let regex = Some(Constraint::Regex("(ab|ac)!".into()));
    let bound = Writing { constraint: regex, ..job.clone() };
    let scored = score(&ask(&bound, &[u32::from(b'a'), u32::from(b'x'), u32::from(b'!')]), 0);
    let margins: Vec<_> = scored.scores.iter().map(|score| score.margin.unwrap()).collect();
    assert_eq!(margins, [0.0, MARGIN_MAX, MARGIN_MAX]);
    assert_eq!((scored.finish_reason, scored.constrained), (None, true));
}

#[test]
fn single_positions_are_scored_as_in_the_whole() {
    for job in askings() {
        let written = write(&job);
        let whole = score(&ask(&job, &written.ids), 0);
        let positions: Vec<u32> = (0u32..).take(written.ids.len()).filter(|i| i % 3 == 1).collect();
        let some = score(&Job { positions: Some(positions), ..ask(&job, &written.ids) }, 0);
        let same: Vec<_> = whole.scores.iter().filter(|score| score.i % 3 == 1).cloned().collect();
        assert_eq!(some, Answer { scores: same, ..whole });
    }
}

#[test]
fn what_the_vocabulary_or_the_context_has_not_is_refused() {
    let refused = |ids: Vec<u32>| match model().prepare_score(&ask(&chat(json!({})), &ids)) {
        Err(Error::Invalid { param, .. }) => assert_eq!(param.unwrap(), "completion_token_ids"),
        other => panic!("{other:?}"),
    };
    refused(vec![ROW]);
    refused(vec![1; 1024]);
    assert!(model().prepare_score(&ask(&chat(json!({})), &[1; 900])).is_ok());
}

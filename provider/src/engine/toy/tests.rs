use super::*;
use crate::engine::{Event, Prompt, RawRequest, Sampling, ToolUse};
use futures_util::{FutureExt, StreamExt};
use openapi::chat::FinishReason;
use openapi::commit::Claim;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What came of a job.
#[derive(Debug, PartialEq)]
struct Written {
    provenance: Provenance,
    ids: Vec<u32>,
    text: String,
    reason: FinishReason,
    usage: Usage,
    claims: Vec<Claim>,
}

fn toy(change: impl FnOnce(&mut Options)) -> Toy {
    let mut options = Options::default();
    change(&mut options);
    Toy::new(options, Arc::new(Counters::default())).unwrap()
}

fn job(mut body: Value, seed: u64) -> Job {
    body["model"] = "toy".into();
    if body.get("messages").is_none() {
        body["messages"] = json!([{"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hello"}]);
    }
    let request: openapi::chat::Request = serde_json::from_value(body).unwrap();
    Job {
        request_id: format!("r{seed}"),
        model: "toy".into(),
        sampling: Sampling {
            seed,
            temperature: request.temperature.unwrap_or(1.0),
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            repetition_penalty: 1.0,
            logit_bias: BTreeMap::new(),
        },
        max_tokens: request.max_tokens,
        prompt: Prompt::Chat(Arc::new(request)),
        stop: vec![],
        constraint: None,
        tool_use: ToolUse::Off,
        logprobs: None,
        evidence: true,
        choice: 0,
        resume: None,
        raw: RawRequest::default(),
    }
}

fn write(toy: &Toy, job: &Job) -> Written {
    let answer = toy.start(job.clone()).now_or_never().unwrap().unwrap();
    let Answer::Events(generation) = answer else { panic!("{answer:?}") };
    let events: Vec<_> = generation.events.collect().now_or_never().unwrap();
    let (mut ids, mut text) = (Vec::new(), String::new());
    for event in events {
        match event.unwrap() {
            Event::Delta(delta) => {
                ids.extend(delta.ids);
                text.extend(delta.content);
            }
            Event::Finish { reason, usage, ids: last, claims } => {
                ids.extend(last);
                let provenance = *generation.provenance.unwrap();
                return Written { provenance, ids, text, reason, usage, claims };
            }
            Event::Raw(_) => {}
        }
    }
    panic!("no end")
}

fn score(toy: &Toy, job: &Job, ids: &[u32]) -> score::Answer {
    let job = score::Job {
        job: job.clone(),
        ids: ids.to_vec(),
        positions: None,
        top_k: 5,
        margins: true,
    };
    toy.score(job).now_or_never().unwrap().unwrap()
}

/// Mean distance of claims, and share of tokens that were to be drawn.
fn figures(written: &Written, scored: &score::Answer) -> (f64, f64) {
    let n = written.claims.len() as f64;
    let distance = |(claim, score): (&Claim, &openapi::verify::Score)| {
        (f64::from(claim.lp) / 1e3 - score.lp).abs().min(1.0)
    };
    let distances: f64 = written.claims.iter().zip(&scored.scores).map(distance).sum();
    let zero = scored.scores.iter().filter(|score| score.margin == Some(0.0)).count();
    (distances / n, zero as f64 / n)
}

#[test]
fn it_answers_with_words_until_it_is_done_and_the_same_everywhere() {
    let written = write(&toy(|_| ()), &job(json!({}), 1));
    assert_eq!(written.reason, FinishReason::Stop);
    assert!((40..400).contains(&written.ids.len()), "{}", written.ids.len());
    assert_eq!(written.ids.len(), written.claims.len());
    assert_eq!(written.usage.completion_tokens, written.ids.len() as u64);
    let is_word = |word: &str| word.len() == 4 && word.bytes().all(|b| b.is_ascii_lowercase());
    assert!(written.text.split_whitespace().all(is_word), "{}", written.text);
    assert_eq!(written, write(&toy(|_| ()), &job(json!({}), 1)));
    assert_ne!(written.text, write(&toy(|_| ()), &job(json!({}), 2)).text);
    let other = toy(|it| it.weights = "other".into());
    assert_ne!(written.text, write(&other, &job(json!({}), 1)).text);
    let prompt = json!({"messages": [{"role": "user", "content": "hello"}]});
    assert_ne!(written.text, write(&toy(|_| ()), &job(prompt, 1)).text);
}

#[test]
fn another_node_finds_an_honest_answer_as_it_was_written() {
    let (writer, scorer) = (toy(|_| ()), toy(|_| ()));
    for (seed, body) in
        [json!({}), json!({"temperature": 0}), json!({"max_tokens": 30})].into_iter().enumerate()
    {
        let job = job(body, seed as u64);
        let written = write(&writer, &job);
        let scored = score(&scorer, &job, &written.ids);
        let (distance, zero) = figures(&written, &scored);
        assert!(distance < 0.001 && zero == 1.0, "{distance} {zero}");
        assert_eq!(scored.finish_reason, Some(written.reason));
        assert_eq!(scored.prompt_ids_sha256, written.provenance.prompt_ids_sha256);
        assert_eq!(u64::from(scored.prompt_tokens), written.usage.prompt_tokens);
    }
}

/// The table of noises: about these distances and shares.
#[test]
fn noise_does_what_quantization_does() {
    let figures = |noise: f32| {
        let writer = toy(|it| (it.noise, it.machine) = (noise, 1));
        let (mut distance, mut zero) = (0.0, 0.0);
        for seed in 0..8 {
            let job = job(json!({}), seed);
            let written = write(&writer, &job);
            let (d, x) = self::figures(&written, &score(&toy(|_| ()), &job, &written.ids));
            (distance, zero) = (distance + d / 8.0, zero + x / 8.0);
        }
        (distance, zero)
    };
    let table: Vec<(f64, f64)> = [0.03, 0.12, 0.35, 1.5].into_iter().map(figures).collect();
    assert!(table[0].0 < 0.02 && table[0].1 > 0.985, "{table:?}");
    assert!(table.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 > pair[1].1));
    assert!((0.03..0.2).contains(&table[2].0) && (0.88..0.98).contains(&table[2].1), "{table:?}");
    assert!(table[3].0 > 0.2 && table[3].1 < 0.9, "{table:?}");
}

#[test]
fn it_goes_on_with_an_answer_that_another_began() {
    let job = job(json!({}), 5);
    let whole = write(&toy(|_| ()), &job);
    let resume = openapi::resume::Resume {
        ids: whole.ids[..20].to_vec(),
        text_bytes: 20 * 5,
        prompt_ids_sha256: Some(whole.provenance.prompt_ids_sha256.clone()),
    };
    let rest = write(&toy(|_| ()), &Job { resume: Some(resume), ..job });
    assert_eq!(rest.ids, whole.ids[20..]);
    assert_eq!(rest.claims, whole.claims[20..]);
    assert_eq!(rest.usage, whole.usage);
}

fn cheating(cheat: Cheat) -> (Written, Written, score::Answer) {
    let job = job(json!({}), 7);
    let written = write(&toy(|it| it.cheat = Some(cheat)), &job);
    let scored = score(&toy(|_| ()), &job, &written.ids);
    (write(&toy(|_| ()), &job), written, scored)
}

#[test]
fn a_prefill_attack_has_true_log_probabilities_and_wrong_tokens() {
    let (_, written, scored) = cheating(Cheat::Prefill);
    let (distance, zero) = figures(&written, &scored);
    assert!(distance < 0.001 && zero < 0.5, "{distance} {zero}");
    let (_, wrong, scored) = cheating(Cheat::WrongModel);
    let (distance, zero) = figures(&wrong, &scored);
    assert!(distance > 0.5 && zero < 0.5, "{distance} {zero}");
    assert_eq!(wrong.text, written.text);
}

#[test]
fn lies_about_the_answer_are_told_with_it() {
    let (honest, counted, _) = cheating(Cheat::InflatedCount);
    assert_eq!(counted.ids, honest.ids);
    assert!(counted.usage.completion_tokens > honest.usage.completion_tokens);
    let (_, split, scored) = cheating(Cheat::SplitTokens);
    assert_eq!(split.text, honest.text);
    assert!(split.ids.len() > 4 * honest.ids.len());
    assert_eq!(split.ids.len(), split.claims.len());
    assert_eq!(split.usage.completion_tokens, split.ids.len() as u64);
    assert!(figures(&split, &scored).1 < 0.2);
    let (_, other, scored) = cheating(Cheat::OtherIds);
    assert_eq!(other.text, honest.text);
    assert!(figures(&other, &scored).1 < 0.2);
    let (_, cut, scored) = cheating(Cheat::Truncated);
    assert_eq!((cut.ids.len(), cut.reason, scored.finish_reason), (24, FinishReason::Stop, None));
}

#[test]
fn lies_about_the_request_are_told_with_it() {
    let (honest, dropped, _) = cheating(Cheat::DroppedSystemPrompt);
    assert_ne!(dropped.provenance, honest.provenance);
    assert!(dropped.usage.prompt_tokens < honest.usage.prompt_tokens);
    for cheat in [
        Cheat::HiddenSystemPrompt,
        Cheat::Canned,
        Cheat::IgnoresSeed,
        Cheat::IgnoresTemperature,
        Cheat::ForgedLogprobs,
    ] {
        let (_, written, scored) = cheating(cheat);
        assert_eq!(written.provenance, honest.provenance, "{cheat:?}");
        assert_eq!(written.usage.prompt_tokens, honest.usage.prompt_tokens, "{cheat:?}");
        assert!(figures(&written, &scored).1 < 0.7, "{cheat:?}");
    }
}

#[test]
fn who_cheats_now_and_then_does_so_on_its_share() {
    let sometimes = toy(|it| (it.cheat, it.cheat_share) = (Some(Cheat::WrongModel), 0.1));
    let cheats = (0..2000).filter(|n| sometimes.inner.cheat(&format!("r{n}")).is_some()).count();
    assert!((150..250).contains(&cheats), "{cheats}");
    let honest = toy(|it| it.cheat_share = 1.0);
    assert_eq!(honest.inner.cheat("r"), None);
    assert!(Cheat::names().all(|name| Cheat::of(name).is_some()));
}

#[test]
fn scorers_that_do_no_work_say_what_is_not_so() {
    let job = job(json!({}), 7);
    let wrong = write(&toy(|it| it.cheat = Some(Cheat::WrongModel)), &job);
    let zero = |cheat: Cheat| {
        let scored = score(&toy(|it| it.cheat = Some(cheat)), &job, &wrong.ids);
        assert_eq!(scored.scores.len(), wrong.ids.len());
        let (_, zero) = figures(&wrong, &scored);
        zero
    };
    assert_eq!(zero(Cheat::LazyConstant), 1.0);
    assert_eq!(zero(Cheat::LazyRandom), 1.0);
    assert_eq!(zero(Cheat::Colluding), 1.0);
    let honest = write(&toy(|_| ()), &job);
    let scored = score(&toy(|it| it.cheat = Some(Cheat::Colluding)), &job, &honest.ids);
    assert_eq!(figures(&honest, &scored).1, 1.0, "and is honest with strangers");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_ends_it() {
    let counters = Arc::new(Counters::default());
    let options = Options { token_delay: Duration::from_millis(50), ..Options::default() };
    let toy = Toy::new(options, Arc::clone(&counters)).unwrap();
    let Answer::Events(generation) = toy.start(job(json!({}), 1)).await.unwrap() else {
        panic!("no events")
    };
    let mut events = generation.events;
    let begun = tokio::time::Instant::now();
    events.next().await.unwrap().unwrap();
    assert_eq!(begun.elapsed(), Duration::from_millis(50));
    drop(events);
    assert_eq!((counters.jobs_cancelled(), counters.tokens_generated()), (1, 1));
}

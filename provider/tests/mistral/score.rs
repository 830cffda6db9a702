//! What others wrote, scored by the bundled model: in one pass, or by forced tokens; beside its other work.

use crate::bench::*;
use openapi::commit::thousandths;
use openapi::gumbel::uniform;
use openapi::verify::TextHash;
use provider::engine::Constraint;
use provider::engine::score::{Answer as Verdict, Job as Asked};
use provider::sampler::Sampler;
use tokio::time::Instant;

/// Where no matrix has room.
async fn forcing() -> Bench {
    bench_with(ModelSource::Folder(model()), Dtype::Auto, 0).await
}

fn asked(job: &Job, ids: &[u32]) -> Asked {
    Asked { job: job.clone(), ids: ids.to_vec(), positions: None, top_k: 2, margins: true }
}

async fn score(bench: &Bench, job: &Job, ids: &[u32]) -> Verdict {
    bench.engine.score(asked(job, ids)).await.unwrap()
}

async fn write(bench: &Bench, job: &Job) -> Read {
    let read = bench.read(Job { evidence: true, ..job.clone() }).await.unwrap();
    assert_eq!(read.claims.len(), read.ids.len());
    read
}

fn matches(verdict: &Verdict) -> usize {
    verdict.scores.iter().filter(|score| score.margin == Some(0.0)).count()
}

/// Mean distance of the log-probabilities claimed and scored.
fn distance(read: &Read, verdict: &Verdict) -> f64 {
    let pairs = read.claims.iter().zip(&verdict.scores);
    let sum: f64 =
        pairs.map(|(claim, score)| (f64::from(claim.lp) / 1e3 - score.lp).abs().min(1.0)).sum();
    sum / verdict.scores.len() as f64
}

fn agrees(read: &Read, verdict: &Verdict) {
    assert_eq!(matches(verdict), read.ids.len(), "{verdict:?}");
    for (claim, score) in read.claims.iter().zip(&verdict.scores) {
        assert!(thousandths(score.lp).abs_diff(claim.lp) <= 1, "{claim:?} {score:?}");
    }
    assert_eq!(verdict.finish_reason, Some(read.reason));
    assert_eq!(u64::from(verdict.prompt_tokens), read.usage.prompt_tokens);
    let hash = &read.provenance.as_ref().unwrap().prompt_ids_sha256;
    assert_eq!(&verdict.prompt_ids_sha256, hash);
    let mut text = TextHash::default();
    text.text(&read.content);
    for (name, arguments) in &read.calls {
        text.call(name);
        text.text(arguments);
    }
    assert_eq!(verdict.text_sha256, text.finish());
}

fn jobs() -> Vec<Job> {
    let mut all = vec![ask("What is 7 plus 5?"), warm(ask("Tell me a story."), 1.0, 7)];
    let mut penalised = warm(ask("Tell me a story."), 1.2, 3);
    penalised.max_tokens = Some(60);
    penalised.sampling.frequency_penalty = 0.7;
    penalised.sampling.repetition_penalty = 1.1;
    (penalised.sampling.top_p, penalised.sampling.min_p) = (0.9, 0.01);
    penalised.stop = vec!["zebra".to_owned()];
    all.push(penalised);
    let schema = json!({"type": "object", "properties": {
        "name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0}},
        "required": ["name", "age"], "additionalProperties": false});
    let constraint = Some(Constraint::JsonSchema(schema));
    all.push(Job { constraint, ..warm(ask("Give me json for Ann, age 7."), 1.5, 1) });
    let tools = json!([{"type": "function", "function": {"name": "get_weather",
        "description": "Get the weather of a city.", "parameters": {"type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"],
            "additionalProperties": false}}}]);
    let body = json!({"tools": tools, "parallel_tool_calls": false,
        "messages": [{"role": "user", "content": "What is the weather in Paris?"}]});
    all.push(warm(Job { tool_use: ToolUse::Required, ..chat(body) }, 1.2, 5));
    all
}

#[tokio::test]
async fn an_honest_answer_scores_as_it_was_claimed() {
    let (writer, scorer) = (bench().await, bench().await);
    for job in jobs() {
        let read = write(&writer, &job).await;
        let verdict = score(&scorer, &job, &read.ids).await;
        agrees(&read, &verdict);
        assert_eq!(verdict.constrained, job.constraint.is_some() || job.tool_use != ToolUse::Off);
    }
    scorer.assert_alive().await;
}

#[tokio::test]
async fn forced_token_by_token_it_scores_the_same() {
    let (writer, scorer, forcing) = (bench().await, bench().await, forcing().await);
    for job in jobs() {
        let read = write(&writer, &job).await;
        let whole = score(&scorer, &job, &read.ids).await;
        let last = u32::try_from(read.ids.len()).unwrap() - 1;
        // The first, some far from each other, the last.
        let mut positions = vec![0, 1, 3, last / 2, last.saturating_sub(1), last];
        positions.sort_unstable();
        positions.dedup();
        let some = Asked { positions: Some(positions.clone()), ..asked(&job, &read.ids) };
        let forced = forcing.engine.score(some.clone()).await.unwrap();
        let of_whole = scorer.engine.score(some).await.unwrap();
        assert_eq!(forced.scores.iter().map(|score| score.i).collect::<Vec<_>>(), positions);
        for (one, two) in forced.scores.iter().zip(&of_whole.scores) {
            let close = |a: f64, b: f64| (a - b).abs() < 1e-3;
            assert_eq!(
                (one.i, one.id, one.rank, one.margin),
                (two.i, two.id, two.rank, two.margin)
            );
            assert!(close(one.lp, two.lp) && close(one.eos_lp, two.eos_lp), "{one:?} {two:?}");
        }
        assert_eq!(forced.text_sha256, whole.text_sha256);
        assert_eq!(forced.finish_reason, whole.finish_reason);
    }
    // More than is forced.
    let job = Job { max_tokens: Some(100), ..endless(warm(ask("Tell me a story."), 1.0, 1)) };
    let ids = write(&writer, &job).await.ids;
    assert!(matches!(forcing.engine.score(asked(&job, &ids)).await, Err(Error::Invalid { .. })));
    forcing.assert_alive().await;
}

#[tokio::test]
async fn a_cheater_s_answer_differs() {
    let (writer, scorer) = (bench().await, bench().await);
    let impostor = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/impostor"));
    let impostor = bench_of(ModelSource::Folder(impostor), Dtype::Auto).await;
    let job = Job { max_tokens: Some(80), ..endless(warm(ask("Tell me a story."), 1.0, 7)) };
    let honest = write(&writer, &job).await;
    let verdict = score(&scorer, &job, &honest.ids).await;
    agrees(&honest, &verdict);
    assert!(distance(&honest, &verdict) < 1e-3);
    // Another seed than was asked for: the same log-probabilities, other tokens.
    let other = write(&writer, &warm(job.clone(), 1.0, 8)).await;
    let verdict = score(&scorer, &job, &other.ids).await;
    assert!(distance(&other, &verdict) < 1e-3);
    assert!(matches(&verdict) * 10 < other.ids.len() * 9, "{}", matches(&verdict));
    // Other weights.
    let other = write(&impostor, &job).await;
    let verdict = score(&scorer, &job, &other.ids).await;
    assert!(distance(&other, &verdict) > 0.15, "{}", distance(&other, &verdict));
    assert!(matches(&verdict) * 10 < other.ids.len() * 9, "{}", matches(&verdict));
    // Other words than the system's.
    let system = chat(json!({"messages": [{"role": "system", "content": "Your name is Ada."},
        {"role": "user", "content": "What is your name?"}]}));
    let dropped = write(&writer, &ask("What is your name?")).await;
    let verdict = score(&scorer, &system, &dropped.ids).await;
    assert_ne!(verdict.prompt_ids_sha256, dropped.provenance.unwrap().prompt_ids_sha256);
    // Cut short.
    let job = ask("What is 7 plus 5?");
    let whole = write(&writer, &job).await;
    let verdict = score(&scorer, &job, &whole.ids[..whole.ids.len() - 3]).await;
    assert_eq!(verdict.finish_reason, None);
    assert!(verdict.scores.iter().all(|score| score.margin == Some(0.0)));
    // An end before its time is unlikely there.
    let early = [&whole.ids[..2], &[END]].concat();
    let verdict = score(&scorer, &job, &early).await;
    assert_eq!(verdict.finish_reason, Some(FinishReason::Stop));
    let last = verdict.scores.last().unwrap();
    // There are two ends; the likelier of them is told.
    assert!(last.margin.unwrap() > 0.0 && last.eos_rank > 15, "{last:?}");
    assert!(last.eos_lp >= last.lp && last.rank >= last.eos_rank, "{last:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_work_beside_a_score_is_as_it_is_alone() {
    let bench = bench().await;
    let jobs: Vec<Job> =
        (0..6u64).map(|i| warm(ask(&format!("Tell me a story about {i} cats.")), 1.0, i)).collect();
    let mut alone = Vec::new();
    let mut verdicts = Vec::new();
    for job in &jobs {
        let read = write(&bench, job).await;
        verdicts.push(score(&bench, job, &read.ids).await);
        alone.push(read);
    }
    for _ in 0..3 {
        let writing = jobs.iter().map(|job| write(&bench, job));
        let scoring = jobs.iter().zip(&alone).map(|(job, read)| score(&bench, job, &read.ids));
        let writing = futures_util::future::join_all(writing);
        let (written, scored) = tokio::join!(writing, futures_util::future::join_all(scoring));
        assert_eq!(written, alone);
        assert_eq!(scored, verdicts);
    }
    bench.settled().await;
    assert_eq!(bench.counters.engine_restarts(), 0);
}

/// Who waits for the engine alone holds up all others, so not for long.
#[tokio::test(start_paused = true)]
async fn long_answers_do_not_keep_a_score_waiting_for_ever() {
    let bench = bench().await;
    let job = Job { max_tokens: Some(100), ..endless(warm(ask("Tell me a story."), 1.0, 1)) };
    let ids = write(&bench, &job).await.ids;
    let long = bench.start(endless(ask("Tell me a story."))).await.unwrap();
    let refused = bench.engine.score(asked(&job, &ids)).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    drop(long);
    bench.settled().await;
    assert_eq!(matches(&score(&bench, &job, &ids).await), 100);
}

/// Whoever asked and left: the engine goes on.
#[tokio::test]
async fn a_score_that_nobody_waits_for_ends_by_itself() {
    for bench in [bench().await, forcing().await] {
        let job = ask("What is 7 plus 5?");
        let read = write(&bench, &job).await;
        for _ in 0..5 {
            let mut scoring = Box::pin(score(&bench, &job, &read.ids));
            for _ in 0..4 {
                let _pending = futures_util::poll!(scoring.as_mut());
                tokio::task::yield_now().await;
            }
            drop(scoring);
        }
        bench.assert_alive().await;
        bench.settled().await;
        assert_eq!(bench.counters.engine_restarts(), 0);
    }
}

/// `cargo test --release --workspace --test mistral -- --nocapture what_scoring_costs` prints the table.
#[tokio::test]
async fn what_scoring_costs() {
    let bench = bench().await;
    println!("prompt tokens | answer tokens | write ms | score ms");
    for words in [10, 150, 300] {
        for tokens in [16, 64, 256] {
            let text = "one two three four five ".repeat(words / 5);
            let job = Job { max_tokens: Some(tokens), ..endless(warm(ask(&text), 1.0, 1)) };
            let begun = Instant::now();
            let read = write(&bench, &Job { max_tokens: Some(tokens), ..job.clone() }).await;
            let written = begun.elapsed();
            let begun = Instant::now();
            let verdict = score(&bench, &job, &read.ids).await;
            let scored = begun.elapsed();
            assert_eq!(matches(&verdict), read.ids.len());
            let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
            println!(
                "{} | {} | {:.1} | {:.1}",
                verdict.prompt_tokens,
                read.ids.len(),
                ms(written),
                ms(scored)
            );
        }
    }
}

/// `cargo test --release --workspace --test mistral -- --nocapture what_claims_cost` prints the table.
#[test]
fn what_claims_cost() {
    println!("vocabulary | us a token | us with claims | more");
    for vocabulary in [1_536u32, 150_000] {
        #[expect(clippy::cast_possible_truncation, reason = "a random number")]
        let noise = |step: u32| (0..vocabulary).map(move |id| uniform(7, step.into(), id) as f32);
        // Shaped as a model's: most far below the best.
        let rows: Vec<Vec<f32>> = (0..8)
            .map(|step| noise(step).map(|u| 4.0 - 14.0 * (1.0 - u * u * u)).collect())
            .collect();
        let sampling = warm(ask(""), 1.0, 1).sampling;
        // Of each the fastest row: on a busy machine a longer run is interrupted.
        let mut costs = [f64::MAX; 2];
        for _ in 0..10 {
            for (cost, wanted) in costs.iter_mut().zip([None, Some(20)]) {
                let mut sampler = Sampler::new(sampling.clone(), &[], wanted);
                for row in &rows {
                    let begun = Instant::now();
                    let pick = sampler.pick(row, None).unwrap();
                    *cost = cost.min(begun.elapsed().as_secs_f64() * 1e6);
                    assert_eq!(pick.logprob.map(|own| own.top.len()), wanted.map(usize::from));
                }
            }
        }
        let [plain, claims] = costs;
        println!("{vocabulary} | {plain:.0} | {claims:.0} | {:.0}", claims - plain);
    }
}

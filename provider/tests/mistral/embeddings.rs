//! Embeddings with mistral.rs: the bundled weights as an embedding model.

use crate::bench::*;
use futures_util::future::join_all;
use provider::engine::embed::{self, Input};
use provider::engine::mistral::Embedder;
use provider::engine::several::Several;
use std::path::Path;
use tempfile::TempDir;

const QUESTION: &str = "What is the capital of France?";

struct Lab {
    engine: Embedder,
    counters: Arc<Counters>,
    tracker: TaskTracker,
    _folder: TempDir,
}

/// What `models/embedder.py` says: its own files, and the weights of `pip`.
fn folder() -> TempDir {
    let (folder, models) = (tempfile::tempdir().unwrap(), model().join(".."));
    std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    for name in ["modules.json", "tokenizer.json", "1_Pooling/config.json"] {
        std::fs::copy(models.join("pip-embed").join(name), folder.path().join(name)).unwrap();
    }
    std::fs::copy(model().join("config.json"), folder.path().join("config.json")).unwrap();
    let weights = std::fs::read(model().join("model.safetensors")).unwrap();
    let weights = provider::weights::without_prefix(&weights, "model.").unwrap();
    std::fs::write(folder.path().join("model.safetensors"), weights).unwrap();
    folder
}

async fn load(folder: &Path) -> (Embedder, Arc<Counters>, TaskTracker) {
    let (counters, tracker) = (Arc::new(Counters::default()), TaskTracker::new());
    let model = ModelSource::parse(folder.to_str().unwrap(), false).unwrap();
    assert!(model.is_encoder(), "known by its files");
    let options = Options {
        model,
        id: "pip-embed".into(),
        device: Device::Cpu,
        dtype: Dtype::Auto,
        max_concurrent: 8,
        matrix_bytes: 0,
    };
    let engine = Embedder::load(options, Arc::clone(&counters), tracker.clone()).await.unwrap();
    (engine, counters, tracker)
}

async fn lab() -> Lab {
    let folder = folder();
    let (engine, counters, tracker) = load(folder.path()).await;
    Lab { engine, counters, tracker, _folder: folder }
}

fn job(inputs: Vec<Input>) -> embed::Job {
    embed::Job {
        request_id: "test".into(),
        model: "pip-embed".into(),
        inputs,
        is_list: true,
        dimensions: None,
        raw: RawRequest::default(),
    }
}

fn texts(texts: &[&str]) -> embed::Job {
    job(texts.iter().map(|text| Input::Text((*text).to_owned())).collect())
}

impl Lab {
    async fn embed(&self, job: embed::Job) -> Result<(Vec<Vec<f32>>, u64), Error> {
        match self.engine.embed(job).await? {
            embed::Answer::Vectors(made) => Ok((made.vectors, made.prompt_tokens)),
            embed::Answer::Relay(_) => panic!("a relay"),
        }
    }

    async fn one(&self, text: &str) -> Vec<f32> {
        self.embed(texts(&[text])).await.unwrap().0.remove(0)
    }

    async fn settled(&self) {
        self.tracker.close();
        self.tracker.wait().await;
        self.tracker.reopen();
    }
}

fn likeness(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn assert_close(found: &[f32], wanted: &[f32]) {
    let far = found.iter().zip(wanted).any(|(found, wanted)| (found - wanted).abs() > 1e-4);
    assert!(!far && found.len() >= wanted.len(), "{found:?} is not {wanted:?}");
}

/// The numbers are of another implementation of the same arithmetic, in numpy.
#[tokio::test]
async fn vectors_are_those_of_the_weights() {
    let lab = lab().await;
    let (vectors, tokens) = lab.embed(texts(&[QUESTION, "Count to 20.", "a"])).await.unwrap();
    assert_eq!(tokens, 10 + 7 + 2);
    assert_close(&vectors[0], &[-0.047265, 0.052335, -0.018274, -0.014567, -0.115749, 0.001437]);
    assert_close(&vectors[1], &[-0.027705, 0.019398, 0.021001, -0.037902, -0.022769, -0.074202]);
    assert_close(&vectors[2], &[0.017147, -0.003843, -0.011084, 0.034899, -0.068645, 0.006021]);
    for vector in &vectors {
        assert_eq!(vector.len(), 256);
        assert!((likeness(vector, vector) - 1.0).abs() < 1e-5);
    }
    // Ids are taken as they are: no end is put behind them.
    let (ids, tokens) = lab.embed(job(vec![Input::Ids(vec![1, 2, 3])])).await.unwrap();
    assert_eq!(tokens, 3);
    assert_close(&ids[0], &[0.027304, -0.008398, -0.042673, -0.001787, -0.222428, -0.006862]);
    let jobs = (lab.counters.jobs_started(), lab.counters.jobs_finished());
    assert_eq!(jobs, (2, 2));
}

#[tokio::test]
async fn what_means_alike_lies_together() {
    let lab = lab().await;
    let france = lab.one(QUESTION).await;
    let italy = lab.one("What is the capital of Italy?").await;
    let count = lab.one("Count to 20.").await;
    let count_too = lab.one("Count to 12.").await;
    assert!(likeness(&france, &italy) > 0.8);
    assert!(likeness(&count, &count_too) > 0.8);
    assert!(likeness(&france, &count) < 0.5);
}

#[tokio::test]
async fn a_vector_does_not_depend_on_its_neighbours() {
    let lab = lab().await;
    let questions: Vec<String> =
        (0..12).map(|n| format!("{}What is {n}?", "a ".repeat(n))).collect();
    let mut alone = Vec::new();
    for question in &questions {
        alone.push(lab.one(question).await);
    }
    let listed: Vec<&str> = questions.iter().map(String::as_str).collect();
    assert_eq!(lab.embed(texts(&listed)).await.unwrap().0, alone);
    let at_once = join_all(questions.iter().map(|question| lab.one(question))).await;
    assert_eq!(at_once, alone);
}

#[tokio::test]
async fn fewer_dimensions_are_the_first_ones() {
    let lab = lab().await;
    let whole = lab.one(QUESTION).await;
    let short = embed::Job { dimensions: Some(16), ..texts(&[QUESTION]) };
    let short = lab.embed(short).await.unwrap().0.remove(0);
    assert_eq!(short.len(), 16);
    // Scaled once where the other was scaled twice.
    assert_close(&short, &embed::unit(whole, Some(16)).unwrap());
}

#[tokio::test]
async fn what_is_refused_never_reaches_the_engine() {
    let lab = lab().await;
    let ids = |ids: Vec<u32>| job(vec![Input::Ids(vec![1, 2]), Input::Ids(ids)]);
    for (job, param, code) in [
        (ids(vec![1, 1536]), "input[1]", None),
        // One token makes mistral.rs 0.8.1 panic.
        (ids(vec![7]), "input[1]", None),
        (ids(vec![7; 1025]), "input[1]", Some("context_length_exceeded")),
        (texts(&[&"z9 ".repeat(600)]), "input[0]", Some("context_length_exceeded")),
        (embed::Job { dimensions: Some(257), ..texts(&["a"]) }, "dimensions", None),
    ] {
        match lab.embed(job).await {
            Err(Error::Invalid { param: found, code: told, .. }) => {
                assert_eq!((found.as_deref(), told), (Some(param), code));
            }
            other => panic!("{param}: {other:?}"),
        }
    }
    let elsewhere = embed::Job { model: "gpt-9".into(), ..texts(&["a"]) };
    assert!(matches!(lab.embed(elsewhere).await, Err(Error::UnknownModel(_))));
    assert_eq!(lab.counters.jobs_started(), 0);
    // The whole context is there to be used.
    let full = lab.embed(job(vec![Input::Ids(vec![7; 1024])])).await.unwrap();
    assert_eq!(full.1, 1024);
    assert_eq!((lab.counters.engine_restarts(), lab.engine.health()), (0, Ok(())));
}

#[tokio::test]
async fn a_caller_who_leaves_takes_what_is_not_begun_along() {
    let lab = lab().await;
    let before = lab.one(QUESTION).await;
    let many = || job((0..256).map(|_| Input::Ids(vec![7; 1024])).collect());
    for begun in 2..5 {
        let is_begun = async {
            while lab.counters.jobs_started() < begun {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = lab.engine.embed(many()) => panic!("256 contexts take longer"),
            () = is_begun => {}
        }
    }
    lab.settled().await;
    assert_eq!(lab.one(QUESTION).await, before);
    assert_eq!((lab.counters.jobs_started() - 2, lab.counters.jobs_cancelled()), (3, 3));
    assert_eq!((lab.counters.engine_restarts(), lab.engine.health()), (0, Ok(())));
}

#[tokio::test]
async fn one_process_serves_both_kinds_and_each_does_its_own() {
    let (bench, lab) = (bench().await, lab().await);
    let both = Several::new(vec![Arc::new(bench.engine), Arc::new(lab.engine)]);
    let ids: Vec<String> = both.models().into_iter().map(|model| model.id).collect();
    assert_eq!(ids, ["pip", "pip-embed"]);
    assert!(matches!(both.start(ask("hello")).await, Ok(Answer::Events(_))));
    assert!(matches!(both.embed(texts(&["hello"])).await, Ok(embed::Answer::Vectors(_))));
    let refused = |error: Error| match error {
        Error::Invalid { param, code, .. } => (param.unwrap(), code),
        other => panic!("{other:?}"),
    };
    let unsupported = ("model".to_owned(), Some("unsupported_operation"));
    let chat = Job { model: "pip-embed".into(), ..ask("hello") };
    assert_eq!(refused(both.start(chat).await.unwrap_err()), unsupported);
    let vector = embed::Job { model: "pip".into(), ..texts(&["hello"]) };
    assert_eq!(refused(both.embed(vector).await.unwrap_err()), unsupported);
    let nobody = embed::Job { model: "gpt-9".into(), ..texts(&["hello"]) };
    assert!(matches!(both.embed(nobody).await, Err(Error::UnknownModel(_))));
}

use super::load::usable;
use super::processor::Processor;
use super::*;
use crate::model::tests::chat;
use futures_util::TryStreamExt;
use mistralrs::{NormalRequest, Request, RequestMessage, SamplingParams, Tensor};
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use tokio::sync::mpsc;

async fn engine() -> (Mistral, Arc<Counters>) {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/pip");
    let options = Options {
        model: ModelSource::Folder(model.into()),
        id: "m".into(),
        device: Device::Cpu,
        dtype: Dtype::F32,
        max_concurrent: 1,
        matrix_bytes: 512 << 20,
    };
    let counters = Arc::new(Counters::default());
    (Mistral::load(options, Arc::clone(&counters), TaskTracker::new()).await.unwrap(), counters)
}

async fn answer(engine: &Mistral, job: Job) -> Result<Vec<Event>, Error> {
    match engine.start(job).await? {
        Answer::Events(generation) => generation.events.try_collect().await,
        Answer::Relay(_) => panic!("a relay"),
    }
}

/// Makes the engine's thread panic in the middle of an answer, at its fifth token.
async fn die_in_the_middle(engine: &Mistral) -> Vec<Result<Event, Error>> {
    let inner = &engine.inner;
    let job = chat(json!({"messages": [{"role": "user", "content": "Count to 20."}]}));
    let prepared = inner.model.prepare(&job).unwrap();
    let counters = Arc::clone(&inner.counters);
    let (decode, ids, mut events) = Decode::new(&inner.model, prepared, &job, counters);
    let processor = Processor::new(decode, 1535);
    let (Request::Normal(mut request), responses) = inner.request(&ids, &processor) else {
        panic!("another request")
    };
    let calls = AtomicU32::new(0);
    let panics = move |logits: &Tensor, _: &[u32]| {
        assert!(calls.fetch_add(1, Relaxed) < 4, "as the test wants it");
        Ok(logits.clone())
    };
    request.logits_processors.as_mut().unwrap().push(Arc::new(panics));
    let sender = inner.runner.inner().get_sender(None).unwrap();
    sender.send(Request::Normal(request)).await.unwrap();
    inner.drain(responses, &processor).await;
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

#[tokio::test]
async fn a_dead_engine_fails_its_answers_and_comes_back() {
    let (engine, counters) = engine().await;
    let whole = answer(&engine, chat(json!({}))).await.unwrap();
    for deaths in 1..=2 {
        let events = die_in_the_middle(&engine).await;
        // It broke off with an error, and nothing behind it.
        let (last, before) = events.split_last().unwrap();
        assert!(matches!(last, Err(Error::Unavailable(_))), "{last:?}");
        assert!(!before.is_empty() && before.iter().all(|e| matches!(e, Ok(Event::Delta(_)))));
        assert_eq!(counters.engine_restarts(), deaths);
        assert_eq!(engine.health(), Ok(()));
        assert_eq!(answer(&engine, chat(json!({}))).await.unwrap(), whole);
    }
}

/// A request that is not streamed and whose receiver is gone makes mistral.rs 0.8.1 panic.
#[tokio::test]
async fn an_engine_that_died_idle_is_started_by_the_next_request() {
    let (engine, counters) = engine().await;
    let runner = engine.inner.runner.inner();
    let (response, receiver) = mpsc::channel(1);
    drop(receiver);
    let request = NormalRequest::new_simple(
        RequestMessage::CompletionTokens(vec![1, 2, 3]),
        SamplingParams { max_len: Some(2), ..SamplingParams::neutral() },
        response,
        runner.next_request_id(),
        None,
        None,
    );
    let sender = runner.get_sender(None).unwrap();
    sender.send(Request::Normal(Box::new(request))).await.unwrap();
    sender.closed().await;
    let events = answer(&engine, chat(json!({}))).await.unwrap();
    assert!(matches!(events.last(), Some(Event::Finish { .. })));
    assert!(counters.engine_restarts() <= 1);
    assert_eq!(engine.health(), Ok(()));
}

#[test]
fn contexts_are_cut_to_what_the_cache_can_grow_to() {
    let contexts = [100, 511, 512, 700, 1024, 40_960];
    assert_eq!(contexts.map(usable), [100, 511, 512, 512, 1024, 40_960]);
}

#[test]
fn the_hubs_cache_is_read_by_its_main_revision() {
    let cache = tempfile::tempdir().unwrap();
    let folder = |name: &str| cache.path().join("hub/models--org--name").join(name);
    assert_eq!(source::hub_folder(cache.path(), "org/name"), None);
    std::fs::create_dir_all(folder("refs")).unwrap();
    std::fs::create_dir_all(folder("snapshots/abc")).unwrap();
    std::fs::write(folder("refs/main"), "abc\n").unwrap();
    let found = source::hub_folder(cache.path(), "org/name");
    assert_eq!(found, Some(folder("snapshots/abc")));
}

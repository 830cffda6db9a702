use super::*;
use crate::engine::mistral::load::usable;
use crate::model::tests::chat;
use futures_util::TryStreamExt;
use mistralrs::{Constraint, NormalRequest, Request, RequestMessage, SamplingParams};
use serde_json::json;
use tokio::sync::mpsc;

async fn engine() -> (Mistral, Arc<Counters>) {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/pip");
    let options = Options {
        model: ModelSource::Folder(model.into()),
        id: "m".into(),
        device: Device::Cpu,
        dtype: Dtype::F32,
        max_concurrent: 1,
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

/// A request that is not streamed and whose receiver is gone makes mistral.rs 0.8.1 panic.
async fn kill(engine: &Mistral) {
    let runner = engine.inner.runner.inner();
    let (response, receiver) = mpsc::channel(1);
    drop(receiver);
    let request = NormalRequest {
        constraint: Constraint::None,
        ..NormalRequest::new_simple(
            RequestMessage::CompletionTokens(vec![1, 2, 3]),
            SamplingParams { max_len: Some(2), ..SamplingParams::neutral() },
            response,
            runner.next_request_id(),
            None,
            None,
        )
    };
    runner.get_sender(None).unwrap().send(Request::Normal(Box::new(request))).await.unwrap();
}

#[tokio::test]
async fn a_dead_engine_fails_its_answers_and_comes_back() {
    let (engine, counters) = engine().await;
    let mut endless = chat(json!({}));
    endless.sampling.logit_bias = [(1535, -100.0), (1533, -100.0)].into();
    let Answer::Events(mut open) = engine.start(endless).await.unwrap() else { panic!("a relay") };
    assert!(open.events.try_next().await.unwrap().is_some());
    kill(&engine).await;
    // It broke off with an error, and nothing behind it.
    let error = loop {
        match open.events.next().await {
            Some(Ok(Event::Delta(_))) => {}
            Some(Err(error)) => break error,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(open.events.next().await.is_none());
    // At once, while it may still be dying: started again, once.
    let events = answer(&engine, chat(json!({}))).await.unwrap();
    assert!(matches!(events.last(), Some(Event::Finish { .. })));
    assert!(counters.engine_restarts() >= 1);
    assert_eq!(engine.health(), Ok(()));
}

#[tokio::test]
async fn a_dead_idle_engine_is_started_by_the_next_request() {
    let (engine, _) = engine().await;
    kill(&engine).await;
    for _ in 0..2 {
        // The first one may be caught in the dying engine; then it is told so.
        if let Ok(events) = answer(&engine, chat(json!({}))).await {
            assert!(matches!(events.last(), Some(Event::Finish { .. })));
        }
    }
    assert!(answer(&engine, chat(json!({}))).await.is_ok());
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

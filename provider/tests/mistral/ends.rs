//! How answers end: stop strings, lengths, the context, callers who leave.

use crate::bench::*;

#[tokio::test]
async fn stop_strings_cut_the_text_and_end_the_work() {
    let bench = bench().await;
    let job = Job { stop: vec![" is".into(), "never".into()], ..ask("What is 7 plus 5?") };
    let read = bench.read(job).await.unwrap();
    assert_eq!((read.content.as_str(), read.reason), ("7 plus 5", FinishReason::Stop));
    assert_eq!(read.usage.completion_tokens, read.ids.len() as u64);
    bench.settled().await;
    assert_eq!(bench.counters.tokens_generated(), read.usage.completion_tokens);
}

#[tokio::test]
async fn max_tokens_ends_with_length_and_an_early_end_generates_nothing_unseen() {
    let bench = bench().await;
    for max in [1, 2, 5] {
        let job = Job { max_tokens: Some(max), ..ask("Count to 20.") };
        let read = bench.read(job).await.unwrap();
        assert_eq!((read.reason, read.usage.completion_tokens), (FinishReason::Length, max.into()));
    }
    let mut job = ask("hello");
    job.sampling.logit_bias.insert(END, 100.0);
    let read = bench.read(job).await.unwrap();
    assert_eq!((read.content.as_str(), &read.ids[..]), ("", &[END][..]));
    bench.settled().await;
    assert_eq!(bench.counters.tokens_generated(), 1 + 2 + 5 + 1);
    bench.assert_alive().await;
}

#[tokio::test]
async fn the_context_ends_an_answer_and_not_the_engine() {
    let bench = bench().await;
    let read = bench.read(endless(ask("Count to 20."))).await.unwrap();
    assert_eq!(read.reason, FinishReason::Length);
    assert_eq!(read.usage.total_tokens, 1024);
    let ids = vec![40; 1023];
    let job = Job { prompt: Prompt::Ids(ids), ..endless(ask("")) };
    assert_eq!(bench.read(job).await.unwrap().usage.completion_tokens, 1);
    bench.assert_alive().await;
}

#[tokio::test]
async fn a_caller_who_leaves_stops_the_work_within_two_tokens() {
    let bench = bench().await;
    for read in [0, 1, 5] {
        let mut generation = bench.start(endless(ask("Tell me a story."))).await.unwrap();
        for _ in 0..read {
            assert!(matches!(generation.events.next().await, Some(Ok(Event::Delta(_)))));
        }
        let before = bench.counters.tokens_generated();
        drop(generation);
        bench.settled().await;
        let after = bench.counters.tokens_generated();
        assert!(after - before <= 2, "{before} tokens before, {after} after");
    }
    assert_eq!(bench.counters.jobs_cancelled(), 3);
    assert_eq!(bench.counters.jobs_finished(), 0);
    bench.assert_alive().await;
}

#[tokio::test]
async fn a_caller_who_leaves_the_queue_costs_nothing() {
    let bench = bench().await;
    let mut long = bench.start(endless(ask("Tell me a story."))).await.unwrap();
    assert!(long.events.next().await.is_some());
    let waiting = bench.start(ask("What is 7 plus 5?")).await.unwrap();
    drop(waiting);
    // The one behind it gets its turn.
    let behind = bench.start(ask("What is 7 plus 5?")).await.unwrap();
    drop(long);
    let events: Vec<_> = behind.events.collect().await;
    assert!(matches!(events.last(), Some(Ok(Event::Finish { .. }))));
    bench.settled().await;
    assert_eq!((bench.counters.jobs_cancelled(), bench.counters.jobs_started()), (2, 2));
}

#[tokio::test]
async fn a_caller_who_does_not_read_holds_nobody_up() {
    let bench = bench().await;
    let unread = bench.start(ask("Count to 20.")).await.unwrap();
    bench.assert_alive().await;
    let events: Vec<_> = unread.events.collect().await;
    assert!(matches!(events.last(), Some(Ok(Event::Finish { .. }))));
}

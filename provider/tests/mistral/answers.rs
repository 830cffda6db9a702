//! What is answered: texts, seeds, neighbours, ids, log-probabilities, provenance.

use crate::bench::*;

#[tokio::test]
async fn a_question_is_answered_token_by_token() {
    let bench = bench().await;
    let read = bench.read(ask("What is 7 plus 5?")).await.unwrap();
    assert_eq!(read.content, "7 plus 5 is 12.");
    assert_eq!(read.reason, FinishReason::Stop);
    assert_eq!(read.ids.last(), Some(&END));
    assert_eq!(read.usage.completion_tokens, read.ids.len() as u64);
    assert_eq!(read.deltas, read.ids.len() - 1);
    let models = bench.engine.models();
    assert_eq!((models[0].id.as_str(), models[0].context_length), ("pip", Some(1024)));
    assert_eq!(models[0].quant.as_deref(), Some("f32"));
    assert!(models[0].weights_id.as_ref().unwrap().starts_with("b3:"));
    assert!(models[0].created > 1_500_000_000);
    assert_eq!(bench.engine.concurrency(), 1);
    bench.settled().await;
    assert_eq!(bench.counters.tokens_generated(), read.usage.completion_tokens);
    assert_eq!((bench.counters.jobs_started(), bench.counters.jobs_finished()), (1, 1));
}

#[tokio::test]
async fn the_conversation_and_the_system_prompt_are_read() {
    let bench = bench().await;
    let text = bench.text(chat(json!({"messages": [
        {"role": "user", "content": "My name is Tom."},
        {"role": "assistant", "content": "Hello Tom."},
        {"role": "user", "content": "What is my name?"},
    ]})));
    assert!(text.await.contains("Tom"));
    let text = bench.text(chat(json!({"messages": [
        {"role": "developer", "content": "Your name is Ada."},
        {"role": "user", "content": [{"type": "text", "text": "What is your name?"}]},
    ]})));
    assert!(text.await.contains("Ada"));
}

#[tokio::test]
async fn a_seed_gives_the_same_tokens_and_another_seed_others() {
    let bench = bench().await;
    let story = |seed| bench.read(warm(ask("Tell me a story."), 1.2, seed));
    let first = story(7).await.unwrap();
    assert_eq!(first, story(7).await.unwrap());
    let other = crate::bench::bench().await;
    assert_eq!(first, other.read(warm(ask("Tell me a story."), 1.2, 7)).await.unwrap());
    assert_ne!(first.ids, story(8).await.unwrap().ids);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twelve_conversations_at_once_read_like_twelve_alone() {
    let bench = bench().await;
    let jobs: Vec<Job> = (0..12u32)
        .map(|i| match i % 3 {
            0 => ask(&format!("What is {i} plus {}?", i + 3)),
            1 => warm(ask(&format!("Tell me a story about {i} cats.")), 1.0, i.into()),
            _ => warm(ask(&format!("Count to {}.", 5 + i)), 0.7, i.into()),
        })
        .collect();
    let mut alone = Vec::new();
    for job in &jobs {
        alone.push(bench.read(job.clone()).await.unwrap());
    }
    for _ in 0..3 {
        let at_once = jobs.iter().map(|job| bench.read(job.clone()));
        let at_once = futures_util::future::join_all(at_once).await;
        for (alone, at_once) in alone.iter().zip(at_once) {
            assert_eq!(alone, &at_once.unwrap());
        }
    }
}

#[tokio::test]
async fn log_probabilities_are_natural_and_of_the_model_alone() {
    let bench = bench().await;
    let job = Job { logprobs: Some(3), ..ask("What is the capital of France?") };
    let plain = bench.read(job.clone()).await.unwrap();
    assert_eq!(plain.logprobs.len(), plain.ids.len() - 1);
    for token in &plain.logprobs {
        assert_eq!(token.top_logprobs.len(), 3);
        assert_eq!(
            (&token.token, token.logprob),
            (&token.top_logprobs[0].token, token.top_logprobs[0].logprob)
        );
        let shares: f64 = token.top_logprobs.iter().map(|top| top.logprob.exp()).sum();
        assert!(token.logprob <= 0.0 && shares <= 1.0 + 1e-9 && shares > 0.3, "{token:?}");
    }
    // Neither temperature nor bias nor penalties show in them.
    let mut hot = warm(job, 1.9, 3);
    hot.sampling.logit_bias.insert(40, 5.0);
    hot.sampling.presence_penalty = 1.0;
    let hot = bench.read(hot).await.unwrap();
    assert_eq!(hot.logprobs[0].top_logprobs, plain.logprobs[0].top_logprobs);
}

#[tokio::test]
async fn penalties_and_biases_count() {
    let bench = bench().await;
    let plain = bench.read(ask("Count to 9.")).await.unwrap();
    let mut job = ask("Count to 9.");
    job.sampling.logit_bias.insert(plain.ids[0], -100.0);
    assert_ne!(bench.read(job).await.unwrap().ids[0], plain.ids[0]);
    let mut job = ask("Count to 9.");
    job.sampling.frequency_penalty = 2.0;
    job.sampling.presence_penalty = 2.0;
    assert_ne!(bench.read(job).await.unwrap().ids, plain.ids);
}

#[tokio::test]
async fn provenance_names_weights_template_prompt_and_seed() {
    let bench = bench().await;
    let job = |text| Job { evidence: true, ..warm(ask(text), 1.0, 99) };
    let one = bench.read(job("hello")).await.unwrap().provenance.unwrap();
    let two = bench.read(job("hello!")).await.unwrap().provenance.unwrap();
    assert_eq!((one.sampler.as_str(), one.seed, one.quant.as_str()), ("gumbel-v1", 99, "f32"));
    assert_eq!(Some(&one.weights_id), bench.engine.models()[0].weights_id.as_ref());
    assert_eq!((one.template_sha256.len(), one.prompt_ids_sha256.len()), (64, 64));
    assert_eq!(one.template_sha256, two.template_sha256);
    assert_ne!(one.prompt_ids_sha256, two.prompt_ids_sha256);
    assert!(bench.read(ask("hello")).await.unwrap().provenance.is_none());
}

#[tokio::test]
async fn raw_prompts_go_on_from_where_they_end() {
    let bench = bench().await;
    let chat = bench.read(ask("What is 7 plus 5?")).await.unwrap();
    let text = "<|im_start|>user\nWhat is 7 plus 5?<|im_end|>\n<|im_start|>assistant\n";
    let raw = Job { prompt: Prompt::Text(text.into()), ..ask("") };
    let raw = bench.read(raw).await.unwrap();
    assert_eq!((raw.content, raw.usage), (chat.content, chat.usage));
    let ids = Job { prompt: Prompt::Ids(vec![1534, 40, 41]), max_tokens: Some(3), ..ask("") };
    assert_eq!(bench.read(ids).await.unwrap().usage.prompt_tokens, 3);
}

use super::*;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;

fn plain(seed: u64, temperature: f64) -> Sampling {
    Sampling {
        seed,
        temperature,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        presence_penalty: 0.0,
        frequency_penalty: 0.0,
        repetition_penalty: 1.0,
        logit_bias: BTreeMap::new(),
    }
}

fn ids(sampling: Sampling, rows: &[Vec<f32>]) -> Vec<u32> {
    let mut sampler = Sampler::new(sampling, &[], None);
    rows.iter().filter_map(|row| sampler.pick(row, None)).map(|pick| pick.id).collect()
}

/// The picks of `openapi/vectors/gumbel-v1.json`, which another program computed.
#[test]
fn published_vectors_hold() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi/vectors/gumbel-v1.json");
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let cases = vectors["picks"].as_array().unwrap();
    assert!(cases.len() >= 12);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let number = |key: &str, default: f64| case[key].as_f64().unwrap_or(default);
        let list = |key: &str| -> Vec<u32> {
            let values = case[key].as_array().into_iter().flatten();
            values.map(|id| u32::try_from(id.as_u64().unwrap()).unwrap()).collect()
        };
        let mut sampling = plain(case["seed"].as_u64().unwrap(), number("temperature", 1.0));
        sampling.top_k = case["top_k"].as_u64().unwrap_or(0).try_into().unwrap();
        sampling.top_p = number("top_p", 1.0);
        sampling.min_p = number("min_p", 0.0);
        sampling.presence_penalty = number("presence_penalty", 0.0);
        sampling.frequency_penalty = number("frequency_penalty", 0.0);
        sampling.repetition_penalty = number("repetition_penalty", 1.0);
        for (id, bias) in case["logit_bias"].as_object().into_iter().flatten() {
            sampling.logit_bias.insert(id.parse().unwrap(), bias.as_f64().unwrap());
        }
        let row: Vec<f32> = serde_json::from_value(case["logits"].clone()).unwrap();
        let allowed = case.get("allowed").map(|_| list("allowed"));
        let allows = |id: u32| allowed.as_ref().is_none_or(|ids| ids.contains(&id));
        let mut sampler = Sampler::new(sampling, &list("prompt"), None);
        let picks: Vec<u32> = (0..list("picks").len())
            .map(|_| sampler.pick(&row, Some(&allows)).unwrap().id)
            .collect();
        assert_eq!(picks, list("picks"), "{name}");
    }
}

#[test]
fn temperature_zero_takes_the_highest_and_the_lower_id_on_a_tie() {
    assert_eq!(ids(plain(7, 0.0), &[vec![1.0, 3.0, 3.0, 2.0]]), [1]);
    assert_eq!(ids(plain(7, 1e-320), &[vec![1.0, 3.0, 3.0, 2.0]]), [1]);
}

#[test]
fn rows_without_a_number_draw_nothing() {
    let mut sampler = Sampler::new(plain(1, 1.0), &[], None);
    for row in [vec![], vec![f32::NAN; 4], vec![f32::NEG_INFINITY; 4], vec![f32::INFINITY]] {
        assert_eq!(sampler.pick(&row, None), None);
    }
    assert_eq!(sampler.pick(&[f32::NAN, 0.5, f32::INFINITY], None).unwrap().id, 1);
}

#[test]
fn shares_of_many_draws_are_the_softmax() {
    let row = vec![2.0f32, 1.0, 0.0, -1.0];
    let mut counts = [0u32; 4];
    let mut sampler = Sampler::new(plain(3, 1.0), &[], None);
    for _ in 0..40_000 {
        counts[sampler.pick(&row, None).unwrap().id as usize] += 1;
    }
    let total: f64 = row.iter().map(|l| f64::from(*l).exp()).sum();
    for (count, logit) in counts.iter().zip(&row) {
        let want = f64::from(*logit).exp() / total;
        assert!((f64::from(*count) / 40_000.0 - want).abs() < 0.01, "{counts:?}");
    }
}

#[test]
fn biased_ids_are_always_candidates() {
    let mut row = vec![0.0f32; 1000];
    row[999] = -50.0;
    let mut sampling = plain(1, 0.0);
    sampling.logit_bias.insert(999, 100.0);
    assert_eq!(ids(sampling.clone(), std::slice::from_ref(&row)), [999]);
    sampling.logit_bias = BTreeMap::from([(0, -100.0), (1, -100.0)]);
    assert_eq!(ids(sampling, &[row]), [2]);
}

#[test]
fn a_mask_that_leaves_nobody_widens_to_the_whole_row() {
    let mut row: Vec<f32> = (0..1000u16).map(|i| -f32::from(i) / 100.0).collect();
    row[700] = -6.5;
    let mut sampler = Sampler::new(plain(1, 0.0), &[], None);
    assert_eq!(sampler.pick(&row, Some(&|id| id >= 650)).unwrap().id, 650);
    assert_eq!(sampler.pick(&row, Some(&|id| id == 999)).unwrap().id, 999);
    assert_eq!(sampler.pick(&row, Some(&|_| false)), None);
}

#[test]
fn presence_and_frequency_count_the_answer_alone_and_repetition_the_prompt_too() {
    let row = vec![2.0f32, 1.9, 0.0];
    let mut sampling = plain(1, 0.0);
    sampling.presence_penalty = 0.5;
    let mut sampler = Sampler::new(sampling.clone(), &[0], None);
    let mut next = || sampler.pick(&row, None).unwrap().id;
    assert_eq!([next(), next(), next()], [0, 1, 0]);
    sampling.presence_penalty = 0.0;
    sampling.repetition_penalty = 2.0;
    let mut sampler = Sampler::new(sampling, &[0], None);
    assert_eq!(sampler.pick(&row, None).unwrap().id, 1);
}

#[test]
fn logprobs_are_of_the_raw_row() {
    let row = vec![1.0f32, 2.0, 3.0, f32::NEG_INFINITY];
    let mut sampling = plain(1, 0.0);
    sampling.logit_bias.insert(0, 50.0);
    let mut sampler = Sampler::new(sampling, &[], Some(2));
    let pick = sampler.pick(&row, Some(&|id| id < 2)).unwrap();
    let total = (1f64.exp() + 2f64.exp() + 3f64.exp()).ln();
    let logprob = pick.logprob.unwrap();
    assert_eq!(pick.id, 0);
    assert!((logprob.value - (1.0 - total)).abs() < 1e-6);
    assert_eq!(logprob.top.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [2, 1]);
    assert!((logprob.top[0].1 - (3.0 - total)).abs() < 1e-6);
}

proptest! {
    #[test]
    fn candidates_are_those_a_full_sort_finds(
        row in prop::collection::vec(prop_oneof![Just(0.5f32), -9.0f32..9.0, Just(f32::NAN)], 0..1500),
        bias in prop::collection::btree_map(0u32..1500, -5.0f64..5.0, 0..4),
    ) {
        let mut got = candidates::of(&row, &bias, None);
        candidates::sort(&mut got);
        let mut all: Vec<Candidate> = (0u32..).zip(&row)
            .map(|(id, l)| Candidate { id, value: f64::from(*l) + bias.get(&id).unwrap_or(&0.0) })
            .filter(|c| c.value.is_finite())
            .collect();
        candidates::sort(&mut all);
        let want: Vec<Candidate> = all.iter().enumerate()
            .filter(|(at, c)| *at < 256 || bias.contains_key(&c.id))
            .map(|(_, c)| *c)
            .collect();
        prop_assert_eq!(got, want);
    }

    #[test]
    fn a_seed_gives_one_answer_and_never_leaves_the_truncation(
        seed in any::<u64>(),
        row in prop::collection::vec(-9.0f32..9.0, 1..600),
        top_k in 1u32..8, top_p in 0.05f64..1.0, min_p in 0.0f64..0.5, temperature in 0.1f64..2.0,
    ) {
        let sampling = Sampling { top_k, top_p, min_p, ..plain(seed, temperature) };
        let rows = vec![row.clone(); 6];
        let picks = ids(sampling.clone(), &rows);
        prop_assert_eq!(&picks, &ids(sampling, &rows));
        let mut sorted: Vec<f32> = row.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let worst = sorted[(top_k as usize - 1).min(sorted.len() - 1)];
        prop_assert!(picks.iter().all(|id| row[*id as usize] >= worst));
    }
}

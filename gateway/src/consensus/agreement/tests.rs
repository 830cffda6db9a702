use super::*;
use crate::route::Random;

const TWO_OF_THREE: Rules = Rules { k: 2, n: 3, n_max: 5 };

fn key(text: u8) -> Key {
    Key { canonical: [text; 32], exact: [text; 32] }
}

fn answer(member: usize, text: u8) -> Event {
    Event::Answer { member, key: key(text), ids: vec![1, text.into(), 3] }
}

fn done(next: Next) -> Decision {
    match next {
        Next::Done(decision) => decision,
        other => panic!("not over: {other:?}"),
    }
}

#[test]
fn the_second_equal_answer_ends_it() {
    let mut agreement = Agreement::new(TWO_OF_THREE);
    assert_eq!(agreement.take(answer(2, 7)), Next::Wait);
    let decision = done(agreement.take(answer(0, 7)));
    assert!(decision.is_reached);
    assert_eq!((decision.class, decision.winner), (Class::Exact, Some(0)));
    assert_eq!(decision.agreed, [0, 2]);
}

#[test]
fn one_liar_loses() {
    let mut agreement = Agreement::new(TWO_OF_THREE);
    agreement.take(answer(0, 9));
    agreement.take(answer(1, 7));
    let decision = done(agreement.take(answer(2, 7)));
    assert_eq!((decision.agreed, decision.dissent), (vec![1, 2], vec![0]));
}

#[test]
fn the_same_value_in_other_words_is_canonical() {
    let mut agreement = Agreement::new(TWO_OF_THREE);
    agreement.take(answer(0, 7));
    let other = Key { canonical: [7; 32], exact: [8; 32] };
    let decision = done(agreement.take(Event::Answer { member: 1, key: other, ids: vec![] }));
    assert_eq!(decision.class, Class::Canonical);
}

#[test]
fn a_benign_fork_is_one_answer_and_who_fails_is_named() {
    let rules = Rules { k: 2, n: 2, n_max: 2 };
    let mut agreement = Agreement::new(rules);
    agreement.take(answer(0, 7));
    let apart = agreement.take(answer(1, 8));
    assert_eq!(apart, Next::Adjudicate { first: 0, second: 1, at: 1 });
    let verdict = fork::Verdict::Benign;
    let decision = done(agreement.take(Event::Fork { first: 0, second: 1, verdict }));
    assert!(decision.is_reached);
    assert_eq!(decision.class, Class::Fork);

    let mut agreement = Agreement::new(rules);
    agreement.take(answer(0, 7));
    agreement.take(answer(1, 8));
    let verdict = fork::Verdict::FirstFails;
    let decision = done(agreement.take(Event::Fork { first: 0, second: 1, verdict }));
    assert!(!decision.is_reached);
    assert_eq!((decision.winner, decision.at_fault), (Some(1), vec![0]));
}

#[test]
fn without_agreement_more_are_asked_and_a_majority_is_needed() {
    let mut agreement = Agreement::new(TWO_OF_THREE);
    for member in 0..3 {
        let ids = Vec::new();
        let next =
            agreement.take(Event::Answer { member, key: key(u8::try_from(member).unwrap()), ids });
        assert_eq!(next, if member < 2 { Next::Wait } else { Next::Ask(2) });
    }
    let bare = |member, text| Event::Answer { member, key: key(text), ids: Vec::new() };
    agreement.take(bare(3, 0));
    let decision = done(agreement.take(bare(4, 5)));
    assert!(!decision.is_reached, "two of five are no majority");
    assert_eq!((decision.k, decision.winner), (3, Some(0)));
}

#[test]
fn who_fails_is_replaced_as_far_as_there_is_somebody() {
    let mut agreement = Agreement::new(TWO_OF_THREE);
    assert_eq!(agreement.take(Event::Failed { member: 0 }), Next::Ask(1));
    agreement.take(answer(1, 7));
    let decision = done(agreement.take(answer(3, 7)));
    assert!(decision.is_reached);

    let mut agreement = Agreement::new(TWO_OF_THREE);
    agreement.take(Event::Failed { member: 0 });
    agreement.only(0, 1);
    agreement.take(answer(1, 7));
    let decision = done(agreement.take(Event::Failed { member: 2 }));
    assert!(!decision.is_reached);
    assert_eq!(decision.winner, Some(1));
}

#[test]
fn nobody_at_all_is_no_winner() {
    let mut agreement = Agreement::new(Rules { k: 1, n: 1, n_max: 1 });
    agreement.take(Event::Failed { member: 0 });
    agreement.only(0, 1);
    let decision = done(agreement.take(Event::NobodyElse));
    assert_eq!((decision.winner, decision.is_reached), (None, false));
}

#[test]
fn the_order_of_arrival_changes_neither_class_nor_reach() {
    let mut random = Random::new(5);
    for _ in 0..500 {
        let texts: Vec<u8> = (0..3).map(|_| u8::try_from(random.below(2)).unwrap()).collect();
        let decide = |order: [usize; 3]| {
            let mut agreement = Agreement::new(Rules { k: 3, n: 3, n_max: 3 });
            let mut last = Next::Wait;
            for member in order {
                let ids = Vec::new();
                last = agreement.take(Event::Answer { member, key: key(texts[member]), ids });
            }
            done(last)
        };
        let first = decide([0, 1, 2]);
        for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            assert_eq!(decide(order), first);
        }
    }
}

#[test]
fn a_bad_quorum_is_as_likely_as_the_binomial_says() {
    for (k, n, expected) in [(2, 3, 0.028), (3, 5, 0.00856), (3, 3, 0.001)] {
        assert!((collusion(k, n, 0.1) - expected).abs() < 1e-4, "{k} of {n}");
    }
    let mut random = Random::new(11);
    let (rounds, mut bad) = (20_000, 0);
    for _ in 0..rounds {
        let mut agreement = Agreement::new(Rules { k: 2, n: 3, n_max: 3 });
        for member in 0..3 {
            let text = if random.unit() < 0.1 { 66 } else { 1 };
            let ids = Vec::new();
            if let Next::Done(decision) =
                agreement.take(Event::Answer { member, key: key(text), ids })
            {
                bad += u32::from(text == 66 && decision.is_reached);
                break;
            }
        }
    }
    let share = f64::from(bad) / f64::from(rounds);
    assert!((share - 0.028).abs() < 0.004, "{share}");
}

#[test]
fn what_was_found_wrong_does_not_win_by_being_said_again() {
    let mut agreement = Agreement::new(Rules { k: 2, n: 2, n_max: 5 });
    agreement.take(answer(0, 9));
    agreement.take(answer(1, 7));
    let verdict = fork::Verdict::FirstFails;
    let next = agreement.take(Event::Fork { first: 0, second: 1, verdict });
    assert_eq!(next, Next::Ask(3));
    // The liar's friends say the same; three of five are needed now.
    assert_eq!(agreement.take(answer(2, 9)), Next::Wait);
    assert_eq!(agreement.take(answer(3, 9)), Next::Wait);
    let decision = done(agreement.take(answer(4, 7)));
    assert!(!decision.is_reached, "{decision:?}");
    assert_eq!((decision.winner, decision.agreed), (Some(1), vec![1, 4]));
    assert_eq!(decision.at_fault, [0, 2, 3]);
}

#[test]
fn what_there_is_has_to_do_when_time_is_up() {
    let mut agreement = Agreement::new(TWO_OF_THREE);
    assert_eq!(agreement.give_up().winner, None);
    agreement.take(answer(1, 7));
    let decision = agreement.give_up();
    assert!(!decision.is_reached);
    assert_eq!((decision.winner, decision.agreed), (Some(1), vec![1]));
}

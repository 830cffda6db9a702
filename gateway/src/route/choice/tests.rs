//! The draw over a pool of plain numbers.
#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

use proptest::prelude::*;

use super::*;
use crate::route::example::{ASK, FACTS};

const NOW: u64 = 1_000;
const TERMS: Terms = Terms {
    ask: ASK,
    prefix: Prefix { short: 0, long: 0 },
    now_ms: NOW,
    utilisation_max: UTILISATION_MAX,
    ejected_max: EJECTED_MAX,
};
const LOOK: Look =
    Look { facts: Facts { limit: 10.0, ..FACTS }, gate: Gate::Closed, paused_until_ms: 0, rank: 0 };
const OPEN: Gate = Gate::Open { until_ms: 9_999 };

/// `None`: not for this request.
struct Fake(Vec<Option<Look>>);

impl Pool for Fake {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn look(&self, place: usize) -> Option<Look> {
        self.0[place]
    }

    fn near(&self, key: u64, nth: usize) -> Option<usize> {
        Some((key as usize + nth) % self.0.len())
    }

    fn stale(&self, random: &mut Random) -> Option<usize> {
        Some(random.below(self.0.len()))
    }
}

fn all(count: usize, look: impl Fn(usize) -> Look) -> Fake {
    Fake((0..count).map(|place| Some(look(place))).collect())
}

fn of(pool: &Fake, terms: &Terms, seed: u64) -> Choice {
    choose(pool, terms, &mut Random::new(seed), |_, _, _, _| {})
}

fn busy(in_flight: u32) -> Look {
    Look { facts: Facts { in_flight, ..LOOK.facts }, ..LOOK }
}

fn look() -> impl Strategy<Value = Option<Look>> {
    let gates = prop_oneof![
        4 => Just(Gate::Closed),
        2 => Just(OPEN),
        1 => Just(Gate::Probe),
        1 => Just(Gate::Quarantined),
    ];
    let paused = prop_oneof![3 => Just(0u64), 1 => Just(NOW), 1 => Just(NOW + 500)];
    let whole = (gates, paused, 0u32..30, 0u32..3, 0.05f64..2.0);
    prop::option::weighted(
        0.9,
        whole.prop_map(|(gate, paused_until_ms, in_flight, rank, base_s)| Look {
            facts: Facts { in_flight, base_s, ..LOOK.facts },
            gate,
            paused_until_ms,
            rank,
        }),
    )
}

fn fits(look: &Look) -> bool {
    look.gate == Gate::Closed
        && look.paused_until_ms <= NOW
        && (look.facts.in_flight == 0 || look.facts.utilisation() <= UTILISATION_MAX)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]
    #[test]
    fn whom_it_takes_may_be_taken(
        looks in prop::collection::vec(look(), 1..200),
        seed in any::<u64>(),
        key in 0u64..200,
    ) {
        let pool = Fake(looks);
        let terms = Terms { prefix: Prefix { short: key, long: key / 2 }, ..TERMS };
        let mut seen = Vec::new();
        let choice = choose(&pool, &terms, &mut Random::new(seed), |place, look, cost, unfit| {
            seen.push((place, look.rank, cost.total(), unfit));
        });
        prop_assert_eq!(seen.len(), choice.drawn as usize);
        prop_assert!(seen.len() <= DRAWN_MAX);
        let mut places: Vec<usize> = seen.iter().map(|seen| seen.0).collect();
        places.sort_unstable();
        places.dedup();
        prop_assert_eq!(places.len(), seen.len(), "nobody is looked at twice");
        if let Some(best) = choice.best {
            let look = pool.0[best.place].unwrap();
            prop_assert!(choice.is_panic == (look.gate != Gate::Closed));
            prop_assert!(look.gate != Gate::Quarantined);
            prop_assert!(choice.is_panic || fits(&look));
            if !choice.is_panic {
                // Nobody who was drawn and fits is of a lower rank, or of the same and cheaper.
                let least = seen
                    .iter()
                    .filter(|seen| seen.3.is_none())
                    .map(|seen| (seen.1, seen.2))
                    .min_by(|a, b| a.partial_cmp(b).unwrap());
                prop_assert_eq!(least, Some((look.rank, best.cost.total())));
            }
        } else {
            prop_assert!(seen.iter().all(|seen| seen.3.is_some()));
        }
        if let Some(probe) = choice.probe {
            let look = pool.0[probe.place].unwrap();
            prop_assert_eq!(look.gate, Gate::Probe);
            prop_assert!(look.paused_until_ms <= NOW);
        }
    }
}

#[test]
fn a_small_pool_is_looked_at_whole() {
    for count in 1..=ALL_MAX {
        for cheapest in 0..count {
            let pool = all(count, |place| busy(u32::from(place != cheapest) * 5));
            let choice = of(&pool, &TERMS, cheapest as u64);
            assert_eq!(choice.best.unwrap().place, cheapest);
            assert_eq!(choice.drawn as usize, count);
        }
    }
    assert!(of(&Fake(Vec::new()), &TERMS, 1).best.is_none());
}

#[test]
fn equals_share_in_a_small_pool_and_in_a_large() {
    for count in [3, 12, 100] {
        let pool = all(count, |_| LOOK);
        let mut counts = vec![0u32; count];
        let mut random = Random::new(9);
        for _ in 0..1_000 * count {
            counts[choose(&pool, &TERMS, &mut random, |_, _, _, _| {}).best.unwrap().place] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }
}

#[test]
fn a_lower_rank_goes_first_whatever_it_costs() {
    let pool = all(10, |place| Look { rank: u32::from(place != 7), ..busy(place as u32) });
    assert_eq!(of(&pool, &TERMS, 3).best.unwrap().place, 7);
}

#[test]
fn of_a_thousand_it_looks_at_few() {
    let pool = all(1_000, |place| busy(place as u32 % 8));
    let keyed = Terms { prefix: Prefix { short: 17, long: 99 }, ..TERMS };
    for seed in 0..200 {
        let mut seen = Vec::new();
        let choice =
            choose(&pool, &keyed, &mut Random::new(seed), |place, _, _, _| seen.push(place));
        assert!((7..=8).contains(&choice.drawn), "{}", choice.drawn);
        assert!(seen.contains(&17) && seen.contains(&99), "those with the prompt's beginning");
    }
}

#[test]
fn it_finds_the_one_of_eight_that_is_fit() {
    // P(missed by 5 and 8 and 8 and 8 and a stale one) is 2 %.
    let pool = all(1_000, |place| if place % 8 == 0 { LOOK } else { busy(20) });
    let found = (0..500).filter(|seed| of(&pool, &TERMS, *seed).best.is_some()).count();
    assert!(found > 480, "{found}");
}

#[test]
fn the_ejected_are_asked_only_where_hardly_anybody_else_is() {
    let mostly = |healthy: usize| {
        all(10, move |place| if place < healthy { busy(20) } else { Look { gate: OPEN, ..LOOK } })
    };
    // Those that are healthy are loaded: nobody, while they are three of ten.
    let choice = of(&mostly(3), &TERMS, 1);
    assert!(choice.best.is_none() && !choice.is_panic);
    assert_eq!(choice.loaded, 3);
    let choice = of(&mostly(2), &TERMS, 1);
    assert!(choice.is_panic && choice.best.unwrap().place >= 2);
}

#[test]
fn the_quarantined_are_asked_never_and_take_nobodys_draw() {
    let quarantined = Look { gate: Gate::Quarantined, ..LOOK };
    for others in [busy(20), Look { gate: OPEN, ..LOOK }] {
        let pool = all(10, |place| if place == 0 { others } else { quarantined });
        let choice = of(&pool, &TERMS, 1);
        assert_eq!(choice.best.map(|best| best.place), (others.gate == OPEN).then_some(0));
        assert_eq!(choice.is_panic, others.gate == OPEN);
        assert!(choice.probe.is_none());
    }
    assert!(of(&all(10, |_| quarantined), &TERMS, 1).best.is_none());
    // Of a thousand, half of them quarantined, eight others are looked at as ever.
    let pool = all(1_000, |place| if place % 2 == 0 { quarantined } else { LOOK });
    for seed in 0..100 {
        let mut others = 0;
        choose(&pool, &TERMS, &mut Random::new(seed), |_, look, _, _| {
            others += u32::from(look.gate == Gate::Closed);
        });
        assert_eq!(others, 8);
    }
}

#[test]
fn one_due_is_tried_beside_the_best_and_one_not_due_is_not() {
    let pool = all(4, |place| match place {
        0 => Look { gate: Gate::Probe, ..LOOK },
        1 => Look { gate: OPEN, ..LOOK },
        2 => Look { gate: Gate::Probe, paused_until_ms: NOW + 1, ..LOOK },
        _ => busy(3),
    });
    let choice = of(&pool, &TERMS, 5);
    assert_eq!(choice.best.unwrap().place, 3);
    assert_eq!(choice.probe.unwrap().place, 0);
}

#[test]
fn where_all_are_paused_it_says_until_when() {
    let pool = all(3, |place| Look { paused_until_ms: NOW + 100 * (3 - place as u64), ..LOOK });
    let choice = of(&pool, &TERMS, 5);
    assert!(choice.best.is_none());
    assert_eq!(choice.paused_until_ms, Some(NOW + 100));
}

#[test]
fn a_hedge_goes_to_those_with_room_only() {
    let terms = Terms { utilisation_max: HEDGE_UTILISATION_MAX, ..TERMS };
    assert!(of(&all(5, |_| busy(7)), &terms, 2).best.is_none());
    assert!(of(&all(5, |_| busy(6)), &terms, 2).best.is_some());
    // One that bears one, and is idle, has room.
    let idle = Look { facts: Facts { limit: 1.0, ..LOOK.facts }, ..LOOK };
    assert!(of(&all(5, |_| idle), &terms, 2).best.is_some());
}

#[test]
fn utilisation_is_that_of_the_healthy() {
    let pool = all(4, |place| match place {
        0 => Look { gate: OPEN, ..busy(10) },
        1 => busy(50),
        2 => busy(5),
        _ => busy(0),
    });
    assert!((of(&pool, &TERMS, 2).utilisation - 0.5).abs() < 1e-9);
}

#[test]
fn the_known_bad_are_no_bargain_because_they_are_idle() {
    let liar = Look { facts: Facts { honesty: 0.2, ..LOOK.facts }, ..LOOK };
    let pool = all(1_000, |place| match place % 8 {
        0 => LOOK,
        1 => liar,
        _ => busy(20),
    });
    let mut counts = [0u32; 3];
    for seed in 0..1_000 {
        let best = of(&pool, &TERMS, seed).best;
        let kind = best.map_or(2, |best| usize::from(best.facts.honesty < 0.5));
        counts[kind] += 1;
    }
    // Of the first eight alone a liar would be the best in a quarter of the choices.
    assert!(counts[0] > 900 && counts[1] < 80, "honest, dishonest, nobody: {counts:?}");
}

#[test]
fn two_equals_share_though_a_third_is_worse() {
    for worse in 0..3 {
        let pool = all(3, |place| busy(u32::from(place == worse) * 5));
        let mut counts = [0u32; 3];
        for seed in 0..3_000 {
            counts[of(&pool, &TERMS, seed).best.unwrap().place] += 1;
        }
        let fair = |(place, count): (usize, &u32)| match place == worse {
            true => *count == 0,
            false => (1_350..1_650).contains(count),
        };
        assert!(counts.iter().enumerate().all(fair), "{worse} is worse: {counts:?}");
    }
}

#[test]
fn panic_does_not_break_a_pause() {
    let paused = Look { gate: OPEN, paused_until_ms: NOW + 700, ..LOOK };
    let choice = of(&all(4, |_| paused), &TERMS, 1);
    assert!(choice.best.is_none() && !choice.is_panic, "all asked to be left alone");
    assert_eq!(choice.paused_until_ms, Some(NOW + 700));
    let pool = all(4, |place| if place == 2 { Look { gate: OPEN, ..busy(9) } } else { paused });
    let choice = of(&pool, &TERMS, 1);
    assert!(choice.is_panic && choice.best.unwrap().place == 2);
}

#[test]
fn one_long_unused_is_worth_a_try_only_if_it_could_be_the_best() {
    // Its price is known, whatever else may have changed.
    for (price_out, is_worth) in [(1.0, true), (1_000.0, false)] {
        let slow = Facts { base_s: 30.0, price_out, ..LOOK.facts };
        let pool = all(2, |place| if place == 0 { LOOK } else { Look { facts: slow, ..LOOK } });
        let mut tried = 0;
        for seed in 0..100 {
            let choice = of(&pool, &TERMS, seed);
            assert_eq!(choice.best.unwrap().place, 0);
            tried += u32::from(choice.unused.is_some());
        }
        assert_eq!(tried > 0, is_worth, "{tried} of 100 at {price_out}");
    }
}

#[test]
fn the_only_candidate_among_many_who_are_none_is_found() {
    let mut looks = vec![None; 2_000];
    looks[1_234] = Some(LOOK);
    let pool = Fake(looks);
    for seed in 0..200 {
        let choice = of(&pool, &TERMS, seed);
        assert_eq!(choice.best.map(|best| best.place), Some(1_234), "seed {seed}");
        assert_eq!(choice.drawn, 1);
    }
}

//! Where a node says it is, against how long the way there and back took. Pure. One gateway alone can
//! refute a claim and never confirm one: a node may always answer later than it could.
//!
//! Light in fibre covers 200 km a millisecond (refractive index 1.468, so 204 km; geolocation by delay
//! counts with two thirds of the speed of light: Gueye et al., "Constraint-Based Geolocation of Internet
//! Hosts", IMC 2004), and no cable is shorter than the great circle. So
//!
//! - `2 (d - 1,000 km) / 200` ms is the least a round trip over `d` takes. 500 km are taken off for
//!   each end, since a region is an area and not the city that stands for it. Anything faster refutes.
//! - `60 ms + 4 * 2 d / 200` ms is more than a claim of being near (`d` up to 2,000 km) explains: the
//!   median path of the Internet takes 3.2 times what light in vacuum would, which is 2.1 times what
//!   fibre would (Singla et al., "The Internet at the Speed of Light", HotNets 2014), and 60 ms are
//!   the last mile, mobile networks included. Anything slower refutes. A satellite in geostationary
//!   orbit is too slow for any such claim; its nodes had better claim no region.
//!
//! The shortest of several samples counts, since queues only ever add. More are asked for a claim to be
//! too slow than too fast: a busy line can delay all of a few pings, but hastens none.

use std::collections::HashMap;
use std::time::Duration;

use crate::config::Place;

/// One way, in fibre.
const FIBRE_KM_PER_MS: f64 = 200.0;
/// How far from its city a region reaches.
const RADIUS_KM: f64 = 500.0;
/// A claim of being closer than that is one of being near.
const NEAR_KM: f64 = 2_000.0;
/// What is near may be so much slower than fibre, plus this.
const DETOUR: f64 = 4.0;
const LAST_MILE_MS: f64 = 60.0;
/// Samples before anything is refuted for being too fast, and for being too slow.
pub const FAST_SAMPLES: u32 = 4;
pub const SLOW_SAMPLES: u32 = 12;

const EARTH_RADIUS_KM: f64 = 6_371.0;

/// Regions that need no configuration, with a city where data centres usually are: degrees north, east.
const KNOWN: [(&str, f64, f64); 28] = [
    ("africa-north", 30.04, 31.24),     // Cairo
    ("africa-south", -26.20, 28.05),    // Johannesburg
    ("af-south", -33.92, 18.42),        // Cape Town
    ("ap-east", 22.32, 114.17),         // Hong Kong
    ("ap-northeast", 35.68, 139.69),    // Tokyo
    ("ap-northeast-kr", 37.57, 126.98), // Seoul
    ("ap-south", 19.08, 72.88),         // Mumbai
    ("ap-southeast", 1.35, 103.82),     // Singapore
    ("ap-southeast-id", -6.21, 106.85), // Jakarta
    ("au-southeast", -33.87, 151.21),   // Sydney
    ("ca-central", 45.50, -73.57),      // Montreal
    ("ca-west", 51.05, -114.07),        // Calgary
    ("cn-east", 31.23, 121.47),         // Shanghai
    ("cn-north", 39.90, 116.40),        // Beijing
    ("eu-central", 50.11, 8.68),        // Frankfurt
    ("eu-east", 52.23, 21.01),          // Warsaw
    ("eu-north", 59.33, 18.07),         // Stockholm
    ("eu-south", 45.46, 9.19),          // Milan
    ("eu-west", 53.35, -6.26),          // Dublin
    ("me-central", 25.20, 55.27),       // Dubai
    ("me-west", 32.09, 34.78),          // Tel Aviv
    ("sa-east", -23.55, -46.63),        // São Paulo
    ("sa-west", -33.45, -70.67),        // Santiago
    ("uk-south", 51.51, -0.13),         // London
    ("us-central", 41.26, -95.94),      // Omaha
    ("us-east", 39.04, -77.49),         // Ashburn
    ("us-south", 32.78, -96.80),        // Dallas
    ("us-west", 45.60, -121.18),        // The Dalles
];

/// Names of regions and where they lie.
#[derive(Debug, Clone, Default)]
pub struct Atlas {
    /// In lower case.
    configured: HashMap<String, Point>,
}

/// On the sphere, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub latitude: f64,
    pub longitude: f64,
}

/// What the samples of the way say of a claim.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// They don't speak against it.
    Unconfirmed,
    /// It can't be judged: nothing is claimed, a place is not known, or samples are missing.
    Unknown,
    Refuted(Why),
}

/// The shortest way there and back, and the bound that it is beyond, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Why {
    #[error("a round trip took {took_ms:.1} ms; from there light in fibre takes {least_ms:.1} ms")]
    FasterThanLight { took_ms: f64, least_ms: f64 },
    #[error("no round trip took less than {took_ms:.1} ms; from there {most_ms:.1} ms are ample")]
    TooFar { took_ms: f64, most_ms: f64 },
}

/// The shortest way there and back, out of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    pub shortest: Duration,
    pub samples: u32,
}

impl Atlas {
    /// `places` go before what is known.
    pub fn new(places: &[Place]) -> Self {
        let point = |place: &Place| Point { latitude: place.latitude, longitude: place.longitude };
        let configured = places.iter().map(|place| (place.name.to_ascii_lowercase(), point(place)));
        Self { configured: configured.collect() }
    }

    /// Without regard to case, as policies compare regions.
    pub fn find(&self, name: &str) -> Option<Point> {
        let name = name.to_ascii_lowercase();
        self.configured.get(&name).copied().or_else(|| {
            let (_, latitude, longitude) = *KNOWN.iter().find(|(known, ..)| *known == name)?;
            Some(Point { latitude, longitude })
        })
    }

    /// The names that need no configuration.
    pub fn known() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|(name, ..)| *name)
    }
}

impl Point {
    /// Along the great circle, in km (haversine formula).
    pub fn distance_km(self, other: Self) -> f64 {
        let (from, to) = (self.latitude.to_radians(), other.latitude.to_radians());
        let north = ((to - from) / 2.0).sin();
        let east = ((other.longitude - self.longitude).to_radians() / 2.0).sin();
        let share = north * north + from.cos() * to.cos() * east * east;
        2.0 * EARTH_RADIUS_KM * share.clamp(0.0, 1.0).sqrt().asin()
    }
}

/// `here`: where the gateway is. `claimed`: where the node says it is.
pub fn judge(here: Option<Point>, claimed: Option<Point>, way: Option<Way>) -> Verdict {
    let (Some(here), Some(claimed), Some(way)) = (here, claimed, way) else {
        return Verdict::Unknown;
    };
    if way.samples < FAST_SAMPLES {
        return Verdict::Unknown;
    }
    let km = here.distance_km(claimed);
    let took_ms = way.shortest.as_secs_f64() * 1e3;
    let least_ms = least_ms(km);
    if took_ms < least_ms {
        return Verdict::Refuted(Why::FasterThanLight { took_ms, least_ms });
    }
    match most_ms(km) {
        Some(most_ms) if took_ms > most_ms && way.samples >= SLOW_SAMPLES => {
            Verdict::Refuted(Why::TooFar { took_ms, most_ms })
        }
        _ => Verdict::Unconfirmed,
    }
}

fn least_ms(km: f64) -> f64 {
    2.0 * (km - 2.0 * RADIUS_KM).max(0.0) / FIBRE_KM_PER_MS
}

/// Absent where no claim of being near is made.
fn most_ms(km: f64) -> Option<f64> {
    (km <= NEAR_KM).then(|| LAST_MILE_MS + DETOUR * 2.0 * km / FIBRE_KM_PER_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn known(name: &str) -> Point {
        Atlas::default().find(name).unwrap()
    }

    fn way(ms: f64, samples: u32) -> Option<Way> {
        Some(Way { shortest: Duration::from_secs_f64(ms / 1e3), samples })
    }

    fn verdict(here: &str, claimed: &str, ms: f64) -> Verdict {
        judge(Some(known(here)), Some(known(claimed)), way(ms, SLOW_SAMPLES))
    }

    #[test]
    fn a_region_is_the_same_however_it_is_written() {
        assert_eq!(Atlas::default().find("EU-West"), Atlas::default().find("eu-west"));
        assert!(Atlas::default().find("EU-West").is_some());
        let place = Place { name: "Home".to_owned(), latitude: 1.0, longitude: 2.0 };
        assert!(Atlas::new(&[place]).find("hOME").is_some());
    }

    #[test]
    fn distances_are_those_of_the_map() {
        for (from, to, km) in [
            ("eu-west", "us-east", 5_450.0),
            ("eu-central", "eu-west", 1_090.0),
            ("ap-northeast", "us-west", 7_800.0),
            ("ap-southeast", "au-southeast", 6_300.0),
            ("eu-west", "eu-west", 0.0),
        ] {
            let found = known(from).distance_km(known(to));
            assert!((found - km).abs() <= 0.02 * km, "{from} to {to}: {found}");
        }
        let north = Point { latitude: 90.0, longitude: 0.0 };
        let south = Point { latitude: -90.0, longitude: 180.0 };
        assert!((north.distance_km(south) - 20_015.0).abs() < 1.0);
    }

    #[test]
    fn a_claim_of_being_far_is_refuted_by_an_answer_that_comes_too_soon() {
        assert!(matches!(
            verdict("eu-west", "us-east", 5.0),
            Verdict::Refuted(Why::FasterThanLight { .. })
        ));
        assert_eq!(verdict("eu-west", "us-east", 70.0), Verdict::Unconfirmed);
    }

    #[test]
    fn a_claim_of_being_near_is_refuted_by_answers_that_all_come_late() {
        assert!(matches!(
            verdict("eu-west", "eu-west", 75.0),
            Verdict::Refuted(Why::TooFar { .. })
        ));
        assert_eq!(verdict("eu-west", "eu-west", 40.0), Verdict::Unconfirmed);
        // From far away a slow answer says nothing.
        assert_eq!(verdict("eu-west", "ap-northeast", 2_000.0), Verdict::Unconfirmed);
    }

    #[test]
    fn few_samples_and_unknown_places_refute_nothing() {
        let (here, there) = (Some(known("eu-west")), Some(known("us-east")));
        assert_eq!(judge(here, there, way(1.0, FAST_SAMPLES - 1)), Verdict::Unknown);
        assert!(matches!(judge(here, there, way(1.0, FAST_SAMPLES)), Verdict::Refuted(_)));
        assert_eq!(judge(here, here, way(900.0, SLOW_SAMPLES - 1)), Verdict::Unconfirmed);
        assert_eq!(judge(None, there, way(1.0, 99)), Verdict::Unknown);
        assert_eq!(judge(here, None, way(1.0, 99)), Verdict::Unknown);
        assert_eq!(judge(here, there, None), Verdict::Unknown);
        assert_eq!(Atlas::default().find("atlantis"), None);
    }

    #[test]
    fn configured_places_go_before_those_that_are_known() {
        let place =
            |name: &str, latitude| Place { name: name.to_owned(), latitude, longitude: 1.0 };
        let atlas = Atlas::new(&[place("office", 10.0), place("eu-west", 20.0)]);
        assert_eq!(atlas.find("office").unwrap().latitude, 10.0);
        assert_eq!(atlas.find("eu-west").unwrap().latitude, 20.0);
        assert_eq!(atlas.find("us-east"), Some(known("us-east")));
        let mut names: Vec<&str> = Atlas::known().collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KNOWN.len(), "no region has two places");
    }

    fn point() -> impl Strategy<Value = Point> {
        (-90.0..=90.0, -180.0..=180.0)
            .prop_map(|(latitude, longitude)| Point { latitude, longitude })
    }

    /// Somewhere else in the region around `city`, along the meridian.
    fn within(city: Point, km: f64) -> Point {
        let latitude = (city.latitude + km / 111.2).clamp(-90.0, 90.0);
        Point { latitude, ..city }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: proptest::test_runner::RngSeed::Fixed(4),
            ..ProptestConfig::default()
        })]

        /// Whoever is within the region it claims, on a way no shorter than fibre's and up to twice as
        /// long, with a last mile of up to 40 ms, is never refuted.
        #[test]
        fn the_honest_are_never_refuted(
            here in point(), claimed in point(),
            (north, south) in (-499.0..=499.0f64, -499.0..=499.0f64),
            detour in 1.0..=2.0f64, extra_ms in 0.0..=40.0f64, samples in 0u32..100,
        ) {
            let km = within(here, north).distance_km(within(claimed, south));
            let ms = detour * 2.0 * km / FIBRE_KM_PER_MS + extra_ms;
            let verdict = judge(Some(here), Some(claimed), way(ms, samples));
            prop_assert!(!matches!(verdict, Verdict::Refuted(_)), "{verdict:?}");
        }

        /// From exactly where it claims to be, any delay below the threshold is borne.
        #[test]
        fn any_delay_below_the_threshold_is_borne(
            here in point(), claimed in point(), share in 0.0..=1.0f64,
        ) {
            let km = here.distance_km(claimed);
            let least = 2.0 * km / FIBRE_KM_PER_MS;
            let most = most_ms(km).unwrap_or(least + 1_000.0);
            let ms = least + share * (most - least) * 0.999;
            prop_assert_eq!(judge(Some(here), Some(claimed), way(ms, 99)), Verdict::Unconfirmed);
        }
    }
}

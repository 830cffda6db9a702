use super::*;
use crate::clock::Fixed;
use crate::counters::Counters;
use crate::engine::scripted::{Options, Scripted};

fn desk(terms: Terms) -> Desk {
    let options = Options { models: vec!["a".into(), "b".into()], ..Options::default() };
    let engine = Arc::new(Scripted::new(options, Arc::new(Counters::default())));
    let key = Arc::new(SecretKey::from_seed(&[1; 32]));
    Desk::open(key, engine, Arc::new(Fixed(100)), terms, Sequence::passing()).unwrap()
}

#[test]
fn each_model_has_a_price_and_the_node_signs() {
    let own = Prices { prompt: 7, completion: 9, cached: Some(1) };
    let terms = Terms {
        prices: Prices { prompt: 50_000, completion: 200_000, cached: None },
        models: [("b".to_owned(), own)].into(),
        ..Terms::default()
    };
    let issued = desk(terms).newest();
    let offer = issued.signed.open(&SecretKey::from_seed(&[1; 32]).public()).unwrap();
    assert_eq!(offer, issued.offer);
    assert_eq!((offer.sequence, offer.issued_at_ms), (100_000, 100_000));
    assert_eq!(offer.valid_until_ms, 100_000 + 86_400_000);
    let prices: Vec<_> = offer.prices.iter().map(|p| (p.model.as_str(), p.prompt_pusd)).collect();
    assert_eq!(prices, [("a", 50_000), ("b", 7)]);
    assert_eq!((offer.prices[1].completion_pusd, offer.prices[1].cached_pusd), (9, Some(1)));
}

#[tokio::test(start_paused = true)]
async fn offers_are_renewed_at_half_time_and_followers_see_new_terms_at_once() {
    let desk = Arc::new(desk(Terms::default()));
    let mut seen = desk.follow();
    seen.mark_unchanged();
    let stop = CancellationToken::new();
    let start = tokio::time::Instant::now();
    let changed = async {
        seen.changed().await.unwrap();
        stop.cancel();
    };
    tokio::join!(Arc::clone(&desk).keep_valid(stop.clone()), changed);
    assert_eq!(start.elapsed().as_secs(), 12 * 3600);
    assert_eq!(seen.borrow_and_update().offer.sequence, 100_001);
    let prices = Prices { prompt: 3, ..Prices::default() };
    desk.reprice(Terms { prices, ..Terms::default() }).unwrap();
    seen.changed().await.unwrap();
    assert_eq!(seen.borrow().offer.prices[0].prompt_pusd, 3);
    assert_eq!(desk.of_now().unwrap().offer.sequence, 100_002, "about the models there are");
}

#[derive(Debug)]
struct Wrong(std::sync::atomic::AtomicI64);

impl Clock for Wrong {
    fn unix_seconds(&self) -> i64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

#[test]
fn an_offer_from_before_the_clock_was_set_back_is_made_anew() {
    let clock = Arc::new(Wrong(10_000.into()));
    let engine = Arc::new(Scripted::new(Options::default(), Arc::new(Counters::default())));
    let key = Arc::new(SecretKey::from_seed(&[1; 32]));
    let (terms, sequence) = (Terms::default(), Sequence::passing());
    let desk = Desk::open(key, engine, clock.clone(), terms, sequence).unwrap();
    assert_eq!(desk.of_now().unwrap().offer.issued_at_ms, 10_000_000);
    clock.0.store(6_400, std::sync::atomic::Ordering::Relaxed);
    let offer = desk.of_now().unwrap();
    assert_eq!(offer.offer.issued_at_ms, 6_400_000, "a gateway refuses one from the future");
    assert_eq!(offer.offer.sequence, 10_000_001);
}

use super::*;
use crate::clock::Manual;

fn limit(number: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(number)
}

/// An account, its time, and the clock that moves it.
fn account(rules: Rules) -> (Arc<Account>, Arc<Time>, Arc<Manual>) {
    let clock = Arc::new(Manual::new(0));
    let time = Arc::new(Time::new(clock.clone()));
    // Not at the origin, where "never used" and "just full" look the same.
    clock.advance(Duration::from_secs(3600));
    (Arc::new(Account::new(rules)), time, clock)
}

fn tokens_rule(number: u32) -> Rules {
    Rules { tokens_per_minute: limit(number), ..Rules::default() }
}

/// A request with an empty prompt.
fn ask(answer_tokens: u64) -> Ask {
    Ask {
        text_bytes: 0,
        media: 0,
        answer_tokens: Some(answer_tokens),
        answer_tokens_default: 1000,
        choices: 1,
        n: 1,
        times: 1,
        is_stream: false,
    }
}

fn tokens_left(account: &Account, time: &Time) -> u32 {
    account.state(time.now_ns()).tokens.expect("limited").remaining
}

#[test]
fn of_a_thousand_requests_at_once_a_limit_of_a_hundred_passes_exactly_a_hundred() {
    let rules = Rules { requests_per_minute: limit(100), ..Rules::default() };
    let (account, time, _) = account(rules);
    let passed = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                for _ in 0..50 {
                    if account.take_request(time.now_ns()).is_ok() {
                        passed.fetch_add(1, Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(passed.load(Relaxed), 100);
}

#[test]
fn requests_come_back_one_by_one() {
    let rules = Rules { requests_per_minute: limit(60), ..Rules::default() };
    let (account, time, clock) = account(rules);
    for _ in 0..60 {
        account.take_request(time.now_ns()).expect("there is one");
    }
    let second = Duration::from_secs(1);
    let refused = Refusal::Requests { limit: 60, retry_after: second };
    assert_eq!(account.take_request(time.now_ns()), Err(refused));
    clock.advance(second / 2);
    let refused = Refusal::Requests { limit: 60, retry_after: second / 2 };
    assert_eq!(account.take_request(time.now_ns()), Err(refused));
    clock.advance(second / 2);
    account.take_request(time.now_ns()).expect("one came back");
    assert!(account.take_request(time.now_ns()).is_err());
    let level = account.state(time.now_ns()).requests.expect("limited");
    assert_eq!(level, Level { limit: 60, remaining: 0, full_in: second * 60 });
    clock.advance(second * 3600);
    let level = account.state(time.now_ns()).requests.expect("limited");
    assert_eq!(level, Level { limit: 60, remaining: 60, full_in: Duration::ZERO });
}

#[test]
fn what_was_reserved_and_not_used_comes_back() {
    let (account, time, _) = account(tokens_rule(1000));
    let reservation = account.reserve(&ask(600), &time).expect("there is enough");
    assert_eq!(tokens_left(&account, &time), 400);
    let refusal = account.reserve(&ask(500), &time).expect_err("there is not");
    let retry_after = Duration::from_secs(6);
    assert_eq!(refusal, Refusal::Tokens { limit: 1000, asked: 500, retry_after });
    reservation.settle(Spent::Tokens(50));
    assert_eq!(tokens_left(&account, &time), 950);
}

#[test]
fn what_was_used_beyond_is_charged_and_a_wild_number_does_not_shut_out_for_ever() {
    let (account, time, clock) = account(tokens_rule(1000));
    account.reserve(&ask(100), &time).expect("enough").settle(Spent::Tokens(300));
    assert_eq!(tokens_left(&account, &time), 700);
    account.reserve(&ask(100), &time).expect("enough").settle(Spent::Tokens(u64::MAX));
    assert_eq!(tokens_left(&account, &time), 0);
    let level = account.state(time.now_ns()).tokens.expect("limited");
    assert_eq!(level.full_in, Duration::from_secs(120));
    clock.advance(Duration::from_secs(59));
    assert_eq!(tokens_left(&account, &time), 0);
    clock.advance(Duration::from_secs(2));
    assert!(tokens_left(&account, &time) > 0);
}

#[test]
fn what_time_has_put_back_is_not_given_a_second_time() {
    let (account, time, clock) = account(tokens_rule(1000));
    let long = account.reserve(&ask(1000), &time).expect("enough");
    clock.advance(Duration::from_secs(60));
    let other = account.reserve(&ask(1000), &time).expect("a minute later all is there again");
    long.settle(Spent::Nothing);
    assert_eq!(tokens_left(&account, &time), 0, "the other one still holds all");
    other.settle(Spent::Nothing);
    assert_eq!(tokens_left(&account, &time), 1000);
    // Half of it is put back by time, half by the settlement.
    let half = account.reserve(&ask(1000), &time).expect("enough");
    clock.advance(Duration::from_secs(30));
    half.settle(Spent::Nothing);
    assert_eq!(tokens_left(&account, &time), 1000);
}

#[test]
fn a_reservation_that_is_dropped_is_given_back_whole() {
    let (account, time, _) = account(tokens_rule(1000));
    drop(account.reserve(&ask(900), &time).expect("enough"));
    assert_eq!(tokens_left(&account, &time), 1000);
}

#[test]
fn each_way_to_measure_is_charged_as_it_says() {
    for (spent, left) in [
        (Spent::Nothing, 1000),
        (Spent::Prompt, 900),
        (Spent::Text { bytes: 401 }, 900 - 101),
        (Spent::Tokens(7), 993),
    ] {
        let (account, time, _) = account(tokens_rule(1000));
        let ask = Ask { text_bytes: 400, ..ask(200) };
        let reservation = account.reserve(&ask, &time).expect("enough");
        assert_eq!(tokens_left(&account, &time), 700);
        reservation.settle(spent);
        assert_eq!(tokens_left(&account, &time), left, "{spent:?}");
    }
}

#[test]
fn more_than_a_minutes_tokens_never_passes_but_the_default_gives_way() {
    let (account, time, _) = account(tokens_rule(1000));
    let refusal = account.reserve(&ask(1001), &time).expect_err("too many");
    assert_eq!(refusal, Refusal::TooManyTokens { limit: 1000, asked: 1001 });
    let many = Ask { choices: 3, ..ask(400) };
    let refusal = account.reserve(&many, &time).expect_err("too many");
    assert_eq!(refusal, Refusal::TooManyTokens { limit: 1000, asked: 1200 });
    let refusal = account.reserve(&ask(u64::MAX), &time).expect_err("too many");
    assert_eq!(refusal, Refusal::TooManyTokens { limit: 1000, asked: u64::MAX });
    assert_eq!(tokens_left(&account, &time), 1000, "a refusal takes nothing");
    let unlimited = Ask { text_bytes: 1200, answer_tokens: None, choices: 2, ..ask(0) };
    let reservation = account.reserve(&unlimited, &time).expect("the default gives way");
    assert_eq!(tokens_left(&account, &time), 0);
    reservation.settle(Spent::Tokens(400));
    let reservation = account.reserve(&unlimited, &time).expect("and to what is left");
    assert_eq!(tokens_left(&account, &time), 0);
    reservation.settle(Spent::Tokens(400));
    let refusal = account.reserve(&unlimited, &time).expect_err("not even the prompt fits");
    assert!(matches!(refusal, Refusal::Tokens { asked: 302, .. }), "{refusal:?}");
}

#[test]
fn streams_are_counted_while_they_are_open() {
    let rules = Rules { concurrent_streams: limit(2), ..tokens_rule(1000) };
    let (account, time, _) = account(rules);
    let stream = Ask { is_stream: true, ..ask(1) };
    let first = account.reserve(&stream, &time).expect("free");
    let second = account.reserve(&stream, &time).expect("free");
    let refusal = account.reserve(&stream, &time).expect_err("both are taken");
    assert_eq!(refusal, Refusal::Streams { limit: 2, retry_after: STREAM_RETRY });
    account.reserve(&ask(1), &time).expect("a whole answer needs none").settle(Spent::Nothing);
    first.settle(Spent::Tokens(1));
    let third = account.reserve(&stream, &time).expect("free again");
    drop((second, third));
    assert_eq!(account.state(time.now_ns()).open_streams, 0);
    // A stream that finds no tokens leaves no stream behind.
    let greedy = Ask { is_stream: true, ..ask(5000) };
    account.reserve(&greedy, &time).expect_err("too many tokens");
    assert_eq!(account.state(time.now_ns()).open_streams, 0);
}

#[test]
fn choices_are_capped() {
    let rules = Rules { choices_max: limit(2), ..Rules::default() };
    let (account, time, _) = account(rules);
    let asking = |n| Ask { choices: 3 * n, n, ..ask(1) };
    account.reserve(&asking(2), &time).expect("allowed");
    let refusal = account.reserve(&asking(3), &time).expect_err("one too many");
    assert_eq!(refusal, Refusal::Choices { limit: 2 });
}

#[test]
fn without_limits_nothing_is_refused() {
    let (account, time, _) = account(Rules::default());
    let greedy = Ask { choices: 128, n: 128, is_stream: true, ..ask(u64::MAX) };
    let held: Vec<_> = (0..1000).map(|_| account.reserve(&greedy, &time)).collect();
    assert!(held.iter().all(Result::is_ok));
    assert_eq!(account.state(time.now_ns()).open_streams, 1000);
    drop(held);
    let state = account.state(time.now_ns());
    assert_eq!(state, State { requests: None, tokens: None, open_streams: 0 });
}

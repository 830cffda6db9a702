//! Reading a request's body: its limit, its patience, and what is JSON.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use gateway::config::Limits;
use gateway::http::body::{read, require_json};
use gateway::http::error::Error;
use http::HeaderMap;
use std::io;
use std::time::Duration;
use tokio::time::Instant;

fn limits() -> Limits {
    Limits { body_bytes: 1000, ..Limits::default() }
}

/// A body of these pieces, each after a pause in milliseconds.
fn pieces(pieces: Vec<(u64, &'static [u8])>) -> Body {
    Body::from_stream(stream::unfold(pieces.into_iter(), |mut pieces| async move {
        let (pause, piece) = pieces.next()?;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        Some((Ok::<_, io::Error>(Bytes::from_static(piece)), pieces))
    }))
}

#[tokio::test(start_paused = true)]
async fn a_body_is_read_whole_and_one_piece_is_not_copied() {
    let whole = Bytes::from_static(b"{\"a\": 1}");
    let read_back = read(Body::from(whole.clone()), &limits()).await.expect("a body");
    assert_eq!(read_back.as_ptr(), whole.as_ptr());
    let many = pieces(vec![(0, b"{\"a\""), (10, b""), (10, b": "), (10, b"1}")]);
    assert_eq!(read(many, &limits()).await.expect("a body"), whole);
    assert_eq!(read(Body::empty(), &limits()).await.expect("a body"), Bytes::new());
}

#[tokio::test(start_paused = true)]
async fn the_limit_holds_for_announced_and_for_chunked_bodies() {
    let exact = read(Body::from(vec![b'x'; 1000]), &limits()).await.expect("a body");
    assert_eq!(exact.len(), 1000);
    let announced = read(Body::from(vec![b'x'; 1001]), &limits()).await;
    assert!(matches!(announced, Err(Error::TooLarge { limit_bytes: 1000 })));
    let chunked = read(pieces(vec![(0, &[b'x'; 600]), (0, &[b'x'; 401])]), &limits()).await;
    assert!(matches!(chunked, Err(Error::TooLarge { limit_bytes: 1000 })));
}

#[tokio::test(start_paused = true)]
async fn a_body_may_be_slow_but_not_stand_still() {
    let slow = pieces(vec![(20_000, b"a"), (20_000, b"b"), (20_000, b"c")]);
    assert_eq!(read(slow, &limits()).await.expect("a body"), "abc");
    let start = Instant::now();
    let still = read(pieces(vec![(0, b"a"), (40_000, b"b")]), &limits()).await;
    assert!(matches!(still, Err(Error::RequestTimeout { .. })));
    assert_eq!(start.elapsed(), limits().body_idle);
}

#[tokio::test(start_paused = true)]
async fn a_trickle_ends_with_the_requests_time() {
    let endless = Body::from_stream(stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        Some((Ok::<_, io::Error>(Bytes::from_static(b"x")), ()))
    }));
    let start = Instant::now();
    assert!(matches!(read(endless, &limits()).await, Err(Error::RequestTimeout { .. })));
    assert_eq!(start.elapsed(), limits().request);
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_is_an_error_of_the_request() {
    let broken = Body::from_stream(stream::iter([
        Ok(Bytes::from_static(b"{")),
        Err(io::Error::other("framing")),
    ]));
    assert!(matches!(read(broken, &limits()).await, Err(Error::InvalidRequest { .. })));
}

#[test]
fn only_json_is_taken() {
    for (kind, taken) in [
        (None, true),
        (Some("application/json"), true),
        (Some("Application/JSON; charset=utf-8"), true),
        (Some("application/vnd.api+json"), true),
        (Some("text/plain"), false),
        (Some("text/json"), false),
        (Some("application/x-www-form-urlencoded"), false),
        (Some("multipart/form-data; boundary=x"), false),
    ] {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert("content-type", kind.parse().expect("a value"));
        }
        assert_eq!(require_json(&headers).is_ok(), taken, "{kind:?}");
    }
}

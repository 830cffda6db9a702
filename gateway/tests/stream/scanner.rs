//! The scanner against a second, naive parser that sees the whole stream at once.

use bytes::Bytes;
use gateway::stream::scan::{Item, Scanner};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// The non-empty lines of each event, by the standard's own words.
fn naive(input: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut text = input.to_vec();
    let mut at = 0;
    while at + 1 < text.len() {
        if text[at] == b'\r' && text[at + 1] == b'\n' {
            text.remove(at);
        }
        at += 1;
    }
    text.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
    let (mut events, mut lines, mut line) = (Vec::new(), Vec::new(), Vec::new());
    for byte in text {
        if byte != b'\n' {
            line.push(byte);
        } else if line.is_empty() {
            events.push(std::mem::take(&mut lines));
        } else {
            lines.push(std::mem::take(&mut line));
        }
    }
    events
}

fn scanned(pieces: &[Bytes]) -> (Vec<Vec<Vec<u8>>>, Vec<u8>) {
    let mut scanner = Scanner::new(1 << 20);
    let (mut events, mut bytes) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut at = 0;
        loop {
            let raw = match scanner.next(piece, &mut at).unwrap() {
                Item::Wanting => break,
                Item::LineFeed(range) => {
                    bytes.extend_from_slice(&piece[range]);
                    continue;
                }
                Item::Whole(range) => piece.slice(range),
                Item::Joined(raw) => raw,
            };
            bytes.extend_from_slice(&raw);
            events.push(
                scanner.lines().iter().map(|line| raw[line.start..line.end].to_vec()).collect(),
            );
        }
        assert_eq!(at, piece.len());
    }
    bytes.extend_from_slice(&scanner.finish().unwrap_or_default());
    (events, bytes)
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        3 => Just(b"\n".to_vec()),
        3 => Just(b"\r\n".to_vec()),
        2 => Just(b"\r".to_vec()),
        2 => Just(b"data: ".to_vec()),
        1 => Just(b":".to_vec()),
        2 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(token, 0..60).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, rng_seed: RngSeed::Fixed(11), ..Default::default() })]

    #[test]
    fn events_and_bytes_are_those_of_the_naive_parser(input in stream(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(input.len());
        let mut start = 0;
        let pieces: Vec<Bytes> = cuts
            .iter()
            .map(|end| Bytes::copy_from_slice(&input[std::mem::replace(&mut start, *end)..*end]))
            .collect();
        let (events, bytes) = scanned(&pieces);
        prop_assert_eq!(&bytes, &input);
        prop_assert_eq!(events, naive(&input));
    }
}

#[test]
fn an_event_in_one_chunk_is_not_copied() {
    let mut scanner = Scanner::new(100);
    let mut at = 0;
    assert_eq!(scanner.next(b"data: a\n\ndata: b", &mut at), Ok(Item::Whole(0..9)));
    assert_eq!(scanner.next(b"data: a\n\ndata: b", &mut at), Ok(Item::Wanting));
    let mut at = 0;
    assert_eq!(
        scanner.next(b"\n\n", &mut at),
        Ok(Item::Joined(Bytes::from_static(b"data: b\n\n")))
    );
}

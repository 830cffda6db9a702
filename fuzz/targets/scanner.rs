//! The SSE scanner, fed in pieces, against a parser that sees the whole stream at once: the same lines
//! of the same events, every byte accounted for, the limit kept at the same event.
#![no_main]

use bytes::Bytes;
use gateway::stream::scan::{Item, Scanner, TooLarge};
use libfuzzer_sys::fuzz_target;
use quorate_fuzz::{pieces, split};

type Event = Vec<Vec<u8>>;

/// Events by the standard's words, one line after the other; what is left; whether an event, or what
/// is left, is beyond the limit.
fn naive(input: &[u8], limit: usize) -> (Vec<Event>, bool) {
    let (mut events, mut event) = (Vec::new(), Vec::new());
    let (mut begin, mut at) = (0, 0);
    while let Some(end) = (at..input.len()).find(|end| matches!(input[*end], b'\n' | b'\r')) {
        let next = if input[end..].starts_with(b"\r\n") { end + 2 } else { end + 1 };
        if at == end {
            if at - begin > limit {
                return (events, true);
            }
            events.push(std::mem::take(&mut event));
            begin = next;
        } else {
            event.push(input[at..end].to_vec());
        }
        at = next;
    }
    (events, input.len() - begin > limit)
}

fn scanned(pieces: &[Bytes], limit: usize) -> (Vec<Event>, Vec<u8>, Result<(), TooLarge>) {
    let mut scanner = Scanner::new(limit);
    let (mut events, mut bytes) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut at = 0;
        loop {
            let raw = match scanner.next(piece, &mut at) {
                Err(error) => return (events, bytes, Err(error)),
                Ok(Item::Wanting) => break,
                Ok(Item::LineFeed(range)) => {
                    bytes.extend_from_slice(&piece[range]);
                    continue;
                }
                Ok(Item::Whole(range)) => piece.slice(range),
                Ok(Item::Joined(raw)) => raw,
            };
            bytes.extend_from_slice(&raw);
            let lines = scanner.lines().iter();
            events.push(lines.map(|line| raw[line.start..line.end].to_vec()).collect());
        }
        assert_eq!(at, piece.len());
    }
    bytes.extend_from_slice(&scanner.finish().unwrap_or_default());
    (events, bytes, Ok(()))
}

fuzz_target!(|data: &[u8]| {
    let Some((input, seed)) = split(data) else { return };
    // More lines in one event than the scanner takes are an error of another kind.
    let lines = input.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    if lines > 4000 {
        return;
    }
    let limit = [16, 100, 1 << 20][seed as usize / 5 % 3];
    let (events, bytes, end) = scanned(&pieces(input, seed), limit);
    let (wanted, too_large) = naive(input, limit);
    assert_eq!(events, wanted);
    assert_eq!(end.is_err(), too_large);
    if end.is_ok() {
        assert_eq!(bytes, input);
    } else {
        assert!(input.starts_with(&bytes));
    }
});

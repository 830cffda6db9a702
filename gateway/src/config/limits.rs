//! Every limit of the gateway: name, default, range, and what happens at it. One declaration makes the
//! file's members, the validated type and the table that the documentation is checked against.

use serde::Deserialize;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::problem::Problems;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;

/// One row of the limits table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// As in the file's `[limits]`.
    pub name: &'static str,
    /// In the unit that the name ends in, else a count.
    pub default: u64,
    pub min: u64,
    pub max: u64,
    pub behaviour: &'static str,
}

/// How a number of the file becomes a setting.
trait FromNumber {
    fn from_number(number: u64) -> Self;
}

impl FromNumber for u64 {
    fn from_number(number: u64) -> Self {
        number
    }
}

impl FromNumber for u32 {
    fn from_number(number: u64) -> Self {
        Self::try_from(number).unwrap_or(Self::MAX)
    }
}

impl FromNumber for usize {
    fn from_number(number: u64) -> Self {
        Self::try_from(number).unwrap_or(Self::MAX)
    }
}

impl FromNumber for Duration {
    fn from_number(number: u64) -> Self {
        Self::from_millis(number)
    }
}

macro_rules! limits {
    ($($name:ident => $field:ident: $type:ty = $default:expr, $range:expr, $behaviour:literal;)+) => {
        /// Everything bounded. Durations are of the type; sizes are bytes.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Limits {
            $(#[doc = $behaviour] pub $field: $type,)+
        }

        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct RawLimits {
            $($name: Option<u64>,)+
        }

        /// The limits table, in the order of the documentation.
        pub const LIMITS: &[Limit] = &[
            $({
                let range: RangeInclusive<u64> = $range;
                Limit {
                    name: stringify!($name),
                    default: $default,
                    min: *range.start(),
                    max: *range.end(),
                    behaviour: $behaviour,
                }
            },)+
        ];

        impl Default for Limits {
            fn default() -> Self {
                Self { $($field: FromNumber::from_number($default),)+ }
            }
        }

        impl RawLimits {
            pub(super) fn check(self, problems: &mut Problems) -> Limits {
                Limits {
                    $($field: FromNumber::from_number(
                        within(stringify!($name), self.$name, $default, $range, problems),
                    ),)+
                }
            }
        }
    };
}

limits! {
    body_bytes => body_bytes: u64 = 64 * MIB, KIB..=1024 * MIB,
        "A longer request body is refused with 413, at once when Content-Length says so.";
    bodies_bytes => bodies_bytes: u64 = 2048 * MIB, MIB..=1024 * 1024 * MIB,
        "Request bodies held at once, each until its request is over; a further one is answered 503.";
    header_bytes => header_bytes: usize = 64 * KIB, 8 * KIB..=MIB,
        "Longer request headers are refused with 431.";
    header_read_ms => header_read: Duration = 10 * SECOND, 100..=HOUR,
        "A connection whose request head takes longer is closed.";
    body_idle_ms => body_idle: Duration = 30 * SECOND, 100..=HOUR,
        "A request body that stands still for longer is answered 408.";
    keep_alive_ms => keep_alive: Duration = 120 * SECOND, 1000..=24 * HOUR,
        "A connection without a request for longer (up to twice as long) is closed.";
    write_stall_ms => write_stall: Duration = 30 * SECOND, 100..=HOUR,
        "A client that reads nothing for longer while bytes wait for it is disconnected, and its upstream attempts are cancelled.";
    write_buffer_bytes => write_buffer_bytes: usize = 256 * KIB, 16 * KIB..=16 * MIB,
        "At most so many bytes wait for a slow client; beyond, its upstream is not read.";
    connections => connections: usize = 10_000, 1..=1_000_000,
        "Further client connections wait in the listener's backlog until one closes.";
    h2_streams => h2_streams: u32 = 250, 1..=10_000,
        "Concurrent requests of one HTTP/2 connection; further ones are refused by the protocol.";
    h2_resets => h2_resets: usize = 100, 1..=100_000,
        "Streams of one HTTP/2 connection that its client resets before they are looked at; one more ends the connection.";
    event_bytes => event_bytes: usize = MIB, 4 * KIB..=64 * MIB,
        "A longer event of a provider's stream, or more than that before its first content, ends the attempt.";
    answer_bytes => answer_bytes: u64 = 64 * MIB, 64 * KIB..=1024 * MIB,
        "A longer whole answer of a provider ends the attempt.";
    connect_ms => connect: Duration = 5 * SECOND, 10..=HOUR,
        "Connecting to a provider, TLS included; then the next provider is tried.";
    head_ms => head: Duration = 60 * SECOND, 10..=HOUR,
        "From request to a provider's response head; then the next provider is tried.";
    first_content_ms => first_content: Duration = 60 * SECOND, 10..=HOUR,
        "From a provider's response head to its first content; then the next provider is tried.";
    stall_ms => stall: Duration = 10 * SECOND, 10..=HOUR,
        "Between two tokens of a provider's answer, at most; then another provider goes on with it, or the stream ends with an error event.";
    request_ms => request: Duration = 600 * SECOND, 100..=24 * HOUR,
        "A whole request, all attempts together; then 504, or an error event in a stream.";
    hold_ms => hold: Duration = 10 * SECOND, 10..=HOUR,
        "The status line waits so long for the first content, so that failures stay HTTP errors; then 200 is sent.";
    keep_alive_comment_ms => keep_alive_comment: Duration = 10 * SECOND, 100..=HOUR,
        "A silent stream carries a comment this often.";
    drain_ms => drain: Duration = 30 * SECOND, 0..=HOUR,
        "Streams may go on so long after SIGTERM; then they are cut with an error event.";
    attempts => attempts: u32 = 3, 1..=16,
        "Attempts at providers for one request, second ones at late providers among them; then the last failure is the answer.";
    queued => queued: usize = 1024, 0..=100_000,
        "Requests of one model that wait for a provider with room; further ones, the least urgent first, are answered 429.";
    queue_wait_ms => queue_wait: Duration = 10 * SECOND, 0..=HOUR,
        "A request that would wait longer for a provider with room is answered 429, with the expected wait.";
    upstream_connections => upstream_connections: usize = 1024, 1..=100_000,
        "Connections to one provider, or requests over its tunnel (there at most 1,024); further attempts go elsewhere.";
    upstream_idle => upstream_idle: usize = 256, 0..=100_000,
        "Idle connections kept per provider; further ones are closed.";
    upstream_idle_ms => upstream_idle_for: Duration = 60 * SECOND, 100..=HOUR,
        "An idle connection to a provider is closed after so long.";
    key_streams => key_streams: u32 = 1000, 1..=1_000_000,
        "Streamed answers at once of a key that sets no `concurrent_streams`; further ones are refused with 429.";
    answer_tokens => answer_tokens: u64 = 1024, 1..=1_000_000,
        "Reserved of a key's `tokens_per_minute`, as far as they are left, for each choice of a request without `max_tokens`; settled with what was used.";
    stored_keys => stored_keys: u64 = 1_000_000, 1..=100_000_000,
        "Keys made at run time; making another is refused.";
}

fn within(
    name: &str,
    value: Option<u64>,
    default: u64,
    range: RangeInclusive<u64>,
    problems: &mut Problems,
) -> u64 {
    let value = value.unwrap_or(default);
    if !range.contains(&value) {
        problems.add(
            format!("limits.{name}"),
            format!("{value} is not between {} and {}", range.start(), range.end()),
        );
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_within_its_range() {
        let mut problems = Problems::default();
        assert_eq!(RawLimits::default().check(&mut problems), Limits::default());
        assert!(problems.into_result(Some(())).is_ok());
        for limit in LIMITS {
            assert!(limit.min <= limit.default && limit.default <= limit.max, "{}", limit.name);
        }
    }
}

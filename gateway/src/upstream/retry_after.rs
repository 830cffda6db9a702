//! For how long a provider at its limit wants to be left alone: `retry-after-ms`, or `Retry-After` in
//! seconds or as a date. A date counts from the provider's own `Date`, so no clock is asked.

use http::{HeaderMap, HeaderName, header};
use std::time::Duration;

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `None` where it does not say, or says nothing that can be read.
pub(super) fn read(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| Some(headers.get(name)?.to_str().ok()?.trim());
    let number = |text: &str| text.parse::<f64>().ok();
    let in_ms =
        text(RETRY_AFTER_MS).and_then(number).map(|ms| Duration::try_from_secs_f64(ms / 1e3));
    if let Some(Ok(told)) = in_ms {
        return Some(told);
    }
    let after = text(header::RETRY_AFTER)?;
    if let Some(seconds) = number(after) {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let (then, now) = (date(after)?, date(text(header::DATE)?)?);
    Some(Duration::from_secs(then.saturating_sub(now)))
}

/// Seconds since 1970 of an IMF-fixdate (RFC 9110, 5.6.7); its two obsolete forms are not sent any more.
fn date(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day: u64 = words.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let word = words.next()?;
    let month = (1..).zip(MONTHS).find_map(|(number, name)| (name == word).then_some(number))?;
    let year: u64 = words.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut time = words.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if words.next() != Some("GMT") || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some((days(year, month, day)? * 24 + hour) * 3600 + minute * 60 + second)
}

/// Days since 1970 (Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * (month + if month > 2 { 0 } else { 12 } - 3) + 2) / 5 + day - 1;
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn told(headers: &[(&'static str, &'static str)]) -> Option<Duration> {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        read(&headers.iter().map(pair).collect())
    }

    #[test]
    fn seconds_milliseconds_and_dates_are_read() {
        assert_eq!(told(&[("retry-after", " 7 ")]), Some(Duration::from_secs(7)));
        assert_eq!(told(&[("retry-after", "0.5")]), Some(Duration::from_millis(500)));
        let both = [("retry-after", "2"), ("retry-after-ms", "1500")];
        assert_eq!(told(&both), Some(Duration::from_millis(1500)));
        for no_time in ["soon", "-5", "NaN"] {
            let both = [("retry-after", "2"), ("retry-after-ms", no_time)];
            assert_eq!(told(&both), Some(Duration::from_secs(2)), "{no_time}");
        }
        let dates = [
            ("date", "Thu, 29 Feb 2024 23:59:50 GMT"),
            ("retry-after", "Fri, 01 Mar 2024 00:00:20 GMT"),
        ];
        assert_eq!(told(&dates), Some(Duration::from_secs(30)));
        let past = [("date", dates[1].1), ("retry-after", dates[0].1)];
        assert_eq!(told(&past), Some(Duration::ZERO));
    }

    #[test]
    fn what_is_no_time_is_not_read() {
        for text in ["", "soon", "-1", "NaN", "inf", "Fri, 01 Xxx 2024 00:00:20 GMT", "1e300"] {
            let date = ("date", "Thu, 29 Feb 2024 23:59:50 GMT");
            assert_eq!(told(&[("retry-after", text), date]), None, "{text}");
        }
        assert_eq!(told(&[("retry-after", "Fri, 01 Mar 2024 00:00:20 GMT")]), None);
    }

    #[test]
    fn dates_are_what_they_are() {
        assert_eq!(date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(date("Sun, 22 Nov 2026 23:00:00 GMT"), Some(1_795_388_400));
        assert_eq!(date("Sun, 06 Nov 1994 24:49:37 GMT"), None);
    }
}

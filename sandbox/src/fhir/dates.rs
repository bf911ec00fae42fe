//! FHIR dates as spans of milliseconds since 1970, half open.

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// `[from, to)`.
pub(crate) type Span = (i64, i64);

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The span that a `date`, `dateTime` or `instant` of any precision stands for; UTC where it names no zone.
pub(crate) fn span(text: &str) -> Option<Span> {
    let (date, clock) = match text.split_once('T') {
        Some((date, clock)) => (date, Some(clock)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let year: i32 = digits(parts.next()?, 4)?;
    let month = parts
        .next()
        .map(|part| digits(part, 2))
        .map_or(Some(None), |m| m.map(Some))?;
    let day = parts
        .next()
        .map(|part| digits(part, 2))
        .map_or(Some(None), |d| d.map(Some))?;
    if parts.next().is_some() {
        return None;
    }
    match (month, day, clock) {
        (None, None, None) => Some((midnight(year, 1, 1)?, midnight(year + 1, 1, 1)?)),
        (Some(12), None, None) => Some((midnight(year, 12, 1)?, midnight(year + 1, 1, 1)?)),
        (Some(month), None, None) => {
            Some((midnight(year, month, 1)?, midnight(year, month + 1, 1)?))
        }
        (Some(month), Some(day), None) => {
            let from = midnight(year, month, day)?;
            Some((from, from + 86_400_000))
        }
        (Some(month), Some(day), Some(clock)) => moment(midnight(year, month, day)?, clock),
        _ => None,
    }
}

/// `text` as an HTTP date (RFC 9110 §5.6.7), from the milliseconds of its beginning.
pub(crate) fn http_date(millis: i64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp(millis.div_euclid(1000)).ok()?;
    let (weekday, month) = (at.weekday().to_string(), at.month().to_string());
    Some(format!(
        "{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
        weekday.get(..3)?,
        at.day(),
        month.get(..3)?,
        at.year(),
        at.hour(),
        at.minute(),
        at.second()
    ))
}

/// The milliseconds that an IMF-fixdate, the only form senders may make (RFC 9110 §5.6.7), stands for.
pub(crate) fn from_http_date(text: &str) -> Option<i64> {
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u8 = digits(words.next()?, 2)?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let year: i32 = digits(words.next()?, 4)?;
    let (clock, zone) = (words.next()?, words.next()?);
    if zone != "GMT" || words.next().is_some() || clock.len() != 8 {
        return None;
    }
    let midnight = midnight(year, u8::try_from(month).ok()? + 1, day)?;
    moment(midnight, clock).map(|span| span.0)
}

/// An instant with milliseconds, in UTC.
pub(crate) fn instant(millis: i64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp(millis.div_euclid(1000)).ok()?;
    Some(format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        millis.rem_euclid(1000)
    ))
}

/// Milliseconds since 1970, by this machine's clock.
pub(crate) fn now() -> i64 {
    let now = OffsetDateTime::now_utc();
    now.unix_timestamp() * 1000 + i64::from(now.millisecond())
}

fn moment(midnight: i64, clock: &str) -> Option<Span> {
    let (clock, offset) = match clock.find(['Z', '+', '-']) {
        Some(at) => (clock.get(..at)?, zone(clock.get(at..)?)?),
        None => (clock, UtcOffset::UTC),
    };
    let mut parts = clock.split(':');
    let hour: i64 = digits(parts.next()?, 2)?;
    let minute: i64 = digits(parts.next()?, 2)?;
    if hour > 23 || minute > 59 {
        return None;
    }
    let base = midnight - i64::from(offset.whole_seconds()) * 1000 + (hour * 60 + minute) * 60_000;
    let Some(seconds) = parts.next() else {
        return Some((base, base + 60_000));
    };
    let (whole, fraction) = match seconds.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (seconds, None),
    };
    let base = base + digits::<i64>(whole, 2)? * 1000;
    if parts.next().is_some() {
        return None;
    }
    match fraction {
        None => Some((base, base + 1000)),
        Some(fraction) if !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit()) => {
            let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
            Some((base + millis, base + millis + 1))
        }
        Some(_) => None,
    }
}

fn zone(text: &str) -> Option<UtcOffset> {
    if text == "Z" {
        return Some(UtcOffset::UTC);
    }
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let (hours, minutes): (i8, i8) = (digits(hours, 2)?, digits(minutes, 2)?);
    let sign = if text.starts_with('-') { -1 } else { 1 };
    UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()
}

fn midnight(year: i32, month: u8, day: u8) -> Option<i64> {
    let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
    Some(
        PrimitiveDateTime::new(date, Time::MIDNIGHT)
            .assume_utc()
            .unix_timestamp()
            * 1000,
    )
}

fn digits<T: std::str::FromStr>(text: &str, count: usize) -> Option<T> {
    let fits = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_sets_the_span() {
        assert_eq!(span("1970"), Some((0, 365 * 86_400_000)));
        assert_eq!(span("1970-12"), Some((334 * 86_400_000, 365 * 86_400_000)));
        assert_eq!(span("1970-01-02"), Some((86_400_000, 2 * 86_400_000)));
        assert_eq!(span("1970-01-01T01:00"), Some((3_600_000, 3_660_000)));
        assert_eq!(span("1970-01-01T01:00:00Z"), Some((3_600_000, 3_601_000)));
        assert_eq!(
            span("1970-01-01T02:00:00.5+01:00"),
            Some((3_600_500, 3_600_501))
        );
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "70",
            "1970-1",
            "1970-13",
            "1970-02-30",
            "1970-01-01T25:00",
            "today",
            "1970-01-01T",
        ] {
            assert_eq!(span(text), None, "{text}");
        }
    }

    #[test]
    fn http_dates_are_imf_fixdates() {
        assert_eq!(
            http_date(784_111_777_000).unwrap(),
            "Sun, 06 Nov 1994 08:49:37 GMT"
        );
        let back = from_http_date("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(back, Some(784_111_777_000));
        for text in [
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT x",
            "1994-11-06",
        ] {
            assert_eq!(from_http_date(text), None, "{text}");
        }
    }

    #[test]
    fn instants_read_back() {
        for millis in [0, 784_111_777_123, -1] {
            let text = instant(millis).unwrap();
            assert_eq!(span(&text), Some((millis, millis + 1)), "{text}");
        }
    }
}

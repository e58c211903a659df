//! Days of the calendar: when an entry of a policy ends.

/// Days of 86400 seconds, of which each is one of the calendar: Unix time has no leap seconds.
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
const DAY: u64 = 86_400;

/// A day: year, month, day. Its order is that of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Date(pub(super) u16, pub(super) u8, pub(super) u8);

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(year, month, day) = self;
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// Today, in UTC, by the machine's clock. A clock before 1970 is taken for one far ahead: an
/// entry whose end nobody can tell has ended.
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub(super) fn today() -> Date {
    use std::time::{SystemTime, UNIX_EPOCH};

    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(LAST, |since| day(since.as_secs() / DAY))
}

/// In WebAssembly without a system there is no clock, and asking for one ends the program
/// (`library/std/src/sys/time/unsupported.rs`). Who knows the day says so:
/// [`super::Policy::from_toml_on`].
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub(super) const fn today() -> Date {
    LAST
}

/// The last day that there is.
const LAST: Date = Date(u16::MAX, 12, 31);

/// The day that is so many days after 1970-01-01.
pub(super) fn day(mut days: u64) -> Date {
    let mut year = 1970_u16;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        let Some(next) = year.checked_add(1) else { return LAST };
        year = next;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in months {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    Date(year, month, u8::try_from(days + 1).unwrap_or(31))
}

const fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(day(0), Date(1970, 1, 1));
        assert_eq!(day(58), Date(1970, 2, 28));
        assert_eq!(day(59), Date(1970, 3, 1));
        assert_eq!(day(11_016), Date(2000, 2, 29));
        assert_eq!(day(20_454), Date(2026, 1, 1));
        assert_eq!(day(20_818), Date(2026, 12, 31));
        assert_eq!(day(u64::MAX), Date(u16::MAX, 12, 31));
        assert!(Date(2026, 12, 31) < Date(2027, 1, 1) && Date(2027, 1, 2) > Date(2027, 1, 1));
        assert_eq!(Date(2027, 1, 2).to_string(), "2027-01-02");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        for number in 0..100_000 {
            assert!(day(number) < day(number + 1), "{number}");
        }
    }
}

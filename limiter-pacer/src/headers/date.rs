//! HTTP-dates: the three forms of RFC 9110, section 5.6.7, from untrusted bytes.

use super::bytes::Bytes;
use limiter_core::math;
use limiter_core::time::UnixTime;

/// Reads an HTTP-date in any of its forms: `Sun, 06 Nov 1994 08:49:37 GMT`, and the obsolete
/// `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`.
///
/// A two-digit year that seems more than 50 years ahead of `now` is in the past. A leap second is
/// the second after it. The name of the day must be a valid name, but need not match the date. `None`
/// for anything else, a date that no calendar has, and one before 1970. *O*(length).
pub(super) fn http_date(value: &[u8], now: UnixTime) -> Option<UnixTime> {
    let mut bytes = Bytes::new(value)?;
    let name = bytes.take_while(|byte| byte.is_ascii_alphabetic());
    let time = if bytes.take_word(b", ") {
        if DAYS.iter().any(|day| name == day.as_bytes()) {
            rfc850(&mut bytes, now)?
        } else if is_short_day(name) {
            imf_fixdate(&mut bytes)?
        } else {
            return None;
        }
    } else if is_short_day(name) && bytes.take_if(b' ') {
        asctime(&mut bytes)?
    } else {
        return None;
    };
    bytes.is_empty().then_some(time)
}

/// `06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(bytes: &mut Bytes<'_>) -> Option<UnixTime> {
    let day = bytes.fixed(2)?;
    let month = separated(bytes, b' ', month)?;
    let year = separated(bytes, b' ', |bytes| bytes.fixed(4))?;
    let second = separated(bytes, b' ', time_of_day)?;
    if !bytes.take_word(b" GMT") {
        return None;
    }
    unix_time(Date { year, month, day }, second)
}

/// `06-Nov-94 08:49:37 GMT`
fn rfc850(bytes: &mut Bytes<'_>, now: UnixTime) -> Option<UnixTime> {
    let day = bytes.fixed(2)?;
    let month = separated(bytes, b'-', month)?;
    let short_year = separated(bytes, b'-', |bytes| bytes.fixed(2))?;
    let second = separated(bytes, b' ', time_of_day)?;
    if !bytes.take_word(b" GMT") {
        return None;
    }
    // The latest year of these two digits that is at most 50 years ahead.
    let horizon = year_of(now).saturating_add(50);
    let (centuries, _) = math::div_rem(math::widen(horizon), 100);
    let year = math::low32(centuries)
        .saturating_mul(100)
        .saturating_add(short_year);
    let year = if year > horizon {
        year.saturating_sub(100)
    } else {
        year
    };
    unix_time(Date { year, month, day }, second)
}

/// `Nov  6 08:49:37 1994`
fn asctime(bytes: &mut Bytes<'_>) -> Option<UnixTime> {
    let month = month(bytes)?;
    if !bytes.take_if(b' ') {
        return None;
    }
    let day = if bytes.take_if(b' ') {
        bytes.fixed(1)?
    } else {
        bytes.fixed(2)?
    };
    let second = separated(bytes, b' ', time_of_day)?;
    let year = separated(bytes, b' ', |bytes| bytes.fixed(4))?;
    unix_time(Date { year, month, day }, second)
}

fn separated<'a, T>(
    bytes: &mut Bytes<'a>,
    separator: u8,
    part: impl FnOnce(&mut Bytes<'a>) -> Option<T>,
) -> Option<T> {
    if bytes.take_if(separator) {
        part(bytes)
    } else {
        None
    }
}

/// `08:49:37` as seconds after midnight, 86 400 for a leap second.
fn time_of_day(bytes: &mut Bytes<'_>) -> Option<u32> {
    let hour = bytes.fixed(2)?;
    let minute = separated(bytes, b':', |bytes| bytes.fixed(2))?;
    let second = separated(bytes, b':', |bytes| bytes.fixed(2))?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // OK because the sum is at most 86 400.
    Some(
        hour.wrapping_mul(3_600)
            .wrapping_add(minute.wrapping_mul(60))
            .wrapping_add(second),
    )
}

/// A month's name as a number, 1 to 12.
fn month(bytes: &mut Bytes<'_>) -> Option<u32> {
    (1..)
        .zip(MONTHS)
        .find_map(|(number, name)| bytes.take_word(name.as_bytes()).then_some(number))
}

fn is_short_day(name: &[u8]) -> bool {
    name.len() == 3 && DAYS.iter().any(|day| day.as_bytes().starts_with(name))
}

/// A day of the Gregorian calendar; months and days count from 1.
#[derive(Clone, Copy)]
struct Date {
    year: u32,
    month: u32,
    day: u32,
}

fn unix_time(date: Date, second_of_day: u32) -> Option<UnixTime> {
    let days = days_since_epoch(date)?;
    let secs = math::widen(days)
        .wrapping_mul(86_400) // OK because four-digit years have below 2^22 days.
        .wrapping_add(math::widen(second_of_day));
    UnixTime::from_secs(secs)
}

/// Days from 1970-01-01 to `date`; `None` for a date before it, or none of the calendar.
fn days_since_epoch(date: Date) -> Option<u32> {
    let Date { year, month, day } = date;
    let last = match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if year < 1_970 || day == 0 || day > last {
        return None;
    }
    let mut before_month = 0_u32;
    for length in LENGTHS.iter().take(math::to_index(month.saturating_sub(1))) {
        before_month = before_month.wrapping_add(*length);
    }
    if month > 2 && is_leap(year) {
        before_month = before_month.wrapping_add(1);
    }
    // OK in all that follows because years have four digits.
    let passed = year.wrapping_sub(1);
    let leap_days = leap_years_to(passed).wrapping_sub(leap_years_to(1_969));
    Some(
        year.wrapping_sub(1_970)
            .wrapping_mul(365)
            .wrapping_add(leap_days)
            .wrapping_add(before_month)
            .wrapping_add(day.wrapping_sub(1)),
    )
}

/// Leap years in the years 1 to `year`.
fn leap_years_to(year: u32) -> u32 {
    let (centuries, _) = math::div_rem(math::widen(year), 100);
    let centuries = math::low32(centuries);
    (year >> 2)
        .wrapping_sub(centuries)
        .wrapping_add(centuries >> 2)
}

fn is_leap(year: u32) -> bool {
    leap_years_to(year) != leap_years_to(year.wrapping_sub(1))
}

/// The Gregorian year of a time, to within a day of New Year's: enough for a horizon of 50 years.
fn year_of(time: UnixTime) -> u32 {
    // 400 years have 146 097 days.
    let (year, _) = math::div_rem(math::widen(time.day()).wrapping_mul(400), 146_097);
    math::low32(year).saturating_add(1_970)
}

const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const LENGTHS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    const NOW: UnixTime = match UnixTime::from_secs(1_795_478_400) {
        Some(time) => time, // 2026-11-24
        None => UnixTime::EPOCH,
    };

    fn secs(value: &str) -> Option<u64> {
        http_date(value.as_bytes(), NOW).map(UnixTime::as_secs)
    }

    #[test]
    fn reads_the_three_forms_of_rfc_9110() {
        let expected = Some(784_111_777);
        assert_eq!(secs("Sun, 06 Nov 1994 08:49:37 GMT"), expected);
        assert_eq!(secs("Sunday, 06-Nov-94 08:49:37 GMT"), expected);
        assert_eq!(secs("Sun Nov  6 08:49:37 1994"), expected);
        assert_eq!(secs("  Sun, 06 Nov 1994 08:49:37 GMT "), expected);
    }

    #[test]
    fn takes_a_short_year_for_the_latest_one_at_most_50_years_ahead() {
        assert_eq!(
            secs("Wednesday, 01-Jan-76 00:00:00 GMT"),
            Some(3_345_062_400)
        );
        assert_eq!(secs("Saturday, 01-Jan-77 00:00:00 GMT"), Some(220_924_800));
    }

    #[test]
    fn refuses_what_no_calendar_has() {
        for wrong in [
            "Sun, 29 Feb 2023 00:00:00 GMT",
            "Sun, 29 Feb 2100 00:00:00 GMT",
            "Sun, 31 Apr 2026 00:00:00 GMT",
            "Sun, 00 Nov 2026 00:00:00 GMT",
            "Sun, 06 Nov 2026 24:00:00 GMT",
            "Sun, 06 Nov 2026 00:60:00 GMT",
            "Sun, 06 Nov 2026 00:00:61 GMT",
            "Sun, 06 Nov 1969 00:00:00 GMT",
            "Sun, 06 Nov 2026 00:00:00 UTC",
            "Sun, 06 Nov 2026 00:00:00 GMT+1",
            "Sun, 6 Nov 2026 00:00:00 GMT",
            "Sun, 06 Nov 02026 00:00:00 GMT",
            "sun, 06 Nov 2026 00:00:00 GMT",
            "Son, 06 Nov 2026 00:00:00 GMT",
            "Sun, 06 nov 2026 00:00:00 GMT",
            "Su, 06 Nov 2026 00:00:00 GMT",
            "Sun Nov 6 08:49:37 1994",
            "2026-11-24T00:00:00Z",
            "Sun",
            "Sun, ",
            "",
        ] {
            assert_eq!(secs(wrong), None, "{wrong:?}");
        }
        assert!(secs("Thu, 29 Feb 2024 00:00:00 GMT").is_some());
        assert!(secs("Tue, 29 Feb 2000 00:00:00 GMT").is_some());
    }

    #[test]
    fn takes_a_leap_second_for_the_second_after_it() {
        assert_eq!(
            secs("Sat, 31 Dec 2016 23:59:60 GMT"),
            secs("Sun, 01 Jan 2017 00:00:00 GMT")
        );
    }

    #[test]
    fn counts_every_day_of_four_centuries_once() {
        let mut day = 0_u64;
        for year in 1_970..2_370 {
            for (month, &length) in LENGTHS.iter().enumerate() {
                let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
                let length = if month == 1 && leap { 29 } else { length };
                for of_month in 1..=length {
                    let value = format!("Mon, {of_month:02} {} {year} 00:00:00 GMT", MONTHS[month]);
                    assert_eq!(secs(&value), Some(day * 86_400), "{value}");
                    day += 1;
                }
            }
        }
    }
}

//! Values that there is no type for: lengths of time, dates as Unix time, words of a list.

use super::reader::{Found, Section};
use super::tree::Value;
use limiter_core::UnixTime;
use std::time::Duration;
use toml::value::{Date, Datetime, Offset, Time};

/// A length such as `"2s"`: a whole number and a unit.
pub(super) fn length(section: &Section<'_, '_>, key: &str) -> Option<Found<Duration>> {
    let Found { value, at } = section.text(key)?;
    let parsed = duration(value);
    if parsed.is_none() {
        let what = "must be a whole number and a unit, ms, s, m or h, such as \"2s\"";
        section.note(at, key, what);
    }
    Some(Found { value: parsed?, at })
}

/// A date or a date and time in UTC; JSON, which has none, has it as a string.
pub(super) fn utc(section: &Section<'_, '_>, key: &str) -> Option<UnixTime> {
    let Found { value, at } = section.value(key)?;
    let parsed = match value {
        Value::Date(datetime) => unix_time(datetime),
        Value::Text(text) => text.parse().ok().as_ref().and_then(unix_time),
        _ => None,
    };
    if parsed.is_none() {
        let what = "must be a date from 1970 on, such as 2020-01-01 or 2020-01-01T00:00:00Z";
        section.note(at, key, what);
    }
    parsed
}

/// One of a few words.
pub(super) fn word<T: Copy>(
    section: &Section<'_, '_>,
    key: &str,
    words: &[(&str, T)],
) -> Option<T> {
    let Found { value, at } = section.text(key)?;
    let known = words.iter().find(|(word, _)| *word == value);
    if known.is_none() {
        let known: Vec<String> = words
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        section.note(at, key, format!("must be {}", known.join(" or ")));
    }
    known.map(|&(_, meaning)| meaning)
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let seconds_in_unit = match unit.trim_start() {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return None,
    };
    number.checked_mul(seconds_in_unit).map(Duration::from_secs)
}

/// Parsing has checked that the date exists. A date and time without an offset is no UTC.
fn unix_time(datetime: &Datetime) -> Option<UnixTime> {
    let date = datetime.date?;
    let seconds = match (datetime.time, datetime.offset) {
        (None, None) => 0,
        (Some(time), Some(Offset::Z)) => second_of_day(time),
        _ => return None,
    };
    let days = u64::try_from(days_since_1970(date)).ok()?;
    UnixTime::from_secs(days * 86_400 + seconds)
}

fn second_of_day(time: Time) -> u64 {
    let (hour, minute) = (u64::from(time.hour), u64::from(time.minute));
    // A leap second is the next minute's first.
    hour * 3_600 + minute * 60 + u64::from(time.second.unwrap_or(0))
}

/// Days of the Gregorian calendar, counted from the March of a leap year's cycle so that a leap day
/// is a year's last.
fn days_since_1970(date: Date) -> i64 {
    let month = i64::from(date.month);
    let (year, month) = if month > 2 {
        (i64::from(date.year), month - 3)
    } else {
        (i64::from(date.year) - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + i64::from(date.day) - 1;
    year * 365 + leap_days + day_of_year - DAYS_BEFORE_1970
}

/// From 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_1970: i64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(text: &str) -> Option<u64> {
        unix_time(&text.parse().unwrap()).map(UnixTime::as_secs)
    }

    #[test]
    fn tells_the_unix_time_of_a_date() {
        assert_eq!(secs("1970-01-01"), Some(0));
        assert_eq!(secs("2020-01-01"), Some(UnixTime::Y2020.as_secs()));
        assert_eq!(secs("2000-02-29T12:34:56Z"), Some(951_827_696));
        assert_eq!(secs("2100-03-01"), Some(4_107_542_400));
        assert_eq!(secs("1969-12-31"), None);
        assert_eq!(secs("2020-01-01T00:00:00"), None, "of no time zone");
        assert_eq!(secs("2020-01-01T00:00:00+01:00"), None);
        assert_eq!(secs("12:00:00"), None);
    }

    #[test]
    fn counts_every_day_once() {
        let mut day = 0;
        for year in 1970..2110_u16 {
            for month in 1..=12_u8 {
                let leap = year.is_multiple_of(4) && year != 2100;
                let days = match month {
                    2 => 28 + u8::from(leap),
                    4 | 6 | 9 | 11 => 30,
                    _ => 31,
                };
                for of_month in 1..=days {
                    let date = Date {
                        year,
                        month,
                        day: of_month,
                    };
                    assert_eq!(days_since_1970(date), day, "{date}");
                    day += 1;
                }
            }
        }
    }

    #[test]
    fn reads_lengths() {
        let ms = |text| duration(text).map(|length| length.as_millis());
        assert_eq!(ms("2s"), Some(2_000));
        assert_eq!(ms("250 ms"), Some(250));
        assert_eq!(ms("5m"), Some(300_000));
        assert_eq!(ms("24h"), Some(86_400_000));
        for wrong in [
            "",
            "2",
            "s",
            "-1s",
            "1.5s",
            "2 d",
            "2ss",
            "99999999999999999999s",
            "9999999999999999999h",
        ] {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
    }
}

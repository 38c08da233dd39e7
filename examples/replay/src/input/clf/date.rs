//! `17/May/2015:10:05:03 +0000` as Unix seconds.

/// Reads a time of exactly this shape: two digits of day, English month, four digits of year, time,
/// offset from UTC. A second of 60 is the first of the next minute, since Unix time has no leap
/// seconds.
///
/// # Errors
/// Says what is wrong, without the text.
pub(super) fn unix_seconds(text: &[u8]) -> Result<u64, &'static str> {
    let text: &[u8; 26] = text.try_into().map_err(|_| SHAPE)?;
    if SEPARATORS.iter().any(|&(at, byte)| text[at] != byte) {
        return Err(SHAPE);
    }
    let month = MONTHS.iter().position(|name| **name == text[3..6]);
    let month = month.ok_or("has a month that is not Jan to Dec")?;
    let (day, year) = (number(&text[0..2])?, number(&text[7..11])?);
    let hour = number(&text[12..14])?;
    let minute = number(&text[15..17])?;
    let second = number(&text[18..20])?;
    let (offset_h, offset_m) = (number(&text[22..24])?, number(&text[24..26])?);
    if !(1..=days_in(month, year)).contains(&day) {
        return Err("has a day that the month does not have");
    }
    if hour > 23 || minute > 59 || second > 60 {
        return Err("has an hour above 23, a minute above 59 or a second above 60");
    }
    if offset_h > 23 || offset_m > 59 {
        return Err("has an offset from UTC above 23:59");
    }
    let days = days_before_year(year) + DAYS_BEFORE_MONTH[month] + day - 1
        + i64::from(month >= 2 && is_leap(year));
    let local = ((days * 24 + hour) * 60 + minute) * 60 + second;
    let offset = (offset_h * 60 + offset_m) * 60;
    let utc = match text[21] {
        b'+' => local - offset,
        b'-' => local + offset,
        _ => return Err(SHAPE),
    };
    u64::try_from(utc - UNIX_EPOCH_S).map_err(|_| "is before 1970")
}

fn number(digits: &[u8]) -> Result<i64, &'static str> {
    digits.iter().try_fold(0, |number, digit| match digit {
        b'0'..=b'9' => Ok(number * 10 + i64::from(digit - b'0')),
        _ => Err(SHAPE),
    })
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(month: usize, year: i64) -> i64 {
    match month {
        1 => 28 + i64::from(is_leap(year)),
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

/// Days of the Gregorian calendar, extended back, from the year 1 on; year 0 is a leap year.
const fn days_before_year(year: i64) -> i64 {
    let past = year - 1;
    past * 365 + past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400)
}

const SHAPE: &str = "does not have the shape dd/Mon/yyyy:hh:mm:ss +hhmm";
/// What stands where between the numbers.
const SEPARATORS: [(usize, u8); 6] = [
    (2, b'/'),
    (6, b'/'),
    (11, b':'),
    (14, b':'),
    (17, b':'),
    (20, b' '),
];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
/// In a year that is no leap year.
const DAYS_BEFORE_MONTH: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
const UNIX_EPOCH_S: i64 = days_before_year(1970) * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Result<u64, &'static str> {
        unix_seconds(text.as_bytes())
    }

    #[test]
    fn a_time_is_told_to_the_second() {
        for (text, secs) in [
            ("01/Jan/1970:00:00:00 +0000", 0),
            ("17/May/2015:10:05:03 +0000", 1_431_857_103),
            ("10/Oct/2000:13:55:36 -0700", 971_211_336),
            ("31/Dec/1999:23:59:59 +0000", 946_684_799),
            ("29/Feb/2000:12:00:00 +0000", 951_825_600),
            ("01/Mar/2000:00:00:00 +0000", 951_868_800),
            ("29/Feb/2024:23:59:59 +0000", 1_709_251_199),
            ("01/Mar/2023:00:00:00 +0000", 1_677_628_800),
            ("01/Jan/2100:00:00:00 +0000", 4_102_444_800),
            ("01/Mar/2100:00:00:00 +0000", 4_107_542_400),
        ] {
            assert_eq!(at(text), Ok(secs), "{text}");
        }
    }

    #[test]
    fn the_offset_is_taken_off() {
        let noon = at("15/Jun/2020:12:00:00 +0000");
        for same in [
            "15/Jun/2020:14:00:00 +0200",
            "15/Jun/2020:07:00:00 -0500",
            "15/Jun/2020:17:45:00 +0545",
            "16/Jun/2020:02:00:00 +1400",
            "15/Jun/2020:11:59:60 +0000",
            "15/Jun/2020:12:00:00 -0000",
        ] {
            assert_eq!(at(same), noon, "{same}");
        }
    }

    #[test]
    fn every_day_of_400_years_follows_the_one_before() {
        let mut wanted = 0;
        for year in 1970..2370 {
            for (month, name) in MONTHS.iter().enumerate() {
                let name = std::str::from_utf8(*name).unwrap();
                for day in 1..=days_in(month, year) {
                    let text = format!("{day:02}/{name}/{year}:00:00:00 +0000");
                    assert_eq!(at(&text), Ok(wanted * 86_400), "{text}");
                    wanted += 1;
                }
            }
        }
        assert_eq!(wanted, 146_097);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("", "shape"),
            ("17/May/2015:10:05:03", "shape"),
            ("17/May/2015:10:05:03 0000", "shape"),
            ("17/May/2015:10:05:03 +00000", "shape"),
            ("7/May/2015:10:05:03 +0000", "shape"),
            ("1x/May/2015:10:05:03 +0000", "shape"),
            ("17/May/2015 10:05:03 +0000", "shape"),
            ("2015-05-17T10:05:03+00:00x", "shape"),
            ("17/may/2015:10:05:03 +0000", "month"),
            ("17/Mai/2015:10:05:03 +0000", "month"),
            ("00/May/2015:10:05:03 +0000", "day"),
            ("31/Apr/2015:10:05:03 +0000", "day"),
            ("29/Feb/2015:10:05:03 +0000", "day"),
            ("29/Feb/1900:10:05:03 +0000", "day"),
            ("17/May/2015:24:05:03 +0000", "hour"),
            ("17/May/2015:10:60:03 +0000", "minute"),
            ("17/May/2015:10:05:61 +0000", "second"),
            ("17/May/2015:10:05:03 +2400", "offset"),
            ("17/May/2015:10:05:03 +0060", "offset"),
            ("31/Dec/1969:23:59:59 +0000", "1970"),
            ("01/Jan/1970:00:00:00 +0100", "1970"),
            ("01/Jan/0000:00:00:00 +0000", "1970"),
        ] {
            let wrong = at(text).unwrap_err();
            assert!(wrong.contains(part), "{text}: {wrong}");
        }
    }
}

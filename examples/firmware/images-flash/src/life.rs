//! What the host tells a device that it switches on: `FILE SEED CUT UTC REQUESTS`.

/// One life, from power-on to the loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life<'a> {
    /// The host's file that is the flash.
    pub file: &'a str,
    /// Picks the requests, and the bits of a torn word.
    pub seed: u32,
    /// The operation of the flash, counted from 1, in which the power fails; 0 for none.
    pub cut: u32,
    /// What the RTC says, in Unix seconds.
    pub utc: i64,
    /// How many requests come before the power is switched off.
    pub requests: u32,
}

/// Reads the words; `None` if they are no life.
pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<Life<'a>> {
    let mut words = words.into_iter();
    let life = Life {
        file: words.next().filter(|file| !file.is_empty())?,
        seed: words.next()?.parse().ok()?,
        cut: words.next()?.parse().ok()?,
        utc: words.next()?.parse().ok()?,
        requests: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some(life)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_five_words_and_nothing_else() {
        let life = Life {
            file: "/tmp/flash",
            seed: 7,
            cut: 0,
            utc: -1,
            requests: 300,
        };
        assert_eq!(parse(["/tmp/flash", "7", "0", "-1", "300"]), Some(life));
        assert_eq!(parse(["/tmp/flash", "7", "0", "-1"]), None);
        assert_eq!(parse(["/tmp/flash", "7", "0", "-1", "300", ""]), None);
        assert_eq!(parse(["/tmp/flash", "7", "-1", "0", "300"]), None);
        assert_eq!(parse(["", "7", "0", "0", "300"]), None);
    }
}

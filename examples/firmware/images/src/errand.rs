//! What the host tells the API client to do: `TOKEN REQUESTS paced|unpaced`.

use core::str;

/// Requests to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errand<'a> {
    /// The credential that they carry.
    pub token: &'a str,
    /// How many.
    pub requests: u32,
    /// Whether the pacer is asked before each.
    pub paced: bool,
}

/// Reads a line; `None` if it is no errand.
pub fn parse(line: &[u8]) -> Option<Errand<'_>> {
    let mut words = str::from_utf8(line).ok()?.split(' ');
    let token = words.next().filter(|token| !token.is_empty())?;
    let requests = words.next()?.parse().ok()?;
    let paced = match words.next()? {
        "paced" => true,
        "unpaced" => false,
        _ => return None,
    };
    words.next().is_none().then_some(Errand {
        token,
        requests,
        paced,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_token_a_number_and_the_manner() {
        let errand = Errand {
            token: "a1b2c3",
            requests: 1_000,
            paced: true,
        };
        assert_eq!(parse(b"a1b2c3 1000 paced"), Some(errand));
        let errand = Errand {
            paced: false,
            ..errand
        };
        assert_eq!(parse(b"a1b2c3 1000 unpaced"), Some(errand));
    }

    #[test]
    fn refuses_all_else() {
        for line in [
            "",
            "a1b2c3",
            "a1b2c3 1000",
            " 1000 paced",
            "a1b2c3 many paced",
            "a1b2c3 -1 paced",
            "a1b2c3 1000 slowly",
            "a1b2c3 1000 paced now",
        ] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
        assert_eq!(parse(b"\xff 1000 paced"), None);
    }
}

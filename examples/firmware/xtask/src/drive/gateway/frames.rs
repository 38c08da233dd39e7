//! The frames that are sent: a fixed sequence that looks random.

use std::fmt;

use limiter_model::{Kind, Method, Origin};

/// A line to send, and what it means.
pub(super) struct Frame {
    pub(super) number: u32,
    /// With the line feed.
    pub(super) bytes: Vec<u8>,
    pub(super) meaning: Meaning,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?}, {:?}",
            String::from_utf8_lossy(&self.bytes),
            self.meaning
        )
    }
}

/// What the device has to make of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning {
    /// Decide a request.
    Request {
        token: Option<u64>,
        method: Method,
        origin: Origin,
        cost: u64,
    },
    /// Make a token known.
    Register {
        token: u64,
        user: u64,
        kind: Kind,
        plan: usize,
    },
    /// Do something to itself.
    Order,
    /// Say that it is no frame: what the answer says after `?`, and whether it has the number.
    Nonsense { word: &'static str, numbered: bool },
}

/// Makes the frames.
pub(super) struct Frames {
    random: u64,
    number: u32,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            random: 7,
            number: 0,
        }
    }

    /// Makes all tokens known, then one more than the table holds.
    pub(super) fn registrations(&mut self) -> Vec<Frame> {
        (0..=TOKENS)
            .map(|token| self.registration(token, token % 4))
            .collect()
    }

    /// Any frame.
    pub(super) fn next(&mut self) -> Frame {
        match self.below(100) {
            0..70 => {
                let busiest = self.below(3);
                let token = if self.below(2) == 0 {
                    busiest
                } else {
                    self.below(TOKENS + 2)
                };
                self.request((token < TOKENS + 1).then_some(token))
            }
            70..75 => {
                let (token, plan) = (self.below(TOKENS), self.below(4));
                self.registration(token, plan)
            }
            75..85 => self.order(),
            _ => self.nonsense(),
        }
    }

    /// A request that is surely understood.
    pub(super) fn known_request(&mut self) -> Frame {
        let token = self.below(TOKENS);
        self.request(Some(token))
    }

    pub(super) fn away(&mut self) -> Frame {
        self.frame("away", Meaning::Order)
    }

    pub(super) fn bye(&mut self) -> Frame {
        self.frame("bye", Meaning::Order)
    }

    fn request(&mut self, token: Option<u64>) -> Frame {
        let (method, word) = METHODS[self.index(METHODS.len())];
        let (origin, origin_word) = match self.below(12) {
            0 => (Origin::Ui, " ui"),
            1 => (Origin::Webhook, " webhook"),
            _ => (Origin::Api, ""),
        };
        let cost = [1, 1, 1, 2, 7, 40, 130][self.index(7)];
        let cost_word = if cost == 1 {
            String::new()
        } else {
            format!(" cost={cost}")
        };
        let name = token.map_or("-".to_owned(), name);
        let meaning = Meaning::Request {
            token,
            method,
            origin,
            cost,
        };
        self.frame(&format!("{word} {name}{origin_word}{cost_word}"), meaning)
    }

    fn registration(&mut self, token: u64, plan: u64) -> Frame {
        let user = token % 5;
        let (kind, kind_word) = if token % 4 == 3 {
            (Kind::AccessToken, "access_token")
        } else {
            (Kind::ApiToken, "api_token")
        };
        let plan = usize::try_from(plan).unwrap_or_default();
        let plan_word = ["essential", "advanced", "professional", "enterprise"][plan];
        let text = format!(
            "register {} user{user} {kind_word} {plan_word}",
            name(token)
        );
        self.frame(
            &text,
            Meaning::Register {
                token,
                user,
                kind,
                plan,
            },
        )
    }

    /// Something happens to the device's clocks.
    fn order(&mut self) -> Frame {
        let text = match self.below(20) {
            0 => "clock fail".to_owned(),
            1..5 => "clock work".to_owned(),
            5..13 => format!(
                "clock {}",
                [
                    "+1",
                    "+500",
                    "+1999",
                    "+2000",
                    "+60000",
                    "+300000",
                    "+82800000",
                    "-1",
                    "-3000"
                ][self.index(9)]
            ),
            13 => "utc unset".to_owned(),
            14 => "utc 86399".to_owned(),
            _ => {
                let (day, edge) = (self.below(6), [0, 1, 43_200, 86_399][self.index(4)]);
                format!(
                    "utc {}",
                    1_716_000_000 / 86_400 * 86_400 + day * 86_400 + edge
                )
            }
        };
        self.frame(&text, Meaning::Order)
    }

    /// A line that is no frame.
    fn nonsense(&mut self) -> Frame {
        let of_frame = |word| Meaning::Nonsense {
            word,
            numbered: true,
        };
        let of_line = |word| Meaning::Nonsense {
            word,
            numbered: false,
        };
        match self.below(8) {
            0 => self.frame("get abc", of_frame("no_such_verb")),
            1 => self.frame("GET abc cost=0", of_frame("no_such_word")),
            2 => self.frame("clock yesterday", of_frame("no_such_word")),
            3 => {
                let long = "x".repeat(41);
                self.frame(&format!("GET {long}"), of_frame("token_too_long"))
            }
            4 => {
                let length = 65 + self.index(30);
                self.line(vec![b'#'; length], of_line("too_long"))
            }
            5 => self.line(b"#99999999999 GET a".to_vec(), of_line("no_number")),
            6 => self.line(Vec::new(), of_line("no_number")),
            _ => {
                let length = 1 + self.index(63);
                // Any bytes but those that begin a frame, end a line, or are cut off before its end.
                let bytes = (0..length).map(|_| 0x80 | self.index(128) as u8).collect();
                self.line(bytes, of_line("no_number"))
            }
        }
    }

    fn frame(&mut self, text: &str, meaning: Meaning) -> Frame {
        let number = self.number;
        self.line(format!("#{number} {text}").into_bytes(), meaning)
    }

    fn line(&mut self, mut bytes: Vec<u8>, meaning: Meaning) -> Frame {
        let number = self.number;
        self.number += 1;
        bytes.push(b'\n');
        Frame {
            number,
            bytes,
            meaning,
        }
    }

    fn index(&mut self, end: usize) -> usize {
        self.below(end as u64) as usize
    }

    /// A number below `end` (SplitMix64).
    fn below(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }
}

fn name(token: u64) -> String {
    format!("a1b2c3d4e5f6{token:04x}")
}

/// Tokens that the device's table of 16 holds besides its own.
pub(super) const TOKENS: u64 = 15;
const METHODS: [(Method, &str); 6] = [
    (Method::Get, "GET"),
    (Method::Get, "GET"),
    (Method::Post, "POST"),
    (Method::Put, "PUT"),
    (Method::Delete, "DELETE"),
    (Method::Patch, "PATCH"),
];

//! Windows told from answers alone.
//!
//! The client knows of a window's start only that it lies between sending and receiving the request
//! that opened it, whose answer says `remaining = limit - 1`. Every other admission must find a
//! window that can have held it, with no other admission of the same `remaining` in it. Where no
//! such arrangement exists, more than the limit was admitted in a window.

use std::time::Duration;

/// An admitted request, by the client's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission {
    pub(crate) sent: Duration,
    pub(crate) received: Duration,
    pub(crate) remaining: u32,
    pub(crate) reset_s: u32,
}

impl Admission {
    /// Whether the window that `opener` opened can have held this admission: it was decided at or
    /// after the window's start and before its end, and the reset told is what was left of it.
    fn fits(&self, opener: &Self, window: Duration) -> bool {
        // What was left lies above `reset_s - 1` and up to `reset_s` seconds; a clock of
        // milliseconds may be one behind.
        let least = Duration::from_secs(u64::from(self.reset_s) - 1);
        let most = Duration::from_secs(self.reset_s.into()) + TICK;
        opener.sent <= self.received
            && self.sent + least < opener.received + window + TICK
            && opener.sent + window <= self.received + most
    }
}

const TICK: Duration = Duration::from_millis(1);

/// What a token's admissions amount to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// Windows that were opened.
    pub(crate) windows: usize,
    /// Those in which all was used.
    pub(crate) full: usize,
}

/// Arranges the admissions of a token in windows.
///
/// # Panics
///
/// If they fit no arrangement in which each window is kept to.
pub(crate) fn judge(limit: u32, window: Duration, admissions: Vec<Admission>) -> Judgement {
    let mut by_remaining = vec![Vec::new(); limit as usize];
    for admission in admissions {
        by_remaining[admission.remaining as usize].push(admission);
    }
    let mut openers = by_remaining.pop().unwrap();
    openers.sort_by_key(|opener| opener.sent);
    for pair in openers.windows(2) {
        // The earliest that the first can have begun, the latest that the second can.
        assert!(
            pair[0].sent + window <= pair[1].received + TICK,
            "limit {limit}: a window began before the last one's end: {pair:?}"
        );
    }
    let full = by_remaining.first().map_or(openers.len(), Vec::len);
    for mut same in by_remaining {
        same.sort_by_key(|admission| admission.received);
        arrange(limit, window, &openers, &same);
    }
    Judgement {
        windows: openers.len(),
        full,
    }
}

/// Gives each of the admissions with one `remaining` a window of its own; both are in order.
fn arrange(limit: u32, window: Duration, openers: &[Admission], same: &[Admission]) {
    let mut free = 0;
    for admission in same {
        // The earliest window that fits leaves the later ones to the later admissions.
        let fitting = (free..openers.len()).find(|&at| admission.fits(&openers[at], window));
        match fitting {
            Some(at) => free = at + 1,
            None => panic!("limit {limit}: admitted beyond every window: {admission:?}"),
        }
    }
}

fn admission(at_ms: u64, remaining: u32, reset_s: u32) -> Admission {
    Admission {
        sent: Duration::from_millis(at_ms),
        received: Duration::from_millis(at_ms + 5),
        remaining,
        reset_s,
    }
}

const WINDOW: Duration = Duration::from_secs(2);

#[test]
fn takes_two_windows_for_what_they_are() {
    let admissions = vec![
        admission(0, 1, 2),
        admission(1_000, 0, 1),
        admission(2_001, 1, 2),
        admission(2_002, 0, 2),
    ];
    let expected = Judgement {
        windows: 2,
        full: 2,
    };
    assert_eq!(judge(2, WINDOW, admissions), expected);
}

#[test]
#[should_panic(expected = "admitted beyond every window")]
fn finds_one_admission_too_many_in_a_window() {
    let admissions = vec![
        admission(0, 1, 2),
        admission(500, 0, 2),
        admission(900, 0, 2),
    ];
    judge(2, WINDOW, admissions);
}

#[test]
#[should_panic(expected = "a window began before the last one's end")]
fn finds_a_window_that_opens_early() {
    judge(2, WINDOW, vec![admission(0, 1, 2), admission(1_900, 1, 2)]);
}

#[test]
#[should_panic(expected = "admitted beyond every window")]
fn finds_a_reset_that_cannot_be() {
    judge(2, WINDOW, vec![admission(0, 1, 2), admission(1_900, 0, 2)]);
}

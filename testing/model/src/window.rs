//! One token's window (SPEC 4). What a window is and when it ends; who is charged is `model`'s.

/// An open window. Half-open: `[start, start + W)` (W1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start_ms: i128,
    pub(crate) used: u64,
}

impl Window {
    /// Whether the window is open at `now` (W1). Before its start it is (W6).
    pub(crate) fn is_open(self, window_ms: u64, now_ms: i128) -> bool {
        now_ms < self.start_ms + i128::from(window_ms)
    }
}

/// Returns the window that stands at `now`: `None` once it has ended. W5: however long ago it was.
pub(crate) fn standing(window: Option<Window>, window_ms: u64, now_ms: i128) -> Option<Window> {
    window.filter(|window| window.is_open(window_ms, now_ms))
}

/// W2: whether `cost` fits beside what is used.
pub(crate) fn fits(window: Option<Window>, limit: u64, cost: u64) -> bool {
    u128::from(used(window)) + u128::from(cost) <= u128::from(limit)
}

/// W2: what is used, 0 if no window is open.
pub(crate) fn used(window: Option<Window>) -> u64 {
    window.map_or(0, |window| window.used)
}

/// W1: charges an admitted request, opening a window at `now` when none is open.
pub(crate) fn charged(window: Option<Window>, now_ms: i128, cost: u64) -> Window {
    let open = window.unwrap_or(Window {
        start_ms: now_ms,
        used: 0,
    });
    Window {
        used: open.used + cost,
        ..open
    }
}

/// W3, W6: `start + W - now`, or `W` if no window is open.
pub(crate) fn reset_ms(window: Option<Window>, window_ms: u64, now_ms: i128) -> i128 {
    let length = i128::from(window_ms);
    window.map_or(length, |window| window.start_ms + length - now_ms)
}

//! The row of one token: four words that change each on its own, and what binds them together.
//!
//! | word | holds | changed by |
//! |---|---|---|
//! | id | the token's keyed id, 0 if the row is vacant | the holder of the registry's lock |
//! | lease | terms, the user's place, and the number of the tenancy | the holder of that lock; terms alone also by compare-and-swap |
//! | abuse | [`Abuse`] | compare-and-swap |
//! | window | [`Window`] | compare-and-swap |
//!
//! A closed window and a clean record have many packed forms; here they carry bits of the token's
//! id. So a compare-and-swap that was prepared for one token fails on a row that was given to
//! another.

use super::sync::{AtomicU64, Ordering};
use limiter_core::abuse::Abuse;
use limiter_core::limiter::Terms;
use limiter_core::window::Window;

/// The two words that tell whose the row is: read by all cores, and next to never written.
pub(super) struct Head {
    pub(super) id: AtomicU64,
    lease: AtomicU64,
}

/// The two words that decisions change.
#[repr(align(16))]
pub(super) struct State {
    pub(super) abuse: AtomicU64,
    pub(super) window: AtomicU64,
}

/// The two halves of a row, which are kept apart: looking for a token does not touch what cores
/// change.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) head: &'a Head,
    pub(super) state: &'a State,
}

impl Head {
    /// The half of a row that holds nothing. Its memory is written to, not only reserved, since the
    /// lease is not 0.
    pub(super) fn vacant() -> Self {
        Self {
            id: AtomicU64::new(0),
            lease: AtomicU64::new(Lease::VACANT.0),
        }
    }
}

impl State {
    pub(super) fn vacant() -> Self {
        Self {
            abuse: AtomicU64::new(LEAVING),
            window: AtomicU64::new(GONE),
        }
    }
}

impl Row<'_> {
    #[inline]
    pub(super) fn lease(self) -> Lease {
        Lease(self.head.lease.load(Ordering::Acquire))
    }

    /// By the holder of the registry's lock alone.
    pub(super) fn set_lease(self, lease: Lease) {
        self.head.lease.store(lease.0, Ordering::Release);
    }

    /// Puts another lease in the place of one that was seen, unless it has changed. By anybody, for
    /// other terms of the same token.
    pub(super) fn swap_lease(self, seen: Lease, lease: Lease) -> bool {
        swap(&self.head.lease, seen.0, lease.0)
    }

    /// Whether the row is still the token's, in the tenancy in which `lease` was read.
    ///
    /// What was loaded from the row after `lease` and before this, with acquire ordering, is then
    /// the token's own.
    #[inline]
    pub(super) fn is_still(self, token: u64, lease: Lease) -> bool {
        self.head.id.load(Ordering::Acquire) == token && self.lease().same_tenancy(lease)
    }

    /// Gives a vacant row to a token.
    pub(super) fn take(self, token: u64, terms: Terms, user: u32) {
        self.state.abuse.store(clean(token), Ordering::Release);
        self.set_lease(Lease::new(terms, user, self.lease().tenancy() + 1));
        self.state.window.store(closed(token), Ordering::Release);
        self.head.id.store(token, Ordering::Release);
    }

    /// Takes the row from an idle token; says no, and changes nothing, if it is not idle or is used
    /// at this very moment.
    pub(super) fn vacate(self, is_idle: impl Fn(Window, Abuse) -> bool) -> bool {
        let abuse = self.state.abuse.load(Ordering::Acquire);
        let window = self.state.window.load(Ordering::Acquire);
        if !is_idle(Window::from_bits(window), Abuse::from_bits(abuse)) {
            return false;
        }
        // From here on nobody writes `abuse` but this.
        if !swap(&self.state.abuse, abuse, LEAVING) {
            return false;
        }
        // From here on the token is unknown.
        if !swap(&self.state.window, window, GONE) {
            self.state.abuse.store(abuse, Ordering::Release);
            return false;
        }
        self.set_lease(Lease::VACANT.in_tenancy(self.lease().tenancy() + 1));
        self.head.id.store(0, Ordering::Release);
        true
    }
}

/// What was agreed on for a token: its [`Terms`] in bits 0 to 26, the user's place in bits 27 to
/// 50, and the number of the tenancy, modulo 2^13, above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease(u64);

impl Lease {
    /// Of a row that nobody has: its token counts as revoked.
    const VACANT: Self = Self(1 << 26);

    pub(super) fn new(terms: Terms, user: u32, tenancy: u64) -> Self {
        Self(u64::from(terms.to_bits()) | (u64::from(user) << Terms::BITS)).in_tenancy(tenancy)
    }

    #[inline]
    pub(super) fn terms(self) -> Terms {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the terms are in the low 32 bits"
        )]
        Terms::from_bits(self.0 as u32)
    }

    pub(super) fn with_terms(self, terms: Terms) -> Self {
        Self::new(terms, self.user(), self.tenancy())
    }

    #[inline]
    pub(super) fn user(self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "masked to 24 bits")]
        let user = (self.0 >> Terms::BITS) as u32 & MAX_USER;
        user
    }

    pub(super) fn tenancy(self) -> u64 {
        self.0 >> TENANCY_SHIFT
    }

    pub(super) fn in_tenancy(self, tenancy: u64) -> Self {
        Self((self.0 & ((1 << TENANCY_SHIFT) - 1)) | (tenancy << TENANCY_SHIFT))
    }

    /// Whether both are of one token with one user: another user makes another tenancy.
    #[inline]
    fn same_tenancy(self, other: Self) -> bool {
        (self.0 ^ other.0) >> TENANCY_SHIFT == 0
    }
}

/// The packed form of a token's window.
#[inline]
pub(super) fn window_bits(window: Window, token: u64) -> u64 {
    if window.is_open() {
        window.to_bits()
    } else {
        closed(token)
    }
}

/// The packed form of a token's offences or block.
#[inline]
pub(super) fn abuse_bits(abuse: Abuse, token: u64) -> u64 {
    if abuse == Abuse::CLEAN {
        clean(token)
    } else {
        abuse.to_bits()
    }
}

/// Compares and swaps.
#[inline]
pub(super) fn swap(word: &AtomicU64, from: u64, to: u64) -> bool {
    word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
        .is_ok()
}

/// Bit 43 says that a window is open; all others may be the id's. Never 0.
fn closed(token: u64) -> u64 {
    (token & !(1 << 43)).max(1)
}

/// Bits 44 and up say what was done; the others may be the id's. Never 0.
fn clean(token: u64) -> u64 {
    (token & ((1 << 44) - 1)).max(1)
}

/// The window of a row that was taken from its token. Nobody swaps it for another.
pub(super) const GONE: u64 = 0;

/// The record of a token whose row is about to be taken, or was. It counts as clean, and nobody
/// swaps it for another.
pub(super) const LEAVING: u64 = 0;

pub(super) const MAX_USER: u32 = (1 << 24) - 1;
const TENANCY_SHIFT: u32 = Terms::BITS + 24;

const _: () = {
    assert!(Terms::from_bits(1 << 26).is_revoked());
    assert!(TENANCY_SHIFT == 51);
};

#[cfg(all(test, not(limiter_loom)))]
mod tests {
    use super::*;
    use limiter_core::{HashKey, Instant, Kind, Plan, Registration};

    const IDS: [u64; 5] = [1, 1 << 43, 1 << 44, 0xdead_beef_0bad_cafe, u64::MAX];

    fn terms() -> Terms {
        let user = HashKey::new([1; 16]).user(b"u");
        Terms::new(&Registration::new(user, Kind::ApiToken, Plan::ADVANCED), 40)
    }

    #[test]
    fn every_packed_form_is_the_state_that_it_is_made_from() {
        for id in IDS {
            assert_eq!(Window::from_bits(closed(id)), Window::CLOSED);
            assert_eq!(Abuse::from_bits(clean(id)), Abuse::CLEAN);
            assert!(closed(id) != GONE && clean(id) != LEAVING);
            let open = Window::CLOSED.charge(Instant::MAX, 3);
            assert_eq!(Window::from_bits(window_bits(open, id)), open);
        }
        assert_eq!(Window::from_bits(GONE), Window::CLOSED);
        assert_eq!(Abuse::from_bits(LEAVING), Abuse::CLEAN);
    }

    #[test]
    fn a_lease_holds_the_largest_of_everything() {
        let lease = Lease::new(terms(), MAX_USER, (1 << 13) - 1);
        assert_eq!(lease.terms(), terms());
        assert_eq!((lease.user(), lease.tenancy()), (MAX_USER, (1 << 13) - 1));
        assert_eq!(lease.in_tenancy(lease.tenancy() + 1).tenancy(), 0);
        assert!(Lease::VACANT.terms().is_revoked());
    }

    #[test]
    fn a_row_that_is_taken_again_is_no_longer_the_first_tokens() {
        let (head, state) = (Head::vacant(), State::vacant());
        let row = Row {
            head: &head,
            state: &state,
        };
        row.take(7, terms(), 3);
        let lease = row.lease();
        assert!(row.is_still(7, lease));
        row.set_lease(lease.with_terms(terms().revoked(true)));
        assert!(row.is_still(7, lease), "other terms are no other tenancy");
        assert!(row.vacate(|_, _| true));
        assert!(!row.is_still(7, lease));
        row.take(7, terms(), 3);
        assert!(!row.is_still(7, lease), "the same token once more");
    }

    #[test]
    fn a_row_in_use_is_not_taken_and_stays_as_it_is() {
        let (head, state) = (Head::vacant(), State::vacant());
        let row = Row {
            head: &head,
            state: &state,
        };
        row.take(7, terms(), 3);
        let (window, abuse) = (
            row.state.window.load(Ordering::Relaxed),
            row.state.abuse.load(Ordering::Relaxed),
        );
        assert!(!row.vacate(|_, _| false));
        assert_eq!(row.state.window.load(Ordering::Relaxed), window);
        // A charge between the look and the taking.
        let charged = Window::CLOSED.charge(Instant::ZERO, 1).to_bits();
        assert!(!row.vacate(|_, _| swap(&row.state.window, window, charged)));
        assert_eq!(row.state.window.load(Ordering::Relaxed), charged);
        assert_eq!(row.state.abuse.load(Ordering::Relaxed), abuse);
        assert!(row.is_still(7, row.lease()));
    }
}

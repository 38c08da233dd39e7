//! What a caller asks for (SPEC 2).

use crate::policy::Plan;
use crate::token::{TokenId, UserId};
use core::num::NonZeroU32;

/// One request, as the limiter sees it.
///
/// ```
/// use core::num::NonZeroU32;
/// use limiter_core::{HashKey, Method, Origin, Request};
///
/// let token = HashKey::new([1; 16]).token(b"a1b2");
/// let request = Request::new(token, Method::Post)
///     .with_origin(Origin::Ui)
///     .with_cost(NonZeroU32::new(5).unwrap());
/// assert_eq!(request.cost.get(), 5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request {
    /// Who asks; `None` where no credential was shown.
    pub token: Option<TokenId>,
    /// Permits that the request takes.
    pub cost: NonZeroU32,
    /// Its HTTP method.
    pub method: Method,
    /// Where it came from.
    pub origin: Origin,
}

impl Request {
    /// A request of origin [`Origin::Api`] that costs 1 permit.
    #[must_use]
    pub const fn new(token: TokenId, method: Method) -> Self {
        Self {
            token: Some(token),
            cost: NonZeroU32::MIN,
            method,
            origin: Origin::Api,
        }
    }

    /// A request that shows no credential.
    #[must_use]
    pub const fn anonymous(method: Method) -> Self {
        Self {
            token: None,
            cost: NonZeroU32::MIN,
            method,
            origin: Origin::Api,
        }
    }

    /// The same request with another cost.
    #[must_use]
    pub const fn with_cost(mut self, cost: NonZeroU32) -> Self {
        self.cost = cost;
        self
    }

    /// The same request with another origin.
    #[must_use]
    pub const fn with_origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }
}

/// The kind of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Kind {
    /// A user's own key. It alone counts daily and can be blocked.
    ApiToken,
    /// An OAuth access token.
    AccessToken,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Origin {
    /// The API: every rule holds.
    Api,
    /// A user's action in the user interface: the window counts it (W8), the day does not (D1).
    Ui,
    /// A webhook: exempt (O1).
    Webhook,
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// OPTIONS.
    Options,
    /// TRACE.
    Trace,
    /// CONNECT.
    Connect,
    /// Any other.
    Other,
}

impl Method {
    /// Returns the method of this name in any case, [`Method::Other`] for one that is not known.
    ///
    /// Names are case-sensitive (RFC 9110, section 9.1), but servers exist that run `post` as POST:
    /// a write that is not counted as one would be free of the daily limit. A format that has names
    /// in capitals alone reads them by [`Method::from_exact_name`].
    ///
    /// ```
    /// use limiter_core::Method;
    /// assert_eq!(Method::from_name("PUT"), Method::Put);
    /// assert_eq!(Method::from_name("put"), Method::Put);
    /// assert_eq!(Method::from_name("LIST"), Method::Other);
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match Self::from_exact_name(name) {
            Self::Other => Self::from_unusual_name(name),
            method => method,
        }
    }

    /// Returns the method of this name in capitals, [`Method::Other`] for any other text.
    ///
    /// ```
    /// use limiter_core::Method;
    /// assert_eq!(Method::from_exact_name("PUT"), Method::Put);
    /// assert_eq!(Method::from_exact_name("put"), Method::Other);
    /// ```
    #[must_use]
    pub fn from_exact_name(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            "TRACE" => Self::Trace,
            "CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }

    /// Returns the method of a name that is none in capitals.
    #[cold]
    fn from_unusual_name(name: &str) -> Self {
        let mut capitals = [0; LONGEST_NAME];
        let Some(capitals) = capitals.get_mut(..name.len()) else {
            return Self::Other;
        };
        capitals.copy_from_slice(name.as_bytes());
        capitals.make_ascii_uppercase();
        core::str::from_utf8(capitals).map_or(Self::Other, Self::from_exact_name)
    }

    pub(crate) const fn bit(self) -> u16 {
        1 << match self {
            Self::Get => 0,
            Self::Head => 1,
            Self::Post => 2,
            Self::Put => 3,
            Self::Patch => 4,
            Self::Delete => 5,
            Self::Options => 6,
            Self::Trace => 7,
            Self::Connect => 8,
            Self::Other => 9,
        }
    }
}

/// Bytes of the longest name of a method, `OPTIONS` or `CONNECT`.
const LONGEST_NAME: usize = 7;

/// What sets a token's permits per window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TokenLimit {
    /// Its plan.
    Plan(Plan),
    /// A limit of its own, instead of its plan's.
    Own(u32),
}

/// What is said of a token when it is registered.
///
/// ```
/// use limiter_core::{HashKey, Kind, Plan, Registration};
///
/// let key = HashKey::new([1; 16]);
/// let martin = Registration::new(key.user(b"martin"), Kind::ApiToken, Plan::ADVANCED).pinned();
/// assert!(martin.pinned);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Registration {
    /// The account that the token belongs to.
    pub user: UserId,
    /// Its kind.
    pub kind: Kind,
    /// Its permits per window.
    pub limit: TokenLimit,
    /// Whether its row must stay, however idle it is (T2).
    pub pinned: bool,
}

impl Registration {
    /// A token of a plan, whose idle row may be evicted.
    #[must_use]
    pub const fn new(user: UserId, kind: Kind, plan: Plan) -> Self {
        Self {
            user,
            kind,
            limit: TokenLimit::Plan(plan),
            pinned: false,
        }
    }

    /// The same with a window limit of its own.
    #[must_use]
    pub const fn with_own_limit(mut self, permits: u32) -> Self {
        self.limit = TokenLimit::Own(permits);
        self
    }

    /// The same with a row that stays.
    #[must_use]
    pub const fn pinned(mut self) -> Self {
        self.pinned = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_in_lower_case_is_no_other_method() {
        let methods = [
            ("GET", Method::Get),
            ("HEAD", Method::Head),
            ("POST", Method::Post),
            ("PUT", Method::Put),
            ("PATCH", Method::Patch),
            ("DELETE", Method::Delete),
            ("OPTIONS", Method::Options),
            ("TRACE", Method::Trace),
            ("CONNECT", Method::Connect),
        ];
        for (name, method) in methods {
            assert_eq!(Method::from_exact_name(name), method);
            assert_eq!(Method::from_name(name), method);
            let lower = name.to_ascii_lowercase();
            assert_eq!(Method::from_name(&lower), method, "{lower}");
            assert_eq!(Method::from_exact_name(&lower), Method::Other);
            let mixed = std::format!("{}{}", &name[..1], &lower[1..]);
            assert_eq!(Method::from_name(&mixed), method, "{mixed}");
        }
        for name in [
            "", "POSTS", "PÖST", "propfind", "CONNECTS", "po st", "\0POST",
        ] {
            assert_eq!(Method::from_name(name), Method::Other, "{name}");
        }
    }
}

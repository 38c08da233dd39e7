//! The limiter behind a service's front: requests come in, header text goes out.

use crate::scenario::Scenario;
use limiter_core::http::{Style, headers};
use limiter_core::{
    HashKey, Instant, Limiter, Method, Now, Origin, Plan, Policy, Reason, Registration, Request,
    TokenId, TokenLimit, UnixTime,
};
use limiter_pacer::{HeaderReader, ResponseInfo};

/// A service that admits what this project's limiter admits.
#[derive(Debug)]
pub struct Server {
    limiter: Limiter<4, 4>,
    token: TokenId,
    /// Of another program of the same user.
    sibling: TokenId,
    start_utc: u64,
    sends_date: bool,
}

/// An answer as it goes over the wire.
#[derive(Clone, Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Why it was refused, if it was.
    pub reason: Option<Reason>,
    headers: Vec<(String, String)>,
}

impl Response {
    /// What the caller reads in it.
    #[must_use]
    pub fn read(&self, now: Now) -> ResponseInfo {
        let mut reader = HeaderReader::new(self.status, now);
        for (name, value) in &self.headers {
            reader.header(name.as_bytes(), value.as_bytes());
        }
        reader.finish()
    }
}

impl Server {
    /// The service of a scenario.
    ///
    /// # Panics
    ///
    /// If the scenario's plan is none of the preset's.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let key = HashKey::new(*b"a simulation key");
        let (token, sibling) = (key.token(b"ours"), key.token(b"sibling"));
        let mut server = Self {
            limiter: Limiter::new(Policy::pipedrive()),
            token,
            sibling,
            start_utc: scenario.start_utc,
            sends_date: scenario.sends_date,
        };
        let user = key.user(b"user");
        let now = server.now(0);
        let ours = Registration::new(user, scenario.kind, scenario.plan);
        let theirs = Registration::new(user, scenario.kind, Plan::ENTERPRISE);
        for (token, registration) in [(token, ours), (sibling, theirs)] {
            server
                .limiter
                .register(token, registration, now)
                .expect("a plan of the preset, in an empty table");
        }
        if let Some(cost) = core::num::NonZeroU32::new(scenario.daily_used) {
            server.use_up(cost);
        }
        server
    }

    /// Serves a request of the caller.
    pub fn serve(&mut self, method: Method, true_us: u64) -> Response {
        let now = self.now(true_us);
        let decision = self.limiter.check(&Request::new(self.token, method), now);
        let style = Style::PAGE;
        let mut lines: Vec<(String, String)> = headers(&decision, self.limiter.policy(), style)
            .map(|header| (header.name.to_owned(), header.value.as_str().to_owned()))
            .collect();
        if self.sends_date {
            let utc = now.utc().expect("the service has a clock");
            lines.push(("date".to_owned(), imf_fixdate(utc.as_secs())));
        }
        Response {
            status: decision.status().unwrap_or(200),
            reason: decision.reason(),
            headers: lines,
        }
    }

    /// Somebody acts in the user interface, with the caller's token. Says whether it was admitted.
    pub fn serve_ui(&mut self, true_us: u64) -> bool {
        let request = Request::new(self.token, Method::Get).with_origin(Origin::Ui);
        let now = self.now(true_us);
        self.limiter.check(&request, now).is_admitted()
    }

    /// Another program of the same user writes.
    pub fn serve_sibling(&mut self, true_us: u64) {
        let now = self.now(true_us);
        let request = Request::new(self.sibling, Method::Post);
        let _ = self.limiter.check(&request, now);
    }

    /// The caller's token gets another plan.
    ///
    /// # Panics
    ///
    /// If the preset has no such plan.
    pub fn change_plan(&mut self, plan: Plan) {
        self.limiter
            .update(self.token, TokenLimit::Plan(plan))
            .expect("a plan of the preset");
    }

    /// The user's other program has used up so many writes before the simulation.
    fn use_up(&mut self, writes: core::num::NonZeroU32) {
        let past = Now::new(Instant::ZERO, UnixTime::from_secs(self.start_utc));
        let own = TokenLimit::Own(writes.get());
        self.limiter
            .update(self.sibling, own)
            .expect("a limit below a million");
        let request = Request::new(self.sibling, Method::Post).with_cost(writes);
        let _ = self.limiter.check(&request, past);
        let plan = TokenLimit::Plan(Plan::ENTERPRISE);
        self.limiter
            .update(self.sibling, plan)
            .expect("a plan of the preset");
    }

    fn now(&self, true_us: u64) -> Now {
        let ms = true_us / 1_000;
        Now::new(
            Instant::from_millis(STARTED_MS + ms),
            UnixTime::from_secs(self.start_utc + ms / 1_000),
        )
    }
}

/// The text of a `date`.
fn imf_fixdate(secs: u64) -> String {
    let days = secs / 86_400;
    let (hour, minute, second) = (secs / 3_600 % 24, secs / 60 % 60, secs % 60);
    // Of the proleptic Gregorian calendar, from 0000-03-01 on, so that leap days come last.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let of_era_year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * of_era_year + of_era_year / 4 - of_era_year / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12;
    let year = era * 400 + of_era_year + u64::from(month < 2);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][index(days % 7)];
    let month = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ][index(month)];
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

fn index(value: u64) -> usize {
    usize::try_from(value).expect("a small number")
}

/// A service does not begin to count with the simulation.
const STARTED_MS: u64 = 1_000_003;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_date_of_rfc_9110_and_of_a_leap_day() {
        assert_eq!(imf_fixdate(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(imf_fixdate(1_709_164_800), "Thu, 29 Feb 2024 00:00:00 GMT");
    }

    #[test]
    fn tells_what_the_page_tells() {
        let mut server = Server::new(&Scenario::new(1));
        let answer = server.serve(Method::Post, 0).read(server.now(0));
        assert_eq!((answer.limit, answer.remaining), (Some(40), Some(39)));
        assert_eq!(
            (answer.reset_ms, answer.daily_left),
            (Some(2_000), Some(9_999))
        );
    }

    #[test]
    fn starts_with_what_the_user_has_used() {
        let mut scenario = Scenario::new(1);
        scenario.daily_used = 9_990;
        let mut server = Server::new(&scenario);
        let answer = server.serve(Method::Post, 0).read(server.now(0));
        assert_eq!(answer.daily_left, Some(9));
    }
}

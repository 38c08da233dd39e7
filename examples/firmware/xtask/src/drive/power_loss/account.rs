//! What a device with a failing power may say, over all its lives.
//!
//! - In an accounting day no user is handed out more than the limit.
//! - A life's count begins at least where the last one's ended, and at most the reserve beyond it.
//! - An accounting day begins only after a day of true time, and none ends in a restart once permits of it are out.
//! - Storage that once held a whole image always holds one.

use std::fmt;

use anyhow::{Context as _, Result, bail, ensure};

/// The sums over all lives so far.
#[derive(Debug)]
pub(super) struct Account {
    /// True time, in Unix milliseconds.
    now_ms: i64,
    start_ms: i64,
    /// The newest accounting day that was told, as a number of refills.
    refills: u32,
    /// Of that day, by user: handed out.
    handed_out: [u32; USERS],
    /// Of that day, by user: used as the device counts it, with what cuts have cost.
    used: [u32; USERS],
    /// Both of the day before.
    day_before: ([u32; USERS], [u32; USERS]),
    /// An image was stored, as the device said.
    stored: bool,
    lives: u32,
    writes: u32,
    permits: u32,
    lost: u32,
    worst_cut: u32,
    days: u32,
    spent_days: u32,
}

impl Account {
    pub(super) fn new(utc_s: i64) -> Self {
        Self {
            now_ms: utc_s * 1_000,
            start_ms: utc_s * 1_000,
            refills: 0,
            handed_out: [0; USERS],
            used: [0; USERS],
            day_before: ([0; USERS], [0; USERS]),
            stored: false,
            lives: 0,
            writes: 0,
            permits: 0,
            lost: 0,
            worst_cut: 0,
            days: 0,
            spent_days: 0,
        }
    }

    /// What a good RTC says.
    pub(super) fn utc_s(&self) -> i64 {
        self.now_ms.div_euclid(1_000)
    }

    /// Lets true time pass while the power is off.
    pub(super) fn pass(&mut self, millis: u64) {
        self.now_ms += i64::try_from(millis).unwrap_or(0);
    }

    /// Takes what a device said in one life. A last line without an end was cut off, and is nothing.
    pub(super) fn take(&mut self, said: &str) -> Result<()> {
        let whole = said.rfind('\n').map_or("", |end| &said[..end]);
        let mut lines = whole.lines();
        let Some(first) = lines.next() else {
            // Killed before it said anything.
            return Ok(());
        };
        self.lives += 1;
        self.start(first)
            .with_context(|| format!("at the start: `{first}`"))?;
        let began_ms = self.now_ms;
        for line in lines {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let numbers = numbers(rest).with_context(|| format!("`{line}`"))?;
            let at = numbers.last().copied();
            if let Some(at) = at {
                self.now_ms = began_ms + i64::from(at);
            }
            match (word, numbers.as_slice()) {
                ("w", []) => {
                    self.stored = true;
                    self.writes += 1;
                }
                ("d", &[refills, _]) => self.advance(refills)?,
                ("+", &[user, _]) => self.hand_out(user as usize)?,
                ("end", [_]) => {}
                _ => bail!("the device said `{line}`"),
            }
        }
        Ok(())
    }

    fn start(&mut self, line: &str) -> Result<()> {
        let Some(rest) = line.strip_prefix("restored ") else {
            ensure!(line == "blank" || line == "lost", "no start");
            ensure!(!self.stored, "an image was stored, and none is found");
            return Ok(());
        };
        let told = numbers(rest)?;
        let &[refills, ref used @ ..] = told.as_slice() else {
            bail!("no accounting day")
        };
        let used: [u32; USERS] = used.try_into().context("not every user is told of")?;
        self.stored = true;
        if refills + 1 == self.refills {
            ensure!(
                self.handed_out == [0; USERS],
                "permits were handed out of an accounting day that is forgotten"
            );
            // Its beginning was not stored, so it has not begun.
            self.refills = refills;
            (self.handed_out, self.used) = self.day_before;
        }
        ensure!(
            refills == self.refills,
            "an accounting day that was not told"
        );
        for (user, (before, now)) in self.used.into_iter().zip(used).enumerate() {
            ensure!(
                now >= before,
                "user {user} had used {before} and resumes at {now}"
            );
            let cost = now - before;
            ensure!(
                cost <= RESERVE,
                "the cut cost user {user} {cost} permits, from {before} to {now}"
            );
            self.lost += cost;
            self.worst_cut = self.worst_cut.max(cost);
        }
        self.used = used;
        Ok(())
    }

    fn advance(&mut self, refills: u32) -> Result<()> {
        ensure!(
            refills == self.refills + 1,
            "from accounting day {} to {refills}",
            self.refills
        );
        let true_days = self.now_ms.div_euclid(DAY_MS) - self.start_ms.div_euclid(DAY_MS);
        ensure!(
            i64::from(refills) <= true_days,
            "{refills} new accounting days in {true_days} true ones"
        );
        self.spent_days += u32::from(self.used.contains(&LIMIT));
        self.days += 1;
        self.refills = refills;
        self.day_before = (self.handed_out, self.used);
        self.handed_out = [0; USERS];
        self.used = [0; USERS];
        Ok(())
    }

    fn hand_out(&mut self, user: usize) -> Result<()> {
        let (handed_out, used) = self
            .handed_out
            .get_mut(user)
            .zip(self.used.get_mut(user))
            .with_context(|| format!("no user {user}"))?;
        *handed_out += 1;
        *used += 1;
        ensure!(
            *handed_out <= LIMIT && *used <= LIMIT,
            "user {user} is handed out {handed_out} permits of a day, and has used {used}"
        );
        self.permits += 1;
        Ok(())
    }

    /// Whether the lives have met all that they are there for.
    pub(super) fn met_everything(&self) -> bool {
        self.lost > 0 && self.days > 0 && self.spent_days > 0
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lives,
            writes,
            permits,
            lost,
            worst_cut,
            days,
            spent_days,
            ..
        } = self;
        write!(
            f,
            "{lives} starts, {permits} permits, {writes} images; {lost} permits lost, at most {worst_cut} of a user in a \
             cut; {days} new days, {spent_days} of them after a user had spent the last"
        )
    }
}

fn numbers(text: &str) -> Result<Vec<u32>> {
    text.split(' ')
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().with_context(|| format!("no number: `{word}`")))
        .collect()
}

const USERS: usize = 3;
/// The image's daily limit.
const LIMIT: u32 = 100;
/// The permits that it reserves ahead.
const RESERVE: u32 = 10;
const DAY_MS: i64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn after(lives: &[&str]) -> Result<Account> {
        let mut account = Account::new(86_400 * 20_000);
        for said in lives {
            account.take(said)?;
        }
        Ok(account)
    }

    #[track_caller]
    fn assert_refused(lives: &[&str], words: &str) {
        let error = format!("{:#}", after(lives).unwrap_err());
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn counts_what_is_handed_out_and_what_a_cut_costs() {
        let account = after(&[
            "blank\nw\n+ 0 5\n+ 0 9\n+ 1 ",
            "restored 0 10 0 10\n+ 0 7\n",
            "",
        ])
        .unwrap();
        assert_eq!((account.permits, account.lost), (3, 18));
        assert_eq!((account.worst_cut, account.used), (10, [11, 0, 10]));
    }

    #[test]
    fn refuses_a_start_before_the_last_count_or_beyond_the_reserve() {
        assert_refused(&["blank\nw\n+ 0 5\n", "restored 0 0 0 0\n"], "resumes at 0");
        assert_refused(
            &["blank\nw\n+ 0 5\n", "restored 0 12 0 0\n"],
            "cost user 0 11",
        );
        assert_refused(&["blank\nw\n", "lost\n"], "none is found");
        assert!(after(&["blank\n", "lost\n"]).is_ok());
    }

    #[test]
    fn refuses_more_than_the_limit_in_a_day() {
        let day = format!("blank\nw\n{}", "+ 2 5\n".repeat(100));
        assert!(after(&[&day]).is_ok());
        assert_refused(&[&format!("{day}+ 2 5\n")], "101 permits");
    }

    #[test]
    fn refuses_a_day_too_early_too_far_or_taken_back() {
        assert!(after(&["blank\nd 1 86400000\n+ 0 86400000\n"]).is_ok());
        assert_refused(&["blank\nd 1 86399999\n"], "1 new accounting days in 0");
        assert_refused(&["blank\nd 2 86400000\n"], "from accounting day 0 to 2");
        let day = "blank\nw\nd 1 86400000\nw\n+ 0 86400000\n";
        assert_refused(&[day, "restored 0 10 0 0\n"], "is forgotten");
        let told = "blank\nw\n+ 0 5\nd 1 86400000\n";
        assert_eq!(
            after(&[told, "restored 0 10 0 0\n"]).unwrap().used,
            [10, 0, 0]
        );
        assert_refused(&[told, "restored 0 0 0 0\n"], "resumes at 0");
        assert_refused(&["blank\nw\n", "restored 1 0 0 0\n"], "was not told");
    }

    #[test]
    fn refuses_words_that_it_does_not_know() {
        assert_refused(&["hello\n"], "no start");
        assert_refused(&["blank\n- 0 5\n"], "the device said");
        assert_refused(&["blank\n+ 3 5\n"], "no user 3");
    }
}

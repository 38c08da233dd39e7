//! A snapshot in steps, for a limiter that interrupts share.

use super::LimiterIn;
use super::rows::{TokenRow, UserRow};
use crate::math;
use crate::snapshot::{EncodeError, SnapshotWriter};
use crate::time::Instant;

impl<T, U> LimiterIn<T, U>
where
    T: AsRef<[TokenRow]> + AsMut<[TokenRow]>,
    U: AsRef<[UserRow]> + AsMut<[UserRow]>,
{
    /// Copies the next [`SnapshotWriter::ROWS_A_STEP`] rows into an image, or at last its header;
    /// returns whether that was all. [`SnapshotWriter::finish`] then completes the image.
    ///
    /// [`LimiterIn::snapshot`] does all of it in one call, for which interrupts may be held off too
    /// long. The users come first, then the tokens, the calendar last. Anything may be done between
    /// two steps, and the image is still one that a restart can take:
    ///
    /// - Each user's record is exact as of the step that copied it. Users do not depend on each
    ///   other; permits that are handed out after the copy are lost to the image, as they are after
    ///   [`LimiterIn::snapshot`]. A user that moved to a row further on has two records, of which a
    ///   restore takes the greater.
    /// - A new accounting day begins the image anew, since the counts are of one day. A clock can do
    ///   that twice, and then once in 23 h (D10b).
    /// - A registration or a revocation may move rows of tokens, and begins the tokens' part anew.
    ///   After [`SnapshotWriter::MOST_RESTARTS`] of them one step copies all tokens.
    /// - A block's time left is as of its step, so it may end later by what the steps took.
    ///
    /// *O*(1); does not allocate.
    ///
    /// # Errors
    ///
    /// [`EncodeError::BufferTooSmall`]; nothing is written.
    pub fn snapshot_step(
        &self,
        writer: &mut SnapshotWriter<'_>,
        now: Instant,
    ) -> Result<bool, EncodeError> {
        if writer.is_written() {
            return Ok(true);
        }
        let now = self.line.peek(now);
        let header = self.header(0, 0, now);
        let (refills, changes) = (header.calendar.refills, self.tokens.changes());
        if writer.begin(header.tokens, header.users)? || writer.refills != refills {
            writer.refills = refills;
            writer.user = 0;
            writer.forget_tokens(changes);
        }
        if writer.user < header.users {
            let skip = math::to_index(writer.user);
            for row in self.users.rows().iter().skip(skip).take(ROWS) {
                writer.put_user(self.record(row).or_empty());
            }
            return Ok(false);
        }
        let mut all = false;
        if writer.changes != changes {
            writer.forget_tokens(changes);
            all = !writer.may_restart();
        }
        if writer.token < header.tokens {
            let rows = if all { usize::MAX } else { ROWS };
            let skip = math::to_index(writer.token);
            for row in self.tokens.rows::<TokenRow>().iter().skip(skip).take(rows) {
                writer.token = writer.token.wrapping_add(1);
                if let Some(block) = row.block(&self.policy, now) {
                    writer.put_block(header.users, block);
                }
            }
            if !all {
                return Ok(false);
            }
        }
        writer.put_header(header);
        Ok(true)
    }
}

const ROWS: usize = SnapshotWriter::ROWS_A_STEP;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::OffTime;
    use crate::limiter::Limiter;
    use crate::policy::{Plan, Policy};
    use crate::request::{Kind, Method, Registration, Request};
    use crate::snapshot;
    use crate::time::{Now, UnixTime};
    use crate::token::{HashKey, TokenId, UserId};
    use core::time::Duration;
    use std::vec::Vec;

    type Sample = Limiter<40, 20>;
    const SIZE: usize = snapshot::size(40, 20);
    const DAY: u64 = 20_000;
    const SECOND: Duration = Duration::from_secs(1);

    fn key() -> HashKey {
        HashKey::new(*b"provisioned once")
    }

    fn at(millis: u64, day: u64) -> Now {
        Now::new(
            Instant::from_millis(1_000_000 + millis),
            UnixTime::from_secs(day * 86_400),
        )
    }

    fn token(number: u32) -> TokenId {
        TokenId::from_u32(number)
    }

    fn register(limiter: &mut Sample, number: u32, now: Now) {
        let user = UserId::from_u32(number % 20);
        let terms = Registration::new(user, Kind::ApiToken, Plan::ADVANCED);
        limiter.register(token(number), terms, now).unwrap();
    }

    fn write(limiter: &mut Sample, number: u32, now: Now) {
        let _ = limiter.check(&Request::new(token(number), Method::Post), now);
    }

    /// 30 tokens; each has used permits of its user's day, every third is blocked.
    fn used() -> Sample {
        let policy = Policy::builder()
            .window(SECOND * 2)
            .plan(Plan::ADVANCED, 4, 4)
            .daily_limit(1_000)
            .block(1, SECOND * 60, SECOND * 300)
            .build()
            .unwrap();
        let mut limiter = Sample::new(policy);
        for number in 0..30 {
            register(&mut limiter, number, at(0, DAY));
            let writes = if number % 3 == 0 { 5 } else { 1 + number % 4 };
            for _ in 0..writes {
                write(&mut limiter, number, at(1, DAY));
            }
        }
        limiter
    }

    fn all_steps(limiter: &Sample, writer: &mut SnapshotWriter<'_>, now: Now) -> usize {
        let mut steps = 1;
        while !limiter.snapshot_step(writer, now.monotonic()).unwrap() {
            steps += 1;
        }
        steps
    }

    /// Blocked tokens, after a restart from the image.
    fn blocked_after(image: &[u8]) -> Vec<u32> {
        let mut limiter = Sample::new(*used().policy());
        let now = at(0, DAY);
        limiter
            .restore(&key(), image, OffTime::default(), now.monotonic())
            .unwrap();
        let is_blocked = |&number: &u32| {
            register(&mut limiter, number, now);
            let decision = limiter.check(&Request::new(token(number), Method::Get), now);
            decision.reason() == Some(crate::Reason::Blocked)
        };
        (0..30).filter(is_blocked).collect()
    }

    #[test]
    fn steps_write_the_image_that_one_call_writes() {
        let (limiter, now) = (used(), at(2, DAY));
        let mut at_once = [7; SIZE];
        limiter
            .snapshot(&key(), 9, &mut at_once, now.monotonic())
            .unwrap();
        let mut image = [1; SIZE];
        let mut writer = SnapshotWriter::new(&key(), 9, &mut image);
        // 3 for the users, 5 for the tokens, 1 for the header.
        assert_eq!(all_steps(&limiter, &mut writer, now), 9);
        assert_eq!(writer.finish(), Some(SIZE));
        assert_eq!(image, at_once);
    }

    #[test]
    fn a_buffer_too_small_or_a_missing_step_gives_no_image() {
        let limiter = used();
        let mut short = [0; SIZE - 1];
        let mut writer = SnapshotWriter::new(&key(), 1, &mut short);
        let step = limiter.snapshot_step(&mut writer, Instant::ZERO);
        assert_eq!(step, Err(EncodeError::BufferTooSmall { needed: SIZE }));
        assert_eq!(writer.finish(), None);

        let mut image = [0; SIZE];
        limiter
            .snapshot(&key(), 1, &mut image, Instant::ZERO)
            .unwrap();
        let mut writer = SnapshotWriter::new(&key(), 2, &mut image);
        assert_eq!(limiter.snapshot_step(&mut writer, Instant::ZERO), Ok(false));
        assert_eq!(writer.finish(), None);
        assert!(snapshot::Image::verify(&image, &key()).is_err());
    }

    #[test]
    fn a_new_day_between_two_steps_leaves_no_count_of_the_old_one() {
        for before in 1..9 {
            let mut limiter = used();
            let mut image = [0; SIZE];
            let mut writer = SnapshotWriter::new(&key(), 1, &mut image);
            for _ in 0..before {
                let done = limiter.snapshot_step(&mut writer, at(2, DAY).monotonic());
                assert_eq!(done, Ok(false));
            }
            // The first write of the next day.
            write(&mut limiter, 1, at(3_000, DAY + 1));
            all_steps(&limiter, &mut writer, at(3_001, DAY + 1));
            assert_eq!(writer.finish(), Some(SIZE));
            let image = snapshot::Image::verify(&image, &key()).unwrap();
            let used: Vec<u32> = image.users().map(|user| user.used).collect();
            assert_eq!(used, [1], "after {before} steps");
        }
    }

    #[test]
    fn rows_that_move_between_two_steps_lose_no_block() {
        let blocked: Vec<u32> = (0..30).filter(|number| number % 3 == 0).collect();
        for before in 3..9 {
            for arrival in 100..130 {
                let mut limiter = used();
                let mut image = [0; SIZE];
                let mut writer = SnapshotWriter::new(&key(), 1, &mut image);
                for _ in 0..before {
                    let done = limiter.snapshot_step(&mut writer, at(2, DAY).monotonic());
                    assert_eq!(done, Ok(false));
                }
                // Ten fill the table, one more takes the row of an idle token.
                for number in arrival..arrival + 11 {
                    register(&mut limiter, number, at(5_000, DAY));
                }
                all_steps(&limiter, &mut writer, at(5_001, DAY));
                assert_eq!(writer.finish(), Some(SIZE));
                assert_eq!(blocked_after(&image), blocked);
            }
        }
    }

    #[test]
    fn registrations_between_all_steps_do_not_keep_a_snapshot_from_its_end() {
        let mut limiter = used();
        let mut image = [0; SIZE];
        let mut writer = SnapshotWriter::new(&key(), 1, &mut image);
        let now = at(5_000, DAY);
        let mut steps = 1;
        while !limiter.snapshot_step(&mut writer, now.monotonic()).unwrap() {
            register(&mut limiter, 1_000 + steps, now);
            steps += 1;
        }
        // 3 for the users, one each for 3 restarts, and one that copies all.
        assert_eq!((steps, writer.finish()), (7, Some(SIZE)));
        assert_eq!(blocked_after(&image).len(), 10);
    }
}

//! The thread that writes: one image at a time, for all who wait.

use super::directory::Storage;
use super::durable::Shared;
use limiter_core::OnFailedWrite;
use limiter_core::snapshot::{self, Header};
use std::io;

/// Writes whenever that is due, and once more at the end: that image is exact.
pub(super) fn run(shared: &Shared, storage: &mut impl Storage) -> io::Result<()> {
    let mut was_well = true;
    loop {
        let closing = {
            let mut state = shared.lock();
            while !state.due && !state.closing {
                state = shared.wait_for_work(state);
            }
            state.due = false;
            state.begun += 1;
            if state.closing {
                state.close();
            }
            state.closing
        };
        let result = write(shared, storage);
        if result.is_ok() != was_well {
            (shared.options.report)(result.as_ref().copied());
        }
        was_well = result.is_ok();
        if closing {
            // In both generations, if the last one was not of all that was handed out.
            let again = result.is_ok() && std::mem::take(&mut shared.lock().due);
            let result = if again {
                write(shared, storage)
            } else {
                result
            };
            wake(shared);
            return result;
        }
    }
}

/// Writes an image, and takes note of how it went.
fn write(shared: &Shared, storage: &mut impl Storage) -> io::Result<()> {
    let (limiter, options) = (&shared.limiter, &shared.options);
    // Without a clock an image cannot be made, as if it could not be stored.
    let now = shared.clock.now().map_err(io::Error::other);
    let now = now.inspect_err(|error| fail(shared, error))?;
    let policy = *limiter.policy();
    let rows = limiter.image_rows(now.monotonic());
    let refills = rows.calendar.refills();
    let (number, records) = {
        let state = shared.lock();
        // A write that failed takes no number: only the first image ever is number 1.
        let number = state.number + 1;
        let users = rows.users.iter().enumerate();
        let records =
            users.map(|(place, user)| state.draft(place, user, refills, &policy, options));
        (number, records.collect::<Vec<_>>())
    };
    let (tokens, users) = limiter.capacity();
    let mut image = vec![0; snapshot::size(tokens, users)];
    let [tokens, users] = [tokens, users].map(|rows| u32::try_from(rows).unwrap_or(u32::MAX));
    let header = Header {
        tokens,
        users,
        key_check: shared.key.check_value(),
        number,
        calendar: rows.calendar.save(rows.at),
    };
    let blocks = rows.blocks.into_iter();
    snapshot::encode(&mut image, &header, records.iter().copied(), blocks)
        .map_err(io::Error::other)
        .and_then(|length| storage.store(number, &image[..length]))
        .inspect_err(|error| {
            if options.reserve.on_failed_write == OnFailedWrite::GoOn {
                let mut state = shared.lock();
                let risen = state.raise(&rows.users, &records, refills);
                state.stored_day = Some((rows.calendar.day(), refills));
                state.counts.unprotected_permits += risen;
                state.unprotected += risen;
            }
            fail(shared, error);
        })?;
    let mut state = shared.lock();
    state.counts.stored += 1;
    state.number = number;
    // What went out unprotected is in both generations before one alone is relied on.
    state.due |= state.unprotected > 0;
    state.ended = state.begun;
    (state.stored_at, state.error, state.unprotected) = (Some(now.monotonic()), None, 0);
    if !state.closed {
        state.stored_day = Some((rows.calendar.day(), refills));
        state.raise(&rows.users, &records, refills);
    }
    drop(state);
    wake(shared);
    Ok(())
}

fn fail(shared: &Shared, error: &io::Error) {
    let mut state = shared.lock();
    state.counts.failed += 1;
    (state.ended, state.failed) = (state.begun, state.begun);
    state.error = Some(error.to_string());
    drop(state);
    wake(shared);
}

/// Has all who wait look again.
fn wake(shared: &Shared) {
    let wakers = std::mem::take(&mut shared.lock().wakers);
    wakers.into_iter().for_each(std::task::Waker::wake);
}

//! The day's writes: spent, spread, kept, and refilled at the service's midnight.

use super::*;

const DAY: u64 = 86_400_000;
const NOON: u64 = DAY / 2;

fn land<const N: usize>(pacer: &mut Pacer<N>, left: u32, now: Now) {
    let ticket = go(pacer, write(), now);
    pacer.on_response(ticket, &daily(left), now);
}

#[test]
fn sends_a_first_write_alone_to_learn_what_is_left() {
    let mut pacer = Pacer::<8>::new(known_limits());
    let first = go(&mut pacer, write(), utc_at(0));
    assert_eq!(wait(&mut pacer, write(), utc_at(0)), 125);
    let _ = go(&mut pacer, read(), utc_at(0));
    pacer.on_response(first, &daily(7), utc_at(50));
    let _ = go(&mut pacer, write(), utc_at(50));
    assert_eq!(pacer.status().daily_left, Some(6));
}

#[test]
fn learns_nothing_of_the_day_from_an_error_of_the_service() {
    let mut pacer = Pacer::<8>::new(known_limits());
    let first = go(&mut pacer, write(), utc_at(0));
    pacer.on_response(first, &ResponseInfo::bare(502), utc_at(50));
    let _ = go(&mut pacer, write(), utc_at(50));
    assert_eq!(
        wait(&mut pacer, write(), utc_at(50)),
        125,
        "still one by one"
    );
    let served = go(&mut pacer, read(), utc_at(50));
    pacer.on_response(served, &counted(1, 2_000), utc_at(60));
    wait(&mut pacer, write(), utc_at(60));
}

#[test]
fn paces_writes_by_the_window_alone_where_the_service_has_no_day() {
    let mut pacer = Pacer::<8>::new(known_limits());
    let first = go(&mut pacer, write(), utc_at(0));
    pacer.on_response(first, &counted(1, 2_000), utc_at(50));
    let _ = go(&mut pacer, write(), utc_at(50));
    let _ = go(&mut pacer, write(), utc_at(50));
    assert_eq!(pacer.status().daily_left, None);
}

#[test]
fn stops_writes_at_the_last_one_and_lets_reads_go_on() {
    let mut pacer = Pacer::<8>::new(known_limits());
    land(&mut pacer, 1, utc_at(0));
    let last = go(&mut pacer, write(), utc_at(0));
    wait(&mut pacer, write(), utc_at(0));
    pacer.on_response(last, &daily(0), utc_at(40));
    let stopped = stop(&mut pacer, write(), utc_at(1_000));
    assert_eq!(stopped.reason, StopReason::DailySpent);
    let _ = go(&mut pacer, read(), utc_at(1_000));
}

#[test]
fn goes_on_at_utc_midnight_and_the_possible_skew_with_one_write() {
    let mut pacer = Pacer::<8>::new(known_limits().with_utc_skew(3_000));
    land(&mut pacer, 0, utc_at(DAY - 60_000));
    let stopped = stop(&mut pacer, write(), utc_at(DAY - 60_000));
    assert_eq!(stopped.retry_ms, Some(63_000));
    stop(&mut pacer, write(), utc_at(DAY + 2_999));
    let _ = go(&mut pacer, write(), utc_at(DAY + 3_000));
    wait(&mut pacer, write(), utc_at(DAY + 3_000));
}

#[test]
fn goes_by_the_services_own_date_where_it_is_told() {
    let mut pacer = Pacer::<8>::new(known_limits());
    let ticket = go(&mut pacer, write(), at(5_000));
    let answer = ResponseInfo {
        date: UnixTime::from_secs(UTC + 86_400 - 60),
        ..daily(0)
    };
    pacer.on_response(ticket, &answer, at(5_000));
    let stopped = stop(&mut pacer, write(), at(5_000));
    assert_eq!(stopped.retry_ms, Some(60_000), "UTC is unknown");
    stop(&mut pacer, write(), at(64_999));
    let _ = go(&mut pacer, write(), at(65_000));
}

#[test]
fn takes_the_day_to_be_over_after_24_hours_where_no_utc_is_known() {
    let mut pacer = Pacer::<8>::new(known_limits().with_utc_skew(0));
    land(&mut pacer, 0, at(500));
    assert_eq!(
        stop(&mut pacer, write(), at(500)).retry_ms,
        Some(86_400_000)
    );
    stop(&mut pacer, write(), at(DAY + 499));
    let _ = go(&mut pacer, write(), at(DAY + 500));
}

#[test]
fn takes_a_larger_number_for_a_new_day_only_in_an_answer_to_a_later_request() {
    let mut pacer = Pacer::<8>::new(known_limits());
    land(&mut pacer, 100, at(0));
    let slow = go(&mut pacer, write(), at(10));
    let fast = go(&mut pacer, write(), at(20));
    pacer.on_response(fast, &daily(98), at(30));
    pacer.on_response(slow, &daily(99), at(40));
    assert_eq!(
        pacer.status().daily_left,
        Some(98),
        "answers overtook each other"
    );

    let late = go(&mut pacer, write(), at(50));
    land(&mut pacer, 9_999, at(60));
    assert_eq!(
        pacer.status().daily_left,
        Some(9_998),
        "a new day, one under way"
    );
    pacer.on_response(late, &daily(97), at(70));
    assert_eq!(
        pacer.status().daily_left,
        Some(9_998),
        "of the day before, or charged"
    );
}

#[test]
fn counts_a_write_that_got_no_answer_as_charged() {
    let mut pacer = Pacer::<8>::new(known_limits().with_lost_after(1_000));
    land(&mut pacer, 5, at(0));
    let _ = go(&mut pacer, write(), at(0));
    assert_eq!(pacer.status().daily_left, Some(4));
    let _ = go(&mut pacer, read(), at(10_000));
    assert_eq!(pacer.status().daily_left, Some(4));
}

#[test]
fn leaves_the_users_other_programs_their_share() {
    let mut pacer = Pacer::<8>::new(known_limits().reserve_daily_for_others(50));
    land(&mut pacer, 51, utc_at(0));
    land(&mut pacer, 50, utc_at(10));
    assert_eq!(
        stop(&mut pacer, write(), utc_at(20)).reason,
        StopReason::DailySpent
    );
}

#[test]
fn keeps_the_last_writes_for_the_urgent() {
    let policy = known_limits().with_daily_spending(DailySpending::Keep(10));
    let mut pacer = Pacer::<8>::new(policy);
    land(&mut pacer, 10, utc_at(0));
    assert_eq!(
        stop(&mut pacer, write(), utc_at(10)).reason,
        StopReason::DailyKept
    );
    let _ = go(
        &mut pacer,
        write().with_priority(Priority::High),
        utc_at(10),
    );
}

#[test]
fn spreads_the_remaining_writes_over_the_rest_of_the_day() {
    let policy = known_limits()
        .with_daily_spending(DailySpending::Even)
        .with_utc_skew(0);
    let mut pacer = Pacer::<8>::new(policy);
    // 12 hours are left for 100 writes: 432 s each.
    land(&mut pacer, 100, utc_at(NOON));
    assert_eq!(wait(&mut pacer, write(), utc_at(NOON)), 432_000);
    let _ = go(&mut pacer, read(), utc_at(NOON));
    let mut now = NOON;
    let mut left = 100;
    let mut sent = 0;
    while now < DAY - 1 && left > 0 {
        match pacer.poll_send(write(), utc_at(now)) {
            SendDecision::Go(ticket) => {
                left -= 1;
                sent += 1;
                pacer.on_response(ticket, &daily(left), utc_at(now));
            }
            SendDecision::Wait(millis) => now += u64::from(millis),
            SendDecision::Stop(stop) => panic!("{stop:?}"),
        }
    }
    assert!((98..=100).contains(&sent), "{sent}");
}

#[test]
fn lets_writes_go_before_reads_when_few_are_left_of_the_day() {
    let mut pacer = Pacer::<32>::new(known_limits());
    land(&mut pacer, 1_250, utc_at(NOON));
    spend(&mut pacer, 19, 1, utc_at(NOON));
    wait(&mut pacer, write(), utc_at(NOON));
    assert_eq!(wait(&mut pacer, read(), utc_at(NOON + 2_001)), 10);
    let _ = go(&mut pacer, write(), utc_at(NOON + 2_001));
    let _ = go(&mut pacer, read(), utc_at(NOON + 2_001));

    let mut many = Pacer::<32>::new(known_limits());
    land(&mut many, 9_000, utc_at(NOON));
    spend(&mut many, 19, 1, utc_at(NOON));
    wait(&mut many, write(), utc_at(NOON));
    let _ = go(&mut many, read(), utc_at(NOON + 2_001));
}

#[test]
fn lets_no_waiting_write_of_a_spent_day_hold_up_reads() {
    let mut pacer = Pacer::<8>::new(known_limits());
    land(&mut pacer, 0, utc_at(0));
    for _ in 0..5 {
        stop(&mut pacer, write().with_priority(Priority::High), utc_at(1));
    }
    let _ = go(&mut pacer, read(), utc_at(1));
}

//! Any answers at any times: bounded, and always some way on.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    SendRequest {
        write: bool,
        cost: u32,
        priority: u8,
    },
    ResponseInfo {
        nth: usize,
        answer: ResponseInfo,
    },
    Cancel {
        nth: usize,
    },
    Time {
        millis: u64,
    },
}

fn answers() -> impl Strategy<Value = ResponseInfo> {
    let number = || proptest::option::of(prop_oneof![0_u32..50, any::<u32>()]);
    let time = || proptest::option::of(0_u32..=86_400_000);
    (
        proptest::sample::select(std::vec![200_u16, 201, 403, 404, 429, 500, 503]),
        (number(), number(), number()),
        (time(), time(), time()),
        proptest::option::of(0_u64..1 << 39),
    )
        .prop_map(|(status, numbers, times, date)| ResponseInfo {
            limit: numbers
                .0
                .filter(|&limit| limit > 0)
                .map(|limit| limit.min(1_048_575)),
            remaining: numbers.1,
            daily_left: numbers.2,
            reset_ms: times.0,
            window_ms: times.1.filter(|&window| window > 0),
            retry_after_ms: times.2,
            date: date.and_then(UnixTime::from_secs),
            ..ResponseInfo::bare(status)
        })
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<bool>(), 1_u32..4, 0_u8..3)
            .prop_map(|(write, cost, priority)| Step::SendRequest { write, cost, priority }),
        4 => (any::<usize>(), answers()).prop_map(|(nth, answer)| Step::ResponseInfo { nth, answer }),
        1 => any::<usize>().prop_map(|nth| Step::Cancel { nth }),
        2 => prop_oneof![0_u64..5_000, any::<u64>()].prop_map(|millis| Step::Time { millis }),
    ]
}

proptest! {
    #[test]
    fn survives_any_answers_and_lets_a_read_go_within_its_longest_waits(
        steps in proptest::collection::vec(steps(), 0..200),
        learns: bool,
        spread in proptest::option::of(0_u32..5_000),
    ) {
        let policy = if learns { PacerPolicy::ADAPTIVE } else { known_limits() };
        let mut pacer = Pacer::<8>::new(policy.with_transit_spread(spread));
        let mut tickets = std::vec::Vec::new();
        let mut now = utc_at(0);
        for step in steps {
            match step {
                Step::SendRequest { write, cost, priority } => {
                    let method = if write { Method::Post } else { Method::Get };
                    let request = SendRequest::new(method)
                        .with_cost(NonZeroU32::new(cost).unwrap())
                        .with_priority([Priority::Low, Priority::Normal, Priority::High][usize::from(priority)]);
                    match pacer.poll_send(request, now) {
                        SendDecision::Go(ticket) => tickets.push(ticket),
                        SendDecision::Wait(millis) => prop_assert!((1..=LONGEST_WAIT_MS).contains(&millis)),
                        SendDecision::Stop(stop) => prop_assert!(stop.retry_ms.is_none_or(|ms| ms <= 108_000_000)),
                    }
                }
                Step::ResponseInfo { nth, answer } if !tickets.is_empty() => {
                    let ticket = tickets.remove(nth % tickets.len());
                    pacer.on_response(ticket, &answer, now);
                }
                Step::Cancel { nth } if !tickets.is_empty() => {
                    pacer.cancel(tickets.remove(nth % tickets.len()));
                }
                Step::Time { millis } => now = utc_at(if millis < 5_000 {
                    now.monotonic().as_millis() + millis
                } else {
                    millis >> 22
                }),
                Step::ResponseInfo { .. } | Step::Cancel { .. } => {}
            }
            prop_assert!(pacer.status().in_flight <= 8);
        }
        // However it was treated, it sends again: a read waits for the gate, a denial and the
        // permits of what was lost, each a bounded time.
        let mut waited = 0_u64;
        let went = loop {
            match pacer.poll_send(read(), now) {
                SendDecision::Go(_) => break true,
                SendDecision::Wait(millis) => {
                    waited += u64::from(millis);
                    now = Now::new(now.monotonic().saturating_add(u64::from(millis)), None);
                }
                SendDecision::Stop(stop) => {
                    let millis = stop.retry_ms.unwrap_or(u32::MAX);
                    waited += u64::from(millis);
                    now = Now::new(now.monotonic().saturating_add(u64::from(millis)), None);
                }
            }
            if waited > 5 * 86_400_000 || now.monotonic() == Instant::MAX {
                break false;
            }
        };
        prop_assert!(went || now.monotonic() == Instant::MAX, "waited {waited} ms");
    }
}

/// Two of the longest windows, and what a lost request holds beyond them.
const LONGEST_WAIT_MS: u32 = 2 * 86_400_000 + 40_000;

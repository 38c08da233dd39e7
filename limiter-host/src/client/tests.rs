//! Clients against this project's own limiter, in tokio's paused time: hours pass in a moment.

mod blocking;
#[cfg(any(feature = "tracing", feature = "metrics"))]
mod observe;
#[cfg(feature = "client-reqwest")]
mod reqwest;

use super::*;
use crate::clock::SharedClock;
use http::{Method, Request, Response};
use limiter_core::http::{Style, headers};
use limiter_core::{HashKey, Instant, Kind, Limiter, Plan, Policy, Registration, UnixTime};
use limiter_pacer::{PacerPolicy, Priority, StopReason};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::{Layer, Service, ServiceExt, service_fn};

const UTC: u64 = 1_795_521_600; // 2026-11-24T12:00:00Z

/// A clock that goes with tokio's.
fn tokio_clock() -> SharedClock {
    let start = tokio::time::Instant::now();
    SharedClock::from_fn(move || {
        let millis = u64::try_from(start.elapsed().as_millis()).unwrap();
        Ok(Now::new(
            Instant::from_millis(millis),
            UnixTime::from_secs(UTC + millis / 1_000),
        ))
    })
}

fn known_limits(plan: Plan) -> PacerPolicy {
    PacerPolicy::of(&Policy::pipedrive(), plan, Kind::ApiToken).unwrap()
}

/// The responses of the preset's limiter to one token's requests, and all statuses.
#[derive(Clone)]
struct Remote {
    limiter: Arc<Mutex<Limiter<2, 2>>>,
    statuses: Arc<Mutex<Vec<u16>>>,
}

impl Remote {
    fn new(plan: Plan) -> Self {
        let key = HashKey::new([3; 16]);
        let mut limiter = Limiter::new(Policy::pipedrive());
        let martin = Registration::new(key.user(b"martin"), Kind::ApiToken, plan);
        let now = Now::new(Instant::ZERO, None);
        limiter.register(key.token(b"a"), martin, now).unwrap();
        Self {
            limiter: Arc::new(Mutex::new(limiter)),
            statuses: Arc::default(),
        }
    }

    fn serve(&self, method: &Method, now: Now) -> Response<()> {
        let token = HashKey::new([3; 16]).token(b"a");
        let method = limiter_core::Method::from_name(method.as_str());
        let mut limiter = self.limiter.lock().unwrap();
        let decision = limiter.check(&limiter_core::Request::new(token, method), now);
        let status = decision.status().unwrap_or(200);
        self.statuses.lock().unwrap().push(status);
        let mut response = Response::builder().status(status);
        for header in headers(&decision, limiter.policy(), Style::PAGE) {
            response = response.header(header.name, header.value.as_str());
        }
        response.body(()).unwrap()
    }

    fn refused(&self) -> usize {
        let statuses = self.statuses.lock().unwrap();
        statuses.iter().filter(|&&status| status != 200).count()
    }
}

/// A client to a remote that is 25 ms away.
fn client(
    remote: &Remote,
    clock: &SharedClock,
) -> impl Service<
    Request<()>,
    Response = Response<()>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<()>, Infallible>> + Send,
> + Clone
+ Send
+ 'static {
    let (remote, clock) = (remote.clone(), clock.clone());
    service_fn(move |request: Request<()>| {
        let (remote, clock) = (remote.clone(), clock.clone());
        async move {
            tokio::time::sleep(Duration::from_millis(25)).await;
            let response = remote.serve(request.method(), clock.now().unwrap());
            tokio::time::sleep(Duration::from_millis(25)).await;
            Ok(response)
        }
    })
}

/// A client whose answers are given, one after the other.
fn scripted(
    answers: &'static [(u16, Option<&'static str>)],
) -> impl Service<
    Request<()>,
    Response = Response<()>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<()>, Infallible>> + Send,
> + Clone
+ Send
+ 'static {
    let answers = Arc::new(Mutex::new(answers.iter()));
    service_fn(move |_: Request<()>| {
        let &(status, retry_after) = answers.lock().unwrap().next().expect("no more answers");
        async move {
            let mut response = Response::builder().status(status);
            if let Some(retry_after) = retry_after {
                response = response.header("retry-after", retry_after);
            }
            Ok(response.body(()).unwrap())
        }
    })
}

fn request(method: Method) -> Request<()> {
    Request::builder().method(method).uri("/").body(()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn sends_two_hundred_requests_of_thirty_tasks_without_a_refusal_as_fast_as_allowed() {
    let (remote, clock) = (Remote::new(Plan::ESSENTIAL), tokio_clock());
    let pacer = SharedPacer::new(known_limits(Plan::ESSENTIAL), clock.clone());
    let paced = PacerLayer::new(pacer).layer(client(&remote, &clock));
    let start = tokio::time::Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for nth in 0..30 {
        let mut paced = paced.clone();
        tasks.spawn(async move {
            for _ in 0..if nth < 20 { 7 } else { 6 } {
                let response = paced
                    .ready()
                    .await
                    .unwrap()
                    .call(request(Method::GET))
                    .await;
                assert_eq!(response.unwrap().status(), 200);
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(remote.statuses.lock().unwrap().len(), 200);
    assert_eq!(remote.refused(), 0);
    // 10 windows of 20, of which the last need not end.
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(18), "{took:?}");
    assert!(took <= Duration::from_millis(18_000 + 18 * 60), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn fails_at_once_where_the_wait_would_pass_the_deadline() {
    let (remote, clock) = (Remote::new(Plan::ESSENTIAL), tokio_clock());
    let pacer = SharedPacer::new(known_limits(Plan::ESSENTIAL), clock.clone());
    let mut paced = PacerLayer::new(pacer.clone()).layer(client(&remote, &clock));
    for _ in 0..20 {
        paced.call(request(Method::GET)).await.unwrap();
    }
    let before = tokio::time::Instant::now();
    let mut hasty = request(Method::GET);
    let soon = Pacing::new().within(Duration::from_millis(300));
    hasty.extensions_mut().insert(soon);
    let error = paced.call(hasty.clone()).await.unwrap_err();
    let CallError::Pace(PaceError::PastDeadline { wait }) = error else {
        panic!("{error:?}");
    };
    assert!(wait > Duration::from_millis(300), "{wait:?}");
    assert_eq!(tokio::time::Instant::now(), before, "at once");

    hasty.extensions_mut().insert(Pacing::new().within(wait));
    assert_eq!(paced.call(hasty).await.unwrap().status(), 200);
    assert_eq!(before.elapsed(), wait + Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn gives_the_place_up_when_a_wait_is_dropped() {
    let clock = tokio_clock();
    let pacer = SharedPacer::new(PacerPolicy::ADAPTIVE, clock);
    let first = pacer
        .acquire(limiter_core::Method::Get, Pacing::new())
        .await;
    let waiting = pacer.acquire(limiter_core::Method::Get, Pacing::new());
    let dropped = tokio::time::timeout(Duration::from_secs(1), waiting).await;
    assert!(dropped.is_err());
    assert_eq!(pacer.status().in_flight, 1, "only the first");
    drop(first);
    assert_eq!(pacer.status().held, 0, "it was never sent");
    let again = pacer
        .acquire(limiter_core::Method::Get, Pacing::new())
        .await;
    assert!(again.is_ok());
}

#[tokio::test(start_paused = true)]
async fn keeps_what_was_sent_and_not_answered_until_it_is_lost() {
    let policy = PacerPolicy::ADAPTIVE.with_lost_after(5_000);
    let pacer = SharedPacer::new(policy, tokio_clock());
    let method = limiter_core::Method::Get;
    let mut permit = pacer.acquire(method, Pacing::new()).await.unwrap();
    permit.sending();
    drop(permit);
    let start = tokio::time::Instant::now();
    let _next = pacer.acquire(method, Pacing::new()).await.unwrap();
    assert!(
        start.elapsed() >= Duration::from_millis(6_000),
        "and a window"
    );
}

#[tokio::test(start_paused = true)]
async fn is_woken_by_an_answer_before_its_time() {
    let pacer = SharedPacer::new(
        PacerPolicy::ADAPTIVE.with_silent_window(60_000),
        tokio_clock(),
    );
    let method = limiter_core::Method::Get;
    let mut permit = pacer.acquire(method, Pacing::new()).await.unwrap();
    permit.sending();
    let other = pacer.clone();
    let waiting = tokio::spawn(async move { other.acquire(method, Pacing::new()).await.map(drop) });
    tokio::time::sleep(Duration::from_millis(10)).await;
    let answered = tokio::time::Instant::now();
    permit.on_response(|_| {
        let mut answer = ResponseInfo::bare(200);
        (answer.limit, answer.remaining) = (Some(40), Some(39));
        answer.reset_ms = Some(2_000);
        answer
    });
    waiting.await.unwrap().unwrap();
    assert_eq!(answered.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn sends_a_429_again_once_the_gate_opens_and_a_503_only_where_it_may_be_twice() {
    let start = tokio::time::Instant::now();
    let layer = |pacer| PacerLayer::new(pacer).retries(3);
    let pacer = || SharedPacer::new(known_limits(Plan::ESSENTIAL), tokio_clock());

    let mut refused = layer(pacer()).layer(scripted(&[(429, Some("2")), (200, None)]));
    let response = refused.call(request(Method::POST)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(start.elapsed(), Duration::from_secs(2));

    let mut busy = layer(pacer()).layer(scripted(&[(503, Some("1")), (200, None)]));
    assert_eq!(busy.call(request(Method::PUT)).await.unwrap().status(), 200);
    let mut once = layer(pacer()).layer(scripted(&[(503, Some("1"))]));
    assert_eq!(
        once.call(request(Method::POST)).await.unwrap().status(),
        503
    );

    let mut never = PacerLayer::new(pacer()).layer(scripted(&[(429, Some("2"))]));
    assert_eq!(
        never.call(request(Method::GET)).await.unwrap().status(),
        429
    );
    let most = &[
        (429, Some("1")),
        (429, Some("1")),
        (429, Some("1")),
        (429, Some("1")),
    ];
    let mut always = layer(pacer()).layer(scripted(most));
    assert_eq!(
        always.call(request(Method::GET)).await.unwrap().status(),
        429
    );
}

#[tokio::test(start_paused = true)]
async fn returns_the_services_refusal_where_it_cannot_be_sent_again_in_time() {
    let pacer = SharedPacer::new(known_limits(Plan::ESSENTIAL), tokio_clock());
    let pacing = Pacing::new().within(Duration::from_secs(1));
    let layer = PacerLayer::new(pacer).pacing(pacing).retries(3);
    let mut paced = layer.layer(scripted(&[(429, Some("2"))]));
    assert_eq!(
        paced.call(request(Method::GET)).await.unwrap().status(),
        429
    );
}

#[tokio::test(start_paused = true)]
async fn stops_after_a_403_until_a_person_lifts_it() {
    let pacer = SharedPacer::new(known_limits(Plan::ESSENTIAL), tokio_clock());
    let layer = PacerLayer::new(pacer.clone()).retries(3);
    let mut paced = layer.layer(scripted(&[(403, None), (200, None)]));
    let denied = paced.call(request(Method::GET)).await.unwrap();
    assert_eq!(denied.status(), 403, "never sent again");
    let error = paced.call(request(Method::GET)).await.unwrap_err();
    let CallError::Pace(error) = error;
    assert!(error.is_denied());
    assert!(
        error
            .to_string()
            .starts_with("the service denied access; request again in 3")
    );
    assert!(pacer.denial().unwrap().unacknowledged);
    pacer.acknowledge_denial();
    assert!(!pacer.denial().unwrap().unacknowledged);
    pacer.lift_denial();
    assert_eq!(
        paced.call(request(Method::GET)).await.unwrap().status(),
        200
    );
}

#[tokio::test(start_paused = true)]
async fn stops_writes_of_a_spent_day_and_lets_reads_go_on() {
    let (remote, clock) = (Remote::new(Plan::ENTERPRISE), tokio_clock());
    let pacer = SharedPacer::new(
        known_limits(Plan::ENTERPRISE).reserve_daily_for_others(9_995),
        clock.clone(),
    );
    let mut paced = PacerLayer::new(pacer).layer(client(&remote, &clock));
    for _ in 0..5 {
        paced.call(request(Method::POST)).await.unwrap();
    }
    let error = paced.call(request(Method::POST)).await.unwrap_err();
    let CallError::Pace(PaceError::Stopped(stop)) = error else {
        panic!("{error:?}");
    };
    assert_eq!(stop.reason, StopReason::DailySpent);
    assert!(stop.retry_ms.is_some_and(|millis| millis > 11 * 3_600_000));
    paced.call(request(Method::GET)).await.unwrap();
    assert_eq!(remote.refused(), 0);
}

#[tokio::test(start_paused = true)]
async fn lets_the_urgent_go_before_those_who_came_earlier() {
    let (remote, clock) = (Remote::new(Plan::ESSENTIAL), tokio_clock());
    let pacer = SharedPacer::new(known_limits(Plan::ESSENTIAL), clock.clone());
    let paced = PacerLayer::new(pacer).layer(client(&remote, &clock));
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for nth in 0..30 {
        let (mut paced, order) = (paced.clone(), order.clone());
        tasks.spawn(async move {
            let mut request = request(Method::GET);
            if nth == 29 {
                let urgent = Pacing::new().priority(Priority::High);
                request.extensions_mut().insert(urgent);
            }
            paced.ready().await.unwrap().call(request).await.unwrap();
            order.lock().unwrap().push(nth);
        });
        tokio::task::yield_now().await;
    }
    tasks.join_all().await;
    let order = order.lock().unwrap();
    let place = order.iter().position(|&nth| nth == 29).unwrap();
    assert_eq!(place, 20, "the first of the second window: {order:?}");
    assert_eq!(remote.refused(), 0);
}

#[test]
fn says_in_words_why_nothing_was_sent() {
    let late = PaceError::PastDeadline {
        wait: Duration::from_millis(1_500),
    };
    assert_eq!(
        late.to_string(),
        "the wait of 1500 ms would pass the deadline"
    );
    let call: CallError<Infallible> = late.into();
    assert_eq!(
        call.to_string(),
        "the request was not sent: the wait of 1500 ms would pass the deadline"
    );
    let clock = PaceError::Clock(limiter_core::clock::ClockError::Failed);
    assert_eq!(clock.to_string(), "the clock could not be read");
}

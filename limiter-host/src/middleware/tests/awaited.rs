//! A limiter that makes the layer wait: the same answers, later.

use super::*;
use crate::awaited::{DecideAsync, Step};
use limiter_core::{Decision, Outage};
use std::future::Future;
use std::sync::atomic::AtomicBool;
use tower_service::Service;

/// Decides and gives back when its gates are open.
struct Remote {
    limiter: Arc<Locked>,
    decides: Arc<AtomicBool>,
    gives_back: Arc<AtomicBool>,
}

type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Does the work once the gate is open.
fn behind<T>(gate: &Arc<AtomicBool>, work: impl FnOnce() -> T + Send + 'static) -> Later<T> {
    let (gate, mut work) = (Arc::clone(gate), Some(work));
    Box::pin(poll_fn(move |_| {
        if gate.load(Ordering::Relaxed) {
            Poll::Ready(work.take().unwrap()())
        } else {
            Poll::Pending
        }
    }))
}

impl DecideAsync for Remote {
    type Decided = Decision;
    type Deciding = Later<Decision>;
    type GivingBack = Later<()>;

    fn decide(
        &self,
        request: &Request,
        credential: Option<&[u8]>,
        now: Now,
    ) -> Step<Decision, Later<Decision>> {
        let (limiter, request) = (Arc::clone(&self.limiter), *request);
        let id = credential.map(|shown| HashKey::new([7; 16]).token(shown));
        assert_eq!(id, request.token);
        Step::Awaits(behind(&self.decides, move || limiter.check(&request, now)))
    }

    fn refuse(&self, request: &Request, outage: Outage) -> Decision {
        self.limiter.refuse_for(request, outage)
    }

    fn give_back(&self, decided: Decision, now: Now) -> Step<(), Later<()>> {
        let limiter = Arc::clone(&self.limiter);
        Step::Awaits(behind(&self.gives_back, move || {
            limiter.refund(decided.into_receipt().unwrap(), now);
        }))
    }

    fn current_policy(&self) -> Policy {
        self.limiter.policy()
    }
}

/// A service of which each clone must have been ready before it is called.
struct Strict {
    inner: Inner,
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        let inner = self.inner.clone();
        Self {
            inner,
            ready: false,
        }
    }
}

impl Service<http::Request<Unread>> for Strict {
    type Response = Response<Text>;
    type Error = ServiceFailed;
    type Future = <Inner as Service<http::Request<Unread>>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ServiceFailed>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Unread>) -> Self::Future {
        assert!(self.ready, "called before it was ready");
        self.ready = false;
        self.inner.call(request)
    }
}

type Answered = Result<Response<LimitedBody<Text>>, ServiceFailed>;

/// The rig's service behind a remote limiter, and the gates.
struct Far {
    rig: Rig,
    service: Limited<Strict, Remote>,
    decides: Arc<AtomicBool>,
    gives_back: Arc<AtomicBool>,
}

impl Far {
    fn new(change: impl FnOnce(LimiterLayer<Remote>) -> LimiterLayer<Remote>) -> Self {
        let rig = Rig::new();
        let decides: Arc<AtomicBool> = Arc::default();
        let gives_back: Arc<AtomicBool> = Arc::default();
        let remote = Remote {
            limiter: Arc::clone(&rig.limiter),
            decides: Arc::clone(&decides),
            gives_back: Arc::clone(&gives_back),
        };
        let clock = rig.layer.settings.clock.clone();
        let layer = LimiterLayer::new(Arc::new(remote), HashKey::new([7; 16]), clock);
        let strict = Strict {
            inner: rig.inner.clone(),
            ready: false,
        };
        Self {
            service: change(layer).layer(strict),
            rig,
            decides,
            gives_back,
        }
    }

    fn call(&mut self) -> Pin<Box<impl Future<Output = Answered> + use<>>> {
        let request = http::Request::post("/").header("x-api-token", "a");
        assert!(now(poll_fn(|context| self.service.poll_ready(context))).is_ok());
        Box::pin(self.service.call(request.body(Unread).unwrap()))
    }
}

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    future.as_mut().poll(&mut context)
}

fn remaining(answer: &Response<LimitedBody<Text>>) -> &str {
    let header = answer.headers().get("x-ratelimit-remaining");
    header.map_or("-", |value| value.to_str().unwrap())
}

#[test]
fn calls_the_service_that_was_ready_when_the_decision_is_there() {
    let mut far = Far::new(|layer| layer);
    let (mut first, mut second) = (far.call(), far.call());
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    assert_eq!(far.rig.calls(), 0);
    far.decides.store(true, Ordering::Relaxed);
    let answers = [now(second).unwrap(), now(first).unwrap()];
    assert_eq!(answers.each_ref().map(remaining), ["39", "38"]);
    assert_eq!(far.rig.calls(), 2);
}

#[test]
fn refuses_later_as_it_would_at_once() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let mut far = Far::new(|layer| {
        layer.on_decision(move |event| {
            assert!(!event.passes);
            count.fetch_add(1, Ordering::Relaxed);
        })
    });
    far.rig.exhaust();
    let calls = far.rig.calls();
    let mut answer = far.call();
    assert!(poll(&mut answer).is_pending());
    assert_eq!(seen.load(Ordering::Relaxed), 0);
    far.decides.store(true, Ordering::Relaxed);
    let answer = now(answer).unwrap();
    assert_eq!((answer.status().as_u16(), remaining(&answer)), (429, "0"));
    assert_eq!((far.rig.calls(), seen.load(Ordering::Relaxed)), (calls, 1));
}

#[test]
fn refuses_a_grpc_call_later_as_it_would_at_once() {
    let mut far = Far::new(|layer| layer);
    far.rig.exhaust();
    far.decides.store(true, Ordering::Relaxed);
    let request = http::Request::post("/").header("x-api-token", "a");
    let request = request.header("content-type", "application/grpc");
    let request = request.body(Unread).unwrap();
    assert!(now(poll_fn(|context| far.service.poll_ready(context))).is_ok());
    let answer = now(far.service.call(request)).unwrap();
    assert_eq!((answer.status().as_u16(), remaining(&answer)), (200, "0"));
    assert_eq!(answer.headers()["grpc-status"], "8");
    assert!(answer.body().is_end_stream());
}

#[test]
fn a_shadow_waits_and_lets_pass() {
    let mut far = Far::new(|layer| layer.shadow(true));
    far.rig.exhaust();
    far.decides.store(true, Ordering::Relaxed);
    let answer = now(far.call()).unwrap();
    assert_eq!((answer.status().as_u16(), remaining(&answer)), (200, "0"));
}

#[test]
fn a_caller_who_hangs_up_while_it_waits_is_not_charged_by_a_limiter_that_charges_last() {
    let mut far = Far::new(|layer| layer);
    let mut answer = far.call();
    assert!(poll(&mut answer).is_pending());
    drop(answer);
    far.decides.store(true, Ordering::Relaxed);
    assert_eq!(far.rig.calls(), 0);
    assert_eq!(remaining(&now(far.call()).unwrap()), "39");
}

#[test]
fn answers_a_failure_when_its_permits_are_back() {
    let mut far = Far::new(|layer| layer.refund_on_5xx(true));
    far.decides.store(true, Ordering::Relaxed);
    for behaviour in [Behaviour::Answer(502), Behaviour::Fail] {
        far.gives_back.store(false, Ordering::Relaxed);
        far.rig.behave(behaviour);
        let mut answer = far.call();
        assert!(poll(&mut answer).is_pending());
        far.gives_back.store(true, Ordering::Relaxed);
        match (now(answer), behaviour) {
            (Ok(answer), Behaviour::Answer(502)) => assert_eq!(remaining(&answer), "39"),
            (Err(ServiceFailed), Behaviour::Fail) => {}
            (other, _) => panic!("{other:?}"),
        }
    }
    far.rig.behave(Behaviour::Answer(200));
    assert_eq!(remaining(&now(far.call()).unwrap()), "39");
}

#[test]
fn a_clock_that_fails_keeps_nobody_waiting() {
    let mut far = Far::new(|layer| layer);
    far.rig.set(BROKEN);
    assert_eq!(now(far.call()).unwrap().status().as_u16(), 503);
}

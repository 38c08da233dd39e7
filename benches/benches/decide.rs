//! The same subjects under criterion, for its reports: `cargo bench -p limiter-bench`, then
//! `target/criterion/report/index.html`. Figures to compare subjects by come from `./ci.sh bench`,
//! which interleaves them; here each has its own minute.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use limiter_bench::measure::{Stopwatch, Subject};
use limiter_bench::steps::{Step, Walk, step, walk};
use limiter_bench::subjects::ours::Ours;
use limiter_bench::subjects::single::{Answer, real_clock, time_given};
use limiter_bench::works::{http, many};
use std::time::Duration;

fn one_key(criterion: &mut Criterion) {
    let steps = walk(1, Walk::Uniform, 1 << 12);
    for answer in [Answer::Admitted, Answer::Refused] {
        let given = format!("one key, {}, time given", answer.name());
        group(criterion, &given, time_given(answer), &steps);
        let real = format!("one key, {}, real clock", answer.name());
        group(criterion, &real, real_clock(answer), &steps);
    }
}

fn many_tokens(criterion: &mut Criterion) {
    for tokens in many::SIZES {
        let population: Vec<Step> = (0..tokens).map(step).collect();
        let ours = Ours::new(&population);
        let writers = many::writers(&ours, &population);
        let readers = many::readers(&ours, &population);
        let steps = walk(tokens, Walk::Uniform, 1 << 18);
        group(
            criterion,
            &many::read(tokens, Walk::Uniform),
            readers,
            &steps,
        );
        group(criterion, &many::write(tokens), writers, &steps);
    }
}

fn through_http(criterion: &mut Criterion) {
    let population: Vec<Step> = (0..1_000).map(step).collect();
    let steps = walk(1_000, Walk::Uniform, 1 << 12);
    group(criterion, http::WORK, http::subjects(&population), &steps);
}

fn group(criterion: &mut Criterion, name: &str, subjects: Vec<Subject>, steps: &[Step]) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    for mut subject in subjects {
        let id = BenchmarkId::new(subject.name.clone(), subject.form);
        // Goes on where it stopped, so that all tokens have their turn.
        let mut at = 0;
        group.bench_function(id, |bencher| {
            bencher.iter_custom(|iterations| {
                let mut left = usize::try_from(iterations).unwrap_or(usize::MAX);
                let mut sum = Duration::ZERO;
                while left > 0 {
                    let some = steps.get(at..).unwrap_or(steps);
                    let some = some.get(..left).unwrap_or(some);
                    let begun = Stopwatch::start();
                    subject.run(some);
                    sum += begun.elapsed();
                    left -= some.len();
                    at = (at + some.len()) % steps.len();
                }
                sum
            });
        });
    }
    group.finish();
}

fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
}

criterion_group! {
    name = all;
    config = short();
    targets = one_key, many_tokens, through_http
}
criterion_main!(all);

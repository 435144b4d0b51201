//! How long an operation of each case takes.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wspulse_micro::{CASES, Case};

fn time(case: Case, rounds: usize) -> Duration {
    let started = Instant::now();
    case(rounds);
    started.elapsed()
}

fn all(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("micro");
    for (name, case) in CASES {
        let operations = case(2) - case(1);
        group.throughput(Throughput::Elements(operations as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                let rounds = usize::try_from(rounds).expect("rounds are run one by one");
                // The difference of two runs, so that what comes before does not count.
                time(case, 2 * rounds).saturating_sub(time(case, rounds))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, all);
criterion_main!(benches);

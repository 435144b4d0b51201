//! Requests: a client asks, a handler of the router returns a value, the client has its reply.

use std::error::Error;
use std::time::{Duration, Instant};

use super::stage::{Stage, Stopwatch, payload};
use super::{
    Effort, Field, Outcome, Scenario, column, cost_columns, headline, histogram, latency_of,
};
use crate::report::{Better, Latency, Unit};
use crate::subject::{Mode, Subject};

const MESSAGE_BYTES: usize = 100;

/// What one way of answering has come to.
struct Measured {
    p50_us: f64,
    server_us: f64,
    latency: Latency,
    outcome: Outcome,
}

pub(super) fn scenario(outstanding: usize) -> Scenario {
    let mut columns = vec![
        headline("p50_us", "median round trip", Unit::Micros, Better::Lower),
        column("rate", "round trips", Unit::PerSecond, Better::Higher),
        column("echo_ratio", "round trip ÷ that of an echo", Unit::Ratio, Better::Lower),
        column("echo_cpu_ratio", "server CPU ÷ that of an echo", Unit::Ratio, Better::Lower),
    ];
    columns.extend(cost_columns("request"));
    Scenario {
        name: format!("requests-{outstanding}"),
        title: format!("Requests, {outstanding} outstanding"),
        what: format!(
            "One client sends requests of {MESSAGE_BYTES} bytes, so that {outstanding} are under way. \
             A handler of the router reads the payload as JSON and returns it, which is the reply. \
             Before, the same is done with frames that have no id and come back from `on_message`: \
             the echo that the ratios are about."
        ),
        columns,
        field: Field::Ours,
        run: Box::new(move |subject, effort| run(subject, effort, outstanding)),
    }
}

fn run(subject: &Subject, effort: &Effort, outstanding: usize) -> Result<Outcome, Box<dyn Error>> {
    let echo = measure(subject, Mode::Echo, effort, outstanding)?;
    let requests = measure(&subject.asking(), Mode::Answer, effort, outstanding)?;
    let outcome = Outcome { latency: Some(requests.latency), ..requests.outcome };
    Ok(outcome
        .with("p50_us", requests.p50_us)
        .with("echo_ratio", requests.p50_us / echo.p50_us)
        .with("echo_cpu_ratio", requests.server_us / echo.server_us))
}

fn measure(
    subject: &Subject,
    mode: Mode,
    effort: &Effort,
    outstanding: usize,
) -> Result<Measured, Box<dyn Error>> {
    let mut stage = Stage::with_rooms(subject, mode, 1, 1)?;
    let message = payload(0, MESSAGE_BYTES);
    // The oldest is answered first: a connection's messages are handled in order.
    let mut sent_at = std::collections::VecDeque::with_capacity(outstanding);
    for _ in 0..outstanding {
        sent_at.push_back(Instant::now());
        stage.fleet.send(0, &message)?;
    }
    let warm = Instant::now() + effort.warm_up;
    let mut watch = None;
    let mut latencies = histogram()?;
    while watch.is_none_or(|watch: Stopwatch| watch.elapsed() < effort.measured) {
        let mut back = 0;
        stage.fleet.turn(Duration::ZERO, &mut |_, _| back += 1)?;
        let now = Instant::now();
        for _ in 0..back {
            let sent = sent_at.pop_front().ok_or("a reply to nothing")?;
            if watch.is_some() {
                let nanos = (now - sent).as_nanos();
                latencies.saturating_record(nanos.try_into().unwrap_or(u64::MAX));
            }
            sent_at.push_back(Instant::now());
            stage.fleet.send(0, &message)?;
        }
        if watch.is_none() && now > warm {
            watch = Some(stage.stopwatch()?);
        }
    }
    let costs = watch.ok_or("the loop ends after it is set")?.stop(&stage)?;
    let count = latencies.len();
    let outcome = Outcome::default().with("rate", costs.per_second(count));
    let outcome = costs.fill(outcome, count);
    Ok(Measured {
        p50_us: latencies.value_at_quantile(0.5) as f64 / 1e3,
        server_us: outcome.values.get("server_us").copied().unwrap_or_default(),
        latency: latency_of(&latencies),
        outcome,
    })
}

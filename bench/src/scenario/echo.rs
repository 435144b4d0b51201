//! Echo: each client sends its next message when it has got the last one back.

use std::time::{Duration, Instant};

use super::fairness::{self, Shares, fairness_column};
use super::stage::{Stage, Stopwatch, payload};
use super::{Field, Outcome, Scenario, column, cost_columns, headline, histogram, latency_of};
use crate::report::{Better, Unit};
use crate::subject::Mode;

const MESSAGE_BYTES: usize = 100;

pub(super) fn scenario(clients: usize) -> Scenario {
    let mut columns = vec![
        headline("p50_us", "median round trip", Unit::Micros, Better::Lower),
        column("p99_us", "p99", Unit::Micros, Better::Lower),
        column("rate", "round trips", Unit::PerSecond, Better::Higher),
    ];
    let mut what = format!(
        "Each client sends a message of {MESSAGE_BYTES} bytes as soon as the one before has come \
         back. The load generator polls without sleeping."
    );
    if clients > 1 {
        columns.push(fairness_column());
        what += " Fairness is the round trips of the richest client ÷ those of the poorest.";
    }
    columns.extend(cost_columns("round trip"));
    Scenario {
        name: format!("echo-{clients}"),
        title: format!("Echo, {clients} connection{}", if clients == 1 { "" } else { "s" }),
        what,
        columns,
        field: Field::All,
        run: Box::new(move |subject, effort| {
            let mut stage = Stage::with_rooms(subject, Mode::Echo, clients, 1)?;
            let message = payload(0, MESSAGE_BYTES);
            let mut sent_at = vec![Instant::now(); clients];
            for (client, sent_at) in sent_at.iter_mut().enumerate() {
                *sent_at = Instant::now();
                stage.fleet.send(client, &message)?;
            }
            let warm = Instant::now() + effort.warm_up;
            let mut watch = None;
            let mut latencies = histogram()?;
            let mut round_trips = Shares::new(clients);
            let mut back = Vec::new();
            while watch.is_none_or(|watch: Stopwatch| watch.elapsed() < effort.measured) {
                stage.fleet.turn(Duration::ZERO, &mut |client, _| back.push(client))?;
                let now = Instant::now();
                for client in back.drain(..) {
                    if watch.is_some() {
                        let nanos = (now - sent_at[client]).as_nanos();
                        latencies.saturating_record(nanos.try_into().unwrap_or(u64::MAX));
                        round_trips.add(client);
                    }
                    sent_at[client] = Instant::now();
                    stage.fleet.send(client, &message)?;
                }
                if watch.is_none() && now > warm {
                    watch = Some(stage.stopwatch()?);
                }
            }
            let costs = watch.expect("the loop ends after it is set").stop(&stage)?;
            let mut outcome =
                Outcome { latency: Some(latency_of(&latencies)), ..Outcome::default() }
                    .with("p50_us", latencies.value_at_quantile(0.5) as f64 / 1e3)
                    .with("p99_us", latencies.value_at_quantile(0.99) as f64 / 1e3)
                    .with("rate", costs.per_second(latencies.len()));
            if clients > 1 {
                outcome = outcome.with(fairness::KEY, round_trips.fairness());
            }
            Ok(costs.fill(outcome, latencies.len()))
        }),
    }
}

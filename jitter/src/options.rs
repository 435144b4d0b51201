//! How long a run takes, how many clients it has, and how badly they are treated.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::link::plan::Severity;

/// What can be set of a run.
#[derive(Debug, Clone, Parser)]
pub(crate) struct RunOptions {
    /// A minute, for each change. The default.
    #[arg(long, conflicts_with = "full")]
    short: bool,
    /// More than a million deliveries.
    #[arg(long)]
    full: bool,
    /// Draws the same lives of links as another run with it.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// How long links are cut, in seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Clients of each kind at each server.
    #[arg(long)]
    clients: Option<usize>,
    /// Who else takes part, separated by commas.
    #[arg(long, value_delimiter = ',')]
    with: Vec<Guest>,
    /// Where the report goes.
    #[arg(long, default_value = "target/jitter-report")]
    pub(crate) report: PathBuf,
}

/// Who takes part only if asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Guest {
    /// Clients in pages of Chromium and Firefox.
    Browsers,
    /// Other servers, under the same links.
    Peers,
}

/// Broadcasts per second.
pub(crate) const TICKS_PER_SECOND: u64 = 20;
/// A client gets a direct frame at one of so many ticks.
pub(crate) const DIRECT_EVERY: u64 = 4;
/// Between two messages of a client.
pub(crate) const CLIENT_PAUSE: Duration = Duration::from_millis(200);
/// Of so many clients, one is behind nginx.
pub(crate) const NGINX_EVERY: usize = 4;

impl RunOptions {
    pub(crate) const fn name(&self) -> &'static str {
        if self.full { "full" } else { "short" }
    }

    /// What is typed for a run like this one.
    pub(crate) fn command(&self, seed: u64) -> String {
        let mut command = format!("jitter/run --{} --seed {seed}", self.name());
        for (name, value) in
            [("seconds", self.seconds), ("clients", self.clients.map(|n| n as u64))]
        {
            command.extend(value.map(|value| format!(" --{name} {value}")));
        }
        let guests = self.with.iter().filter_map(ValueEnum::to_possible_value);
        let guests: Vec<_> = guests.map(|guest| guest.get_name().to_owned()).collect();
        if !guests.is_empty() {
            command.push_str(" --with ");
            command.push_str(&guests.join(","));
        }
        command
    }

    pub(crate) fn is_with(&self, guest: Guest) -> bool {
        self.with.contains(&guest)
    }

    /// How long links are cut.
    pub(crate) fn bad_weather(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(if self.full { 420 } else { 35 }))
    }

    /// How many clients each kind has at each server.
    pub(crate) fn clients(&self) -> usize {
        self.clients.unwrap_or(if self.full { 24 } else { 8 })
    }

    /// How links are treated. A short run has no time for the longest silences.
    pub(crate) fn severity(&self) -> Severity {
        let seconds =
            |low: f64, high: f64| (Duration::from_secs_f64(low), Duration::from_secs_f64(high));
        if self.full {
            Severity {
                life: seconds(1.0, 15.0),
                silence: seconds(0.3, 40.0),
                stall: seconds(0.3, 8.0),
            }
        } else {
            Severity {
                life: seconds(0.5, 6.0),
                silence: seconds(0.3, 12.0),
                stall: seconds(0.3, 4.0),
            }
        }
    }

    /// How long a server runs before its process is stopped, and for how long that is.
    pub(crate) fn stops(&self) -> [(Duration, Duration); 2] {
        let seconds =
            |low: f64, high: f64| (Duration::from_secs_f64(low), Duration::from_secs_f64(high));
        if self.full {
            [seconds(20.0, 45.0), seconds(0.3, 8.0)]
        } else {
            [seconds(8.0, 14.0), seconds(0.3, 2.0)]
        }
    }
}

//! The options.

use std::sync::Arc;

use crate::series::{Buckets, Counter, Counters, GROUPS, LIMITS, Rooms};
use crate::servers::Servers;
use crate::status::Statuses;
use crate::{PrometheusCollector, Shared};

const DURATION: [f64; 12] =
    [1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 7_200.0, 14_400.0, 43_200.0, 86_400.0];
const FANOUT: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 500.0, 1_000.0];
const UTILIZATION: [f64; 8] = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0];
/// A server asks a second after a write at the latest, so up to there the steps are small.
const ACKNOWLEDGEMENT_AGE: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0];

/// From a network next door to a person who decides.
const REQUEST: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0];

/// Sets the options of a [`PrometheusCollector`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    namespace: String,
    rooms: usize,
    buckets: Buckets,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let buckets = Buckets {
            duration: DURATION.into(),
            fanout: FANOUT.into(),
            utilization: UTILIZATION.into(),
            acknowledgement_age: ACKNOWLEDGEMENT_AGE.into(),
            request: REQUEST.into(),
        };
        Self { namespace: String::new(), rooms: 0, buckets }
    }

    /// What stands before `wspulse_` in every name, with a `_` between. Default: nothing.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Adds the label `room_id` to all that happens in rooms, for the first so many rooms that the
    /// server sees; all later ones, and a room that is called so, count as `other`. A room keeps its
    /// label when it is destroyed, since counters must not vanish. Default: 0, no such label.
    ///
    /// Each room costs Prometheus some 85 series, and as many as there are buckets and three more
    /// for each reason for which connections have ended there. Do not ask for more rooms than you
    /// will look at.
    pub const fn room_label(mut self, most: usize) -> Self {
        self.rooms = most;
        self
    }

    /// The upper bounds, in seconds, of `connection_duration_seconds`. Default: 1 s to 1 day.
    pub fn connection_duration_buckets(mut self, bounds: impl Into<Vec<f64>>) -> Self {
        self.buckets.duration = bounds.into();
        self
    }

    /// The upper bounds of `broadcast_fanout`. Default: 1 to 1,000 members.
    pub fn broadcast_fanout_buckets(mut self, bounds: impl Into<Vec<f64>>) -> Self {
        self.buckets.fanout = bounds.into();
        self
    }

    /// The upper bounds of `send_buffer_utilization`. Default: 0.1 to 1.
    pub fn send_buffer_utilization_buckets(mut self, bounds: impl Into<Vec<f64>>) -> Self {
        self.buckets.utilization = bounds.into();
        self
    }

    /// The upper bounds, in seconds, of `acknowledgement_age_seconds`. Default: 5 ms to 1 min.
    pub fn acknowledgement_age_buckets(mut self, bounds: impl Into<Vec<f64>>) -> Self {
        self.buckets.acknowledgement_age = bounds.into();
        self
    }

    /// The upper bounds, in seconds, of `request_duration_seconds`. Default: 1 ms to 1 min.
    pub fn request_duration_buckets(mut self, bounds: impl Into<Vec<f64>>) -> Self {
        self.buckets.request = bounds.into();
        self
    }

    /// Makes the collector.
    ///
    /// # Errors
    ///
    /// [`OptionError`] if the namespace is no part of a metric's name, or if buckets are empty or
    /// not finite and ascending.
    pub fn build(self) -> Result<PrometheusCollector, OptionError> {
        let Buckets { duration, fanout, utilization, acknowledgement_age, request } = &self.buckets;
        for bounds in [duration, fanout, utilization, acknowledgement_age, request] {
            check(bounds)?;
        }
        let prefix = match &*self.namespace {
            "" => "wspulse_".to_owned(),
            name if is_name(name) => format!("{name}_wspulse_"),
            _ => return Err(OptionError::Namespace(self.namespace)),
        };
        Ok(PrometheusCollector(Arc::new(Shared {
            prefix,
            rooms: Rooms::new(self.rooms, self.buckets),
            rooms_created: Counter::default(),
            rooms_destroyed: Counter::default(),
            drains: Counter::default(),
            limits: Counters::new(LIMITS),
            groups: Counters::new(GROUPS),
            missed: Counters::new(GROUPS),
            gaps: Counters::new(GROUPS),
            refused: Statuses::new(),
            servers: Servers::default(),
        })))
    }
}

fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

fn check(bounds: &[f64]) -> Result<(), OptionError> {
    let ascends = bounds.windows(2).all(|pair| pair[0] < pair[1]);
    if bounds.is_empty() {
        Err(OptionError::NoBuckets)
    } else if !ascends || bounds.iter().any(|bound| !bound.is_finite()) {
        Err(OptionError::Buckets)
    } else {
        Ok(())
    }
}

/// An option that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionError {
    /// The namespace is not of the form `[a-zA-Z_][a-zA-Z0-9_]*`.
    #[error("invalid namespace {0:?}: it must be of the form [a-zA-Z_][a-zA-Z0-9_]*")]
    Namespace(String),
    /// A histogram would have no buckets.
    #[error("buckets must not be empty")]
    NoBuckets,
    /// The bounds of buckets do not ascend, or are not finite.
    #[error("buckets must be finite and ascend")]
    Buckets,
}

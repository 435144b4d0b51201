//! The options.

use std::sync::Arc;

use opentelemetry::metrics::Meter;

use crate::attributes::Sets;
use crate::instruments::{Buckets, Instruments};
use crate::readings::{self, Servers};
use crate::rooms::Rooms;
use crate::traffic;
use crate::{OtelCollector, Shared};

// The same as those of wspulse-prometheus, so that both can stand in one diagram.
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

/// Sets the options of an [`OtelCollector`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    meter: Meter,
    rooms: usize,
    buckets: Buckets,
}

impl Builder {
    pub(crate) fn new(meter: &Meter) -> Self {
        let buckets = Buckets {
            duration: DURATION.into(),
            fanout: FANOUT.into(),
            utilization: UTILIZATION.into(),
            acknowledgement_age: ACKNOWLEDGEMENT_AGE.into(),
            request: REQUEST.into(),
        };
        Self { meter: meter.clone(), rooms: 0, buckets }
    }

    /// Adds the attribute `room` to all that happens in rooms, for the first so many rooms that the
    /// server sees; all later ones, and a room that is called so, count as `other`. A room keeps its
    /// attribute when it is destroyed, since counters must not vanish. Default: 0, no such
    /// attribute.
    ///
    /// Do not ask for more than you will look at. An SDK has a limit of its own, 2,000 attribute
    /// sets for each instrument unless a view says otherwise, and six reasons are six sets: beyond
    /// 300 rooms it puts some of them together under `otel.metric.overflow`.
    pub const fn room_attribute(mut self, most: usize) -> Self {
        self.rooms = most;
        self
    }

    /// The upper bounds, in seconds, of `wspulse.connection.duration`. Default: 1 s to 1 day.
    pub fn connection_duration_buckets(mut self, bounds: impl Into<Vec<f64>>) -> Self {
        self.buckets.duration = bounds.into();
        self
    }

    /// The upper bounds of `wspulse.broadcast.fanout`. Default: 1 to 1,000 members.
    pub fn broadcast_fanout_buckets(mut self, bounds: impl Into<Vec<f64>>) -> Self {
        self.buckets.fanout = bounds.into();
        self
    }

    /// The upper bounds of `wspulse.send_buffer.utilization`. Default: 0.1 to 1.
    pub fn send_buffer_utilization_buckets(mut self, bounds: impl Into<Vec<f64>>) -> Self {
        self.buckets.utilization = bounds.into();
        self
    }

    /// The upper bounds, in seconds, of `wspulse.acknowledgement.age`. Default: 5 ms to 1 min.
    pub fn acknowledgement_age_buckets(mut self, bounds: impl Into<Vec<f64>>) -> Self {
        self.buckets.acknowledgement_age = bounds.into();
        self
    }

    /// The upper bounds, in seconds, of `wspulse.request.duration`. Default: 1 ms to 1 min.
    pub fn request_duration_buckets(mut self, bounds: impl Into<Vec<f64>>) -> Self {
        self.buckets.request = bounds.into();
        self
    }

    /// Makes the collector and its instruments.
    ///
    /// # Errors
    ///
    /// [`OptionError`] if buckets are empty or not finite and ascending. A meter would not say so:
    /// it would record no buckets, or nothing at all.
    pub fn build(self) -> Result<OtelCollector, OptionError> {
        let Buckets { duration, fanout, utilization, acknowledgement_age, request } = &self.buckets;
        for bounds in [duration, fanout, utilization, acknowledgement_age, request] {
            check(bounds)?;
        }
        Ok(self.make())
    }

    /// With buckets that are known to be right.
    pub(crate) fn make(self) -> OtelCollector {
        let rooms = Arc::new(Rooms::new(self.rooms));
        traffic::observe(&self.meter, &rooms);
        let servers = Arc::<Servers>::default();
        readings::observe(&self.meter, &servers);
        OtelCollector(Arc::new(Shared {
            instruments: Instruments::new(&self.meter, self.buckets),
            rooms,
            limits: Sets::limits(),
            groups: Sets::groups(),
            servers,
        }))
    }
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
    /// A histogram would have no buckets.
    #[error("buckets must not be empty")]
    NoBuckets,
    /// The bounds of buckets do not ascend, or are not finite.
    #[error("buckets must be finite and ascend")]
    Buckets,
}

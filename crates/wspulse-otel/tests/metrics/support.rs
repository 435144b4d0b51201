//! Reads back what an SDK was told. The SDK has an exporter into memory of its own, but behind a
//! feature that brings an older `rand` with it.

use std::fmt::Display;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, Metric, MetricData, ResourceMetrics, ScopeMetrics,
};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use parking_lot::Mutex;

/// An instrument that has measured something.
#[derive(Debug)]
pub(crate) struct Instrument {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) unit: String,
    pub(crate) description: String,
    /// The bounds of a histogram's buckets.
    pub(crate) bounds: Vec<f64>,
    /// `name{attribute=value,…} value`; for a histogram `name{…} count summing up to sum`, and
    /// `name{…} up to bound: count` for each bucket that is not empty.
    lines: Vec<String>,
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<Instrument>>>);

impl PushMetricExporter for Memory {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let metrics = metrics.scope_metrics().flat_map(ScopeMetrics::metrics);
        *self.0.lock() = metrics.map(Instrument::of).collect();
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

pub(crate) struct Reader {
    provider: SdkMeterProvider,
    memory: Memory,
}

impl Reader {
    pub(crate) fn new() -> Self {
        let memory = Memory::default();
        let reader = PeriodicReader::builder(memory.clone()).build();
        Self { provider: SdkMeterProvider::builder().with_reader(reader).build(), memory }
    }

    pub(crate) fn meter(&self) -> Meter {
        self.provider.meter("wspulse")
    }

    /// All instruments that have measured something so far.
    pub(crate) fn instruments(&self) -> Vec<Instrument> {
        self.provider.force_flush().unwrap();
        mem::take(&mut *self.memory.0.lock())
    }

    /// Their lines.
    pub(crate) fn page(&self) -> String {
        let lines = self.instruments().into_iter().flat_map(|instrument| instrument.lines);
        lines.map(|line| line + "\n").collect()
    }

    /// The bounds of a histogram's buckets.
    pub(crate) fn bounds(&self, name: &str) -> Vec<f64> {
        let found = self.instruments().into_iter().find(|instrument| instrument.name == name);
        found.unwrap().bounds
    }
}

impl Instrument {
    fn of(metric: &Metric) -> Self {
        let mut instrument = Self {
            name: metric.name().to_owned(),
            kind: "",
            unit: metric.unit().to_owned(),
            description: metric.description().to_owned(),
            bounds: Vec::new(),
            lines: Vec::new(),
        };
        match metric.data() {
            AggregatedMetrics::U64(data) => instrument.read(data),
            AggregatedMetrics::I64(data) => instrument.read(data),
            AggregatedMetrics::F64(data) => instrument.read(data),
        }
        instrument
    }

    fn read<T: Copy + Display>(&mut self, data: &MetricData<T>) {
        match data {
            MetricData::Sum(sum) => {
                self.kind = if sum.is_monotonic() { "counter" } else { "up-down counter" };
                for point in sum.data_points() {
                    let start = self.start(point.attributes());
                    self.lines.push(format!("{start} {}", point.value()));
                }
            }
            MetricData::Histogram(histogram) => {
                self.kind = "histogram";
                for point in histogram.data_points() {
                    let start = self.start(point.attributes());
                    let (count, sum) = (point.count(), point.sum());
                    self.lines.push(format!("{start} {count} summing up to {sum}"));
                    let buckets = point.bounds().zip(point.bucket_counts());
                    let filled = buckets.filter(|(_, count)| *count > 0);
                    let filled = filled.map(|(bound, n)| format!("{start} up to {bound}: {n}"));
                    self.lines.extend(filled);
                    self.bounds = point.bounds().collect();
                }
            }
            MetricData::Gauge(gauge) => {
                self.kind = "gauge";
                for point in gauge.data_points() {
                    let start = self.start(point.attributes());
                    self.lines.push(format!("{start} {}", point.value()));
                }
            }
            MetricData::ExponentialHistogram(_) => self.kind = "exponential histogram",
        }
    }

    fn start<'a>(&self, attributes: impl Iterator<Item = &'a KeyValue>) -> String {
        let mut pairs: Vec<_> =
            attributes.map(|one| format!("{}={}", one.key, one.value)).collect();
        pairs.sort();
        format!("{}{{{}}}", self.name, pairs.join(","))
    }
}

#[track_caller]
pub(crate) fn assert_has(page: &str, line: &str) {
    assert!(page.lines().any(|other| other == line), "no {line:?} in:\n{page}");
}

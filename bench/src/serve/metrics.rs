//! Where wspulse counts what it does, if that is to be measured as well. Nobody reads the numbers: it
//! is counting that costs something for each message.

use std::error::Error;
use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use wspulse::ServerBuilder;
use wspulse_otel::{OtelCollector, opentelemetry::global};
use wspulse_prometheus::PrometheusCollector;

/// What counts, with the options that it has by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum MetricsChoice {
    None,
    Prometheus,
    Otel,
}

impl MetricsChoice {
    pub(super) fn add_to(self, builder: ServerBuilder) -> Result<ServerBuilder, Box<dyn Error>> {
        Ok(match self {
            Self::None => builder,
            Self::Prometheus => builder.metrics(PrometheusCollector::builder().build()?),
            Self::Otel => {
                let reader = PeriodicReader::builder(Nowhere).build();
                let provider = SdkMeterProvider::builder().with_reader(reader).build();
                // It counts as long as it lives.
                global::set_meter_provider(provider);
                builder.metrics(OtelCollector::new(&global::meter("wspulse")))
            }
        })
    }
}

/// Without an exporter the SDK would not even count.
struct Nowhere;

impl PushMetricExporter for Nowhere {
    async fn export(&self, _: &ResourceMetrics) -> OTelSdkResult {
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

//! A room server whose metrics and spans go to an OpenTelemetry collector:
//!
//! ```sh
//! cargo run -p wspulse-otel --features traces --example otlp -- 127.0.0.1:3000
//! ```
//!
//! The collector is at `OTEL_EXPORTER_OTLP_ENDPOINT`, by default `http://localhost:4318`, and metrics
//! go there each `OTEL_METRIC_EXPORT_INTERVAL` milliseconds, by default 60,000.

use std::error::Error;

use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;
use wspulse::{Admission, Server};
use wspulse_otel::{OtelCollector, continue_trace, opentelemetry};

fn main() -> Result<(), Box<dyn Error>> {
    // Made outside of the runtime: the exporter's HTTP client blocks, and has threads of its own.
    let resource = Resource::builder().with_service_name("chat").build();
    let metrics = SdkMeterProvider::builder()
        .with_resource(resource.clone())
        .with_periodic_exporter(MetricExporter::builder().with_http().build()?)
        .build();
    let traces = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_batch_exporter(SpanExporter::builder().with_http().build()?)
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(traces.tracer("chat"));
    tracing_subscriber::registry().with(layer.with_filter(LevelFilter::DEBUG)).init();

    tokio::runtime::Runtime::new()?.block_on(serve(OtelCollector::new(&metrics.meter("chat"))))?;
    // What has not been sent yet goes out.
    traces.shutdown()?;
    metrics.shutdown()?;
    Ok(())
}

async fn serve(collector: OtelCollector) -> Result<(), Box<dyn Error>> {
    let server = Server::builder_sync(|request| {
        Ok(Admission::room(request.query("room").unwrap_or("lobby".into())))
    })
    .metrics(collector)
    .connection_span(continue_trace)
    .on_message(|conn, frame| async move {
        let _ = conn.room().broadcast(frame.with_event("said").with_id(""));
    })
    .build()?;
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening at {}", listener.local_addr()?);
    wspulse::serve(listener, server.clone())
        .with_graceful_shutdown(async move {
            let _ = tokio::signal::ctrl_c().await;
            server.close().await;
        })
        .await?;
    Ok(())
}

//! A room server whose connections and messages are spans of OpenTelemetry, written to the terminal:
//!
//! ```sh
//! cargo run -p wspulse-otel --features traces --example traces
//! ```
//!
//! Then connect any WebSocket client to `ws://127.0.0.1:3000/?room=lobby`, with a header `traceparent`
//! if you like, send `{"event":"hello"}`, and close it.

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;
use wspulse::{Admission, ConfigError, Server};
use wspulse_otel::{continue_trace, opentelemetry};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Yours may be the one of the crate `opentelemetry-otlp`.
    let provider = provider(opentelemetry_stdout::SpanExporter::default());
    tracing::subscriber::set_global_default(subscriber(&provider))?;
    let server = server()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    wspulse::serve(listener, server.clone())
        .with_graceful_shutdown(async move {
            let _ = tokio::signal::ctrl_c().await;
            server.close().await;
        })
        .await?;
    provider.shutdown()?;
    Ok(())
}

fn provider(exporter: impl SpanExporter + 'static) -> SdkTracerProvider {
    // Each span as it ends; a server with many uses `with_batch_exporter`.
    SdkTracerProvider::builder().with_simple_exporter(exporter).build()
}

/// At INFO there are connections, at DEBUG their messages as well.
fn subscriber(provider: &SdkTracerProvider) -> impl tracing::Subscriber + Send + Sync + 'static {
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("chat"));
    tracing_subscriber::registry().with(layer.with_filter(LevelFilter::DEBUG))
}

fn server() -> Result<Server, ConfigError> {
    Server::builder_sync(|request| {
        Ok(Admission::room(request.query("room").unwrap_or("lobby".into())))
    })
    .connection_span(continue_trace)
    .on_message(|conn, frame| async move {
        tracing::info!("passing it on"); // an event of the message's span
        let _ = conn.room().broadcast(frame.with_event("said").with_id(""));
    })
    .build()
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanId, SpanKind, TraceId};
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};
    use wspulse::Frame;
    use wspulse::testing::{TestClient, request_parts};

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    /// What is exported of one client that says one thing and is gone.
    async fn exported(traceparent: &str) -> Vec<SpanData> {
        let exporter = InMemorySpanExporter::default();
        let provider = provider(exporter.clone());
        let _here = tracing::subscriber::set_default(subscriber(&provider));
        let server = server().unwrap();
        let mut request = request_parts("/?room=lobby");
        request.headers.insert("traceparent", traceparent.parse().unwrap());
        let mut client = TestClient::connect_with(&server, request).await.unwrap();
        client.send(&Frame::new("hello")).await.unwrap();
        client.frame().await.unwrap();
        let ((), closed) = tokio::join!(server.close(), client.closed());
        closed.unwrap();
        provider.force_flush().unwrap();
        exporter.get_finished_spans().unwrap()
    }

    fn named<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
        spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {spans:#?}"))
    }

    fn attribute(span: &SpanData, key: &str) -> Option<String> {
        let found = span.attributes.iter().find(|it| it.key.as_str() == key)?;
        Some(found.value.to_string())
    }

    #[tokio::test]
    async fn a_connection_continues_the_trace_of_its_handshake_and_its_messages_are_its_children() {
        let spans = exported(&format!("00-{TRACE}-{PARENT}-01")).await;
        let (connection, message) = (named(&spans, "connection"), named(&spans, "message"));
        assert_eq!(connection.span_context.trace_id(), TraceId::from_hex(TRACE).unwrap());
        assert_eq!(connection.parent_span_id, SpanId::from_hex(PARENT).unwrap());
        assert_eq!(connection.span_kind, SpanKind::Server);
        assert_eq!(attribute(connection, "room").as_deref(), Some("lobby"));
        assert_eq!(attribute(connection, "reason").as_deref(), Some("server_close"));
        assert_eq!(message.parent_span_id, connection.span_context.span_id());
        assert_eq!(message.span_context.trace_id(), connection.span_context.trace_id());
        assert_eq!(message.events.len(), 1, "{message:#?}");
    }

    #[tokio::test]
    async fn a_malformed_traceparent_begins_a_trace() {
        let spans = exported("00-nonsense-01").await;
        assert_eq!(named(&spans, "connection").parent_span_id, SpanId::INVALID);
    }
}

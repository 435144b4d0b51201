//! Where wspulse counts what it does, if that is to be measured as well. Nobody reads the numbers: it
//! is counting that costs something for each message.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::interval;
use wspulse::{Server, ServerBuilder};
use wspulse_client::{Client, Event};
use wspulse_inspector::Inspector;
use wspulse_otel::{OtelCollector, opentelemetry::global};
use wspulse_prometheus::PrometheusCollector;

/// As often as the page reads the list that it shows.
const LISTED_EVERY: Duration = Duration::from_secs(2);

/// What a page is told at once.
const PAGE_BYTES_MAX: usize = 64 * 1024;

/// What counts, with the options that it has by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum MetricsChoice {
    None,
    Prometheus,
    Otel,
    /// What the inspector counts and lists for a page that is open.
    Inspector,
}

impl MetricsChoice {
    pub(super) fn add_to(self, builder: ServerBuilder) -> Result<ServerBuilder, Box<dyn Error>> {
        Ok(match self {
            Self::None | Self::Inspector => builder,
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

/// Looks at the server as a page of the inspector does, until the process ends: over sockets, from a
/// thread of its own, whose little work counts as the server's.
pub(super) fn look_at(server: Server) -> Result<(), Box<dyn Error>> {
    let inspector = Inspector::open_to_everyone(server).build()?;
    let listener = super::listen(0)?;
    let addr = listener.local_addr()?;
    let looking = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = TcpListener::from_std(listener)?;
    tokio::spawn(wspulse::serve(listener, inspector).into_future());
    std::thread::spawn(move || looking.block_on(look(addr)));
    Ok(())
}

async fn look(addr: SocketAddr) {
    let (_client, mut messages) = Client::builder(format!("ws://{addr}/?live"))
        .max_message_size(PAGE_BYTES_MAX)
        .connect()
        .expect("the options are valid");
    let mut refresh = interval(LISTED_EVERY);
    let (mut ticks, mut listed) = (0_u64, 0_u64);
    loop {
        tokio::select! {
            event = messages.next() => match event {
                Some(Event::Message(_)) => ticks += 1,
                Some(Event::Ended { cause, .. }) => panic!("nobody looks any more: {cause}"),
                None => return,
                Some(_) => {}
            },
            _ = refresh.tick() => {
                list(addr).await.expect("the inspector answers");
                listed += 1;
                eprintln!("inspector: {ticks} ticks, {listed} lists");
            }
        }
    }
}

/// Reads a list, as the page does while it is shown.
async fn list(addr: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(addr).await?;
    let request =
        "GET /?connections&sort=newest HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    if answer.starts_with(b"HTTP/1.1 200 ") { Ok(()) } else { Err(io::Error::other("no list")) }
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

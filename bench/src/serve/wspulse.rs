//! wspulse as a peer among others, served as its README shows.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use wspulse::codec::{Codec, DecodeError, EncodeError, InboundMessage, JsonCodec};
use wspulse::router::{Json, Router};
use wspulse::serve::Http2;
use wspulse::{
    Admission, Connection, Delivery, DuplicatePolicy, Frame, MessageKind, Rejection, RoomOptions,
    Server, ServerBuilder,
};
use wspulse_nats::NatsEngine;

use super::metrics::look_at;
use super::{DRAIN_WINDOW, MetricsChoice, announce, listen};
use crate::load::{COUNT_REQUEST, RAW_PAYLOAD_AT};
use crate::scenario::{EVERYBODY, MOVES, VISITED};
use crate::subject::Mode;

/// How messages are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CodecChoice {
    Json,
    /// As opaque bytes.
    Raw,
}

/// What is promised of frames that were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[expect(clippy::enum_variant_names, reason = "as the library names them")]
pub(crate) enum DeliveryChoice {
    AtMostOnce,
    AtLeastOnce,
    ExactlyOnce,
}

/// Whether messages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CompressionChoice {
    None,
    /// Once for a whole room.
    #[cfg(feature = "compression")]
    Shared,
}

impl CompressionChoice {
    fn add_to(self, builder: ServerBuilder) -> ServerBuilder {
        match self {
            Self::None => builder,
            #[cfg(feature = "compression")]
            Self::Shared => builder.compression(wspulse::Compression::shared()),
        }
    }
}

/// The window of all peers that can resume.
const RESUME_WINDOW: Duration = Duration::from_mins(1);
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// How it is served.
#[derive(Debug)]
pub(crate) struct Choices {
    pub(crate) mode: Mode,
    pub(crate) codec: CodecChoice,
    pub(crate) metrics: MetricsChoice,
    pub(crate) delivery: DeliveryChoice,
    pub(crate) compression: CompressionChoice,
    /// In a connection of HTTP/2, if it speaks it.
    pub(crate) http2_streams: Option<u32>,
    /// The NATS server of its cluster, if it is of one.
    pub(crate) broker: Option<String>,
}

/// Serves until it is killed, or drained, which SIGTERM has it do.
#[tokio::main]
pub(crate) async fn serve(choices: &Choices, port: u16) -> Result<(), Box<dyn Error>> {
    let listener = listen(port)?;
    announce(&listener)?;
    let server = server(choices)?;
    if let Some(cluster) = server.cluster() {
        cluster.started().await?;
    }
    if choices.metrics == MetricsChoice::Inspector {
        look_at(server.clone())?;
    }
    let mut terminate = signal(SignalKind::terminate())?;
    // All clients have one address, as behind a proxy.
    let serving = wspulse::serve(TcpListener::from_std(listener)?, server.clone())
        .max_pending_per_addr(usize::MAX);
    let serving = match choices.http2_streams {
        Some(streams) => serving.http2(Http2::new().max_streams(streams)),
        None => serving,
    };
    tokio::select! {
        ended = serving.into_future() => Ok(ended?),
        () = async {
            terminate.recv().await;
            server.drain(DRAIN_WINDOW).await;
        } => Ok(()),
    }
}

fn server(choices: &Choices) -> Result<Server, Box<dyn Error>> {
    let Choices { mode, codec, metrics, delivery, compression, http2_streams: _, ref broker } =
        *choices;
    let builder = Server::builder_sync(move |request| {
        let room = request.query("room").ok_or_else(Rejection::unauthorized)?;
        let id = request.query("id").ok_or_else(Rejection::unauthorized)?;
        let admission = Admission::room(room).id(id).data(AtomicU64::new(0));
        Ok(if mode == Mode::Audience { admission.also_in([EVERYBODY]) } else { admission })
    })
    .max_message_size(MESSAGE_BYTES_MAX)
    .resume_window(RESUME_WINDOW)
    .check_origin(|_| true);
    let builder = match mode {
        Mode::Echo => builder.on_message(|connection: Connection, frame| {
            // A benchmark that overruns its own send buffer has no figure to give.
            connection.send(frame).expect("echoes fit into the send buffer");
        }),
        Mode::Room => with_broadcasts(builder),
        Mode::Presence => with_broadcasts(builder).room_options(|room| match room {
            "room0" => RoomOptions::new().tell_presence(),
            _ => RoomOptions::new(),
        }),
        Mode::Count => {
            builder.on_message(|connection: Connection, frame| count(&connection, &frame))
        }
        Mode::Moving => builder.on_message(|connection: Connection, frame| {
            for _ in 0..MOVES {
                connection.join(VISITED).expect("it is in two rooms at most");
                connection.leave(VISITED);
            }
            connection.send(frame).expect("echoes fit into the send buffer");
        }),
        Mode::Audience => builder.on_message(|connection: Connection, frame| {
            let audience = connection.server().to([connection.room_id(), EVERYBODY]);
            audience.except(&connection).broadcast(frame).expect("the server is open");
        }),
        Mode::Answer => builder
            .router(Router::builder().on("m", |Json(text): Json<String>| Json(text)).build()?),
    };
    let builder = match (codec, mode) {
        (CodecChoice::Json, _) => builder.codec(JsonCodec),
        (CodecChoice::Raw, Mode::Count) => builder.codec(Counting),
        (
            CodecChoice::Raw,
            Mode::Echo | Mode::Room | Mode::Presence | Mode::Moving | Mode::Audience | Mode::Answer,
        ) => builder.codec(Verbatim),
    };
    let builder = match delivery {
        DeliveryChoice::AtMostOnce => builder,
        // Without a token, who comes back before its loss was noticed is known by its id alone.
        DeliveryChoice::AtLeastOnce => {
            builder.delivery(Delivery::AtLeastOnce).duplicates(DuplicatePolicy::Resume)
        }
        DeliveryChoice::ExactlyOnce => builder.delivery(Delivery::ExactlyOnce),
    };
    let builder = match broker {
        Some(url) => builder.cluster(NatsEngine::builder(url).cluster("bench").build()?),
        None => builder,
    };
    Ok(metrics.add_to(compression.add_to(builder))?.build()?)
}

fn with_broadcasts(builder: ServerBuilder) -> ServerBuilder {
    builder.on_message(|connection: Connection, frame| {
        connection.room().broadcast(frame).expect("the server is open");
    })
}

fn count(connection: &Connection, frame: &Frame) {
    let Some(count) = connection.data::<AtomicU64>() else { return };
    if frame.payload().get(..2) == Some(br#""?"#) {
        let count = count.swap(0, Ordering::Relaxed).to_string();
        let reply = Frame::new("m").with_payload(format!("\"{count}\""));
        connection.send(reply).expect("one reply fits into the send buffer");
    } else {
        // A connection's callbacks never overlap: nobody else counts.
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

/// Keeps a message as it is, as servers without frames do.
struct Verbatim;

impl Codec for Verbatim {
    fn kind(&self, _frame: &Frame) -> MessageKind {
        MessageKind::Text
    }

    fn encode(&self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(frame.payload());
        Ok(())
    }

    fn decode(&self, message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        Ok(Frame::default().with_payload(message.into_bytes()))
    }
}

/// Looks at a message only to see whether it asks for the count.
struct Counting;

impl Codec for Counting {
    fn kind(&self, _frame: &Frame) -> MessageKind {
        MessageKind::Text
    }

    fn encode(&self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        JsonCodec.encode(frame, out)
    }

    fn decode(&self, message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        let asks = message.as_bytes().get(RAW_PAYLOAD_AT) == Some(&COUNT_REQUEST);
        let payload: &'static [u8] = if asks { br#""?""# } else { b"" };
        Ok(Frame::default().with_payload(payload))
    }
}

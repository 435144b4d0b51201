//! The part of wspulse that neither reads nor writes: frames, codecs, close codes, the WebSocket
//! decoder, the outbound queue and the session state machine.
//!
//! Nothing in this crate opens a socket, reads a clock, draws a random number or spawns a task:
//! time comes in as an argument, decisions go out as values. Applications use the `wspulse` crate,
//! which drives this one over real sockets; adapters (codecs, metrics backends) may depend on this
//! crate alone.

mod callbacks;
#[cfg(feature = "cbor")]
mod cbor;
pub mod clock;
mod close;
pub mod cluster;
pub mod codec;
#[cfg(feature = "deflate")]
pub mod deflate;
mod disconnect;
mod encoded;
mod escaped;
mod frame;
mod heartbeat;
pub mod outbound;
mod outgoing;
pub mod protocol;
mod rare_queue;
mod rate;
pub mod session;
pub mod websocket;

pub use callbacks::{Resumed, SessionEvent};
pub use close::{CloseCode, CloseFrame, InvalidCloseCode};
pub use codec::Codec;
pub use disconnect::{
    Disconnect, DisconnectReason, Dismissal, OVERTAKEN, PanicError, TransportLost, duplicate,
};
pub use encoded::{EncodedFrame, EncodedMarks, MessageKind};
pub use escaped::Escaped;
pub use frame::{Frame, PayloadError, PayloadFormat};
pub use heartbeat::HeartbeatConfig;
pub use outbound::OutboundStats;
pub use outgoing::{KEY_BYTES_MAX, KeyTooLong, Marks, Outgoing, Overflow};
pub use rate::{InboundRate, OverRate, Rate, TokenBucket};

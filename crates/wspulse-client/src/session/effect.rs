//! What a session asks of whoever drives it.

use bytes::Bytes;
use wspulse_core::{CloseCode, Frame, MessageKind};

use crate::event::Event;

/// A WebSocket message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: MessageKind,
    pub(crate) bytes: Bytes,
}

/// Something to do, in this order.
#[derive(Debug)]
pub(crate) enum Effect<W> {
    /// Open a transport with these offers.
    Open { protocols: Vec<String> },
    /// Listen to the transport no longer, and close it so.
    Close { code: CloseCode, reason: &'static str },
    /// Drop the transport, or the attempt to open one.
    Abandon,
    /// Decode it and hand it to the application.
    Deliver(Message),
    /// Nothing more will become of this frame.
    Settle { frame: Frame, waiter: Option<W>, outcome: Outcome },
    /// Tell the application.
    Tell(Event),
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server has handled it; on a plain connection: the socket has taken it.
    Handled,
    /// It was sent, and whether it was handled will never be known.
    Lost,
    /// It was never sent, and the client has ended.
    Closed,
    /// It was never sent, for the server takes nothing so long.
    TooLong { bytes_max: u64 },
}

/// Why a frame is not taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Closed,
    TooLong { bytes_max: u64 },
    Full,
}

/// What the transport is to write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    Data(Message),
    /// A control message of the protocol.
    Control(String),
    /// A Ping of WebSocket's own.
    Ping,
}

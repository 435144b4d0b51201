//! Where a decoder delivers what it has read.

use crate::close::CloseFrame;
use crate::codec::InboundMessage;

/// Where a [`Decoder`](super::Decoder) delivers what it has read. It is called while the decoder works and only
/// takes note: it cannot call back.
pub trait Sink {
    /// A whole message; text is valid UTF-8. Says whether the next one is welcome.
    fn message(&mut self, message: InboundMessage<'_>) -> Flow;
    /// A whole message that came compressed, in so many bytes, the headers of its frames left aside.
    /// Unless it is overridden, it is a message like any other.
    fn inflated(&mut self, message: InboundMessage<'_>, wire_bytes: usize) -> Flow {
        let _ = wire_bytes;
        self.message(message)
    }
    /// A Ping, to be answered by a Pong with the same payload of at most 125 bytes.
    fn ping(&mut self, payload: &[u8]);
    /// A Pong, asked for or not, with at most 125 bytes.
    fn pong(&mut self, payload: &[u8]);
    /// A Close frame; `None` if it is empty. Nothing follows it.
    fn close(&mut self, frame: Option<CloseFrame>);
    /// Whether more is welcome behind the Ping or Pong that was just delivered. Unless it is
    /// overridden, it always is.
    fn flow_behind_control(&self) -> Flow {
        Flow::Continue
    }
}

/// Whether a [`Decoder`](super::Decoder) goes on after a message, a Ping or a Pong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// More is welcome.
    Continue,
    /// The decoder stops here; what remains of the input is fed again later.
    Pause,
}

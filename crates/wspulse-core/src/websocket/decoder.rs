//! From bytes to messages and control frames.

use crate::close::CloseFrame;
use crate::codec::InboundMessage;
use crate::websocket::ProtocolError;

/// Where a [`Decoder`] delivers what it has read. It is called while the decoder works and only
/// takes note: it cannot call back.
pub trait Sink {
    /// A whole message; text is valid UTF-8. Says whether the next one is welcome.
    fn message(&mut self, message: InboundMessage<'_>) -> Flow;
    /// A Ping, to be answered by a Pong with the same payload of at most 125 bytes.
    fn ping(&mut self, payload: &[u8]);
    /// A Pong, asked for or not, with at most 125 bytes.
    fn pong(&mut self, payload: &[u8]);
    /// A Close frame; `None` if it is empty. Nothing follows it.
    fn close(&mut self, frame: Option<CloseFrame>);
}

/// Whether a [`Decoder`] goes on after a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// More messages are welcome.
    Continue,
    /// The decoder stops behind this message; what remains of the input is fed again later.
    Pause,
}

/// Reads a client's frames from chunks of any size.
#[derive(Debug)]
pub struct Decoder {
    message_bytes_max: usize,
}

impl Decoder {
    /// A decoder that refuses messages of more than `message_bytes_max` bytes.
    pub const fn new(message_bytes_max: usize) -> Self {
        Self { message_bytes_max }
    }

    /// Reads `input`, unmasking it in place, and tells how many bytes it has consumed: all, unless
    /// the sink paused or a Close frame came.
    ///
    /// # Errors
    ///
    /// [`ProtocolError`] at the first violation; the decoder must not be fed again.
    pub fn feed<S: Sink>(
        &mut self,
        input: &mut [u8],
        sink: &mut S,
    ) -> Result<usize, ProtocolError> {
        let _ = (sink, self.message_bytes_max);
        Ok(input.len())
    }
}

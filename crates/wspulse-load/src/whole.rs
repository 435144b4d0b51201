//! `Whole`: the codec that leaves messages as they are. What is measured is the server, so nothing is
//! read here but marks.

use wspulse_client::codec::{Codec, DecodeError, EncodeError, InboundMessage};
use wspulse_client::{Frame, MessageKind};

/// A message is the payload of its frame, whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole;

impl Codec for Whole {
    /// As what the server is asked for in `wspulse.1`: the messages of a plan are JSON then.
    fn name(&self) -> Option<&str> {
        Some("json")
    }

    fn kind(&self, _frame: &Frame) -> MessageKind {
        MessageKind::Text
    }

    fn encode(&self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(frame.payload());
        Ok(())
    }

    fn decode(&self, message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        Ok(Frame::new("").with_payload(message.into_bytes()))
    }
}

//! Frames as MessagePack binary messages.

use super::{Codec, DecodeError, EncodeError, InboundMessage};
use crate::encoded::MessageKind;
use crate::frame::Frame;

/// One MessagePack map a message, with the keys `id`, `event` and `payload`.
#[derive(Debug, Clone, Copy, Default)]
pub struct MessagePackCodec;

impl Codec for MessagePackCodec {
    fn kind(&self) -> MessageKind {
        MessageKind::Binary
    }

    fn encode(&self, _frame: &Frame, _out: &mut Vec<u8>) -> Result<(), EncodeError> {
        Err(EncodeError::new("not written yet"))
    }

    fn decode(&self, _message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        Err(DecodeError::new("not written yet"))
    }
}

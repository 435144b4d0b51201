//! Frames to bytes and back.

use std::hint::black_box;

use wspulse_core::codec::{Codec, InboundMessage, JsonCodec};
use wspulse_core::{EncodedFrame, Frame, MessageKind};

/// A JSON object of 100 bytes, as a chat client might send it.
pub(crate) const PAYLOAD: &str = r#"{"from":"Ann","text":"Has anybody seen the minutes of last week? I cannot find them here.","seq":42}"#;

const _: () = assert!(PAYLOAD.len() == 100, "the bounds are for 100 bytes");

/// The frame that all cases use.
pub(crate) fn frame() -> Frame {
    Frame::new("chat.message").with_id("7").with_payload(PAYLOAD)
}

/// The same, ready for the wire.
pub(crate) fn encoded() -> EncodedFrame {
    EncodedFrame::encode(&JsonCodec, &frame()).expect("its payload is JSON")
}

/// An operation is one frame.
pub(crate) fn encode_json(rounds: usize) -> usize {
    let frame = frame();
    for _ in 0..rounds {
        let encoded = EncodedFrame::encode(&JsonCodec, black_box(&frame));
        black_box(encoded).expect("its payload is JSON");
    }
    rounds
}

/// An operation is one message.
pub(crate) fn decode_json(rounds: usize) -> usize {
    let encoded = encoded();
    for _ in 0..rounds {
        let message = InboundMessage::lent(MessageKind::Text, black_box(encoded.payload()));
        black_box(JsonCodec.decode(message)).expect("it was encoded from a frame");
    }
    rounds
}

//! What one codec has read, as the others write it.

use wspulse_core::Frame;
use wspulse_core::codec::{
    CborCodec, Codec, InboundMessage, JsonCodec, MessagePackCodec, ProtobufCodec,
};

const CODECS: [&dyn Codec; 4] = [&JsonCodec, &MessagePackCodec, &CborCodec, &ProtobufCodec];

/// Each codec writes the frame in its own format, if that has a form for it, and must read what it
/// has written.
pub(crate) fn write_in_each(frame: &Frame) {
    for codec in CODECS {
        let mut message = Vec::new();
        if codec.encode(frame, &mut message).is_err() {
            continue;
        }
        let read = codec.decode(InboundMessage::lent(codec.kind(frame), &message));
        let read = read.expect("what was written in another format is that");
        assert_eq!((read.id(), read.event()), (frame.id(), frame.event()));
        assert_eq!(read.payload().is_empty(), frame.payload().is_empty());
    }
}

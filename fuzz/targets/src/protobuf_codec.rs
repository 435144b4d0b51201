//! The Protobuf codec beside prost's.

use bytes::Bytes;
use prost::Message as _;
use wspulse_core::codec::{Codec, InboundMessage, ProtobufCodec, ProtobufError};
use wspulse_core::{Frame, MessageKind, PayloadFormat};

use crate::other_codecs::write_in_each;

/// `wspulse.v1.Frame` without the room, which servers ignore.
#[derive(Clone, PartialEq, prost::Message)]
struct Reference {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    event: String,
    #[prost(oneof = "Payload", tags = "3, 4")]
    payload: Option<Payload>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Payload {
    #[prost(bytes = "bytes", tag = "3")]
    Data(Bytes),
    #[prost(string, tag = "4")]
    Json(String),
}

/// Decodes a message, which must give what prost gives, encodes what came out of it, which must
/// decode to the same, both here and by prost, writes it in the other formats, which must be those if
/// it can be written, and takes the message for a payload.
///
/// # Panics
///
/// If the library has a fault.
pub fn protobuf_codec(message: &[u8]) {
    let decoded = ProtobufCodec.decode(InboundMessage::lent(MessageKind::Binary, message));
    let owned = InboundMessage::owned(MessageKind::Binary, Bytes::copy_from_slice(message));
    let owned = ProtobufCodec.decode(owned);
    assert_eq!(owned.as_ref().ok(), decoded.as_ref().ok(), "whoever holds the message");

    let reference = Reference::decode(message);
    match decoded {
        Ok(frame) => {
            let reference = reference.expect("what is read here is read by others");
            assert_eq!(members_of(&frame), members_of_reference(reference));
            read_again(&frame);
            write_in_each(&frame);
        }
        Err(error) => {
            // Whatever it finds, it must come back.
            drop(ProtobufCodec.read_id(message));
            let error = error.get_ref().downcast_ref().expect("its own error");
            assert!(reference.is_err() || is_stricter(error), "{error}");
        }
    }
    encode_as_payload(message);
}

/// Whether others do not look: they take the last of several, skip groups, and read no JSON.
fn is_stricter(error: &ProtobufError) -> bool {
    matches!(
        error,
        ProtobufError::RepeatedMember { .. }
            | ProtobufError::Malformed { .. }
            | ProtobufError::NotJson(_)
    )
}

/// An id, an event, and a payload with its format.
type Members = (String, String, Bytes, PayloadFormat);

fn members_of(frame: &Frame) -> Members {
    (frame.id().to_owned(), frame.event().to_owned(), frame.payload().clone(), frame.format())
}

fn members_of_reference(Reference { id, event, payload }: Reference) -> Members {
    let (payload, format) = match payload {
        None => (Bytes::new(), PayloadFormat::Bytes),
        Some(Payload::Data(data)) => (data, PayloadFormat::Bytes),
        Some(Payload::Json(json)) => (json.into(), PayloadFormat::Json),
    };
    (id, event, payload, format)
}

fn read_again(frame: &Frame) {
    let mut message = Vec::new();
    ProtobufCodec.encode(frame, &mut message).expect("what was decoded can be encoded");
    let again = ProtobufCodec.decode(InboundMessage::lent(MessageKind::Binary, &message));
    assert_eq!(&again.expect("what was encoded can be decoded"), frame);
    let reference = Reference::decode(&message[..]).expect("what was encoded is Protobuf");
    let (id, event, payload, _) = members_of_reference(reference);
    assert_eq!((&*id, &*event, &payload), (frame.id(), frame.event(), frame.payload()));
}

/// Any bytes may be a payload.
fn encode_as_payload(payload: &[u8]) {
    read_again(&Frame::new("event").with_payload(payload.to_vec()));
}

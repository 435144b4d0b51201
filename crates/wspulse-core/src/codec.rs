//! How frames become WebSocket messages and back.

#[cfg(feature = "cbor")]
mod cbor;
mod json;
#[cfg(feature = "msgpack")]
mod msgpack;
#[cfg(feature = "protobuf")]
mod protobuf;
mod text;
mod transcode;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;

#[cfg(feature = "cbor")]
pub use cbor::CborCodec;
pub use json::{JsonCodec, JsonError};
#[cfg(feature = "msgpack")]
pub use msgpack::{MessagePackCodec, MessagePackError};
#[cfg(feature = "protobuf")]
pub use protobuf::{ProtobufCodec, ProtobufError};

#[cfg(feature = "cbor")]
pub use crate::cbor::CborError;
use crate::encoded::MessageKind;
use crate::escaped::Escaped;
use crate::frame::{Frame, PayloadFormat};

/// Turns frames into messages and messages into frames.
///
/// One codec serves all connections of a server that have it, from many threads at once.
pub trait Codec: Send + Sync + 'static {
    /// The name by which clients ask for it in the subprotocol `wspulse.1+<name>`: letters, digits
    /// and `-`. By default there is none, and that subprotocol is never negotiated; nor may it be
    /// for a codec whose text messages may begin with `[`, as control messages do.
    fn name(&self) -> Option<&str> {
        None
    }

    /// In which format it takes a payload to be of which nobody has said. On a server that has several
    /// codecs, that of the default one says so to the others. By default it is unknown.
    fn payload_format(&self) -> PayloadFormat {
        PayloadFormat::Unknown
    }

    /// The kind of WebSocket message that [`encode`](Self::encode) makes of `frame`; most codecs
    /// know only one. What goes out as [`MessageKind::Text`] must be valid UTF-8: a peer fails the
    /// connection otherwise (RFC 6455 §8.1).
    fn kind(&self, frame: &Frame) -> MessageKind;

    /// Appends the encoded `frame` to `out` and leaves what `out` holds already as it is.
    ///
    /// On a server that has several codecs, the payload may be in another [format](Frame::format) than
    /// this codec's.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if the frame cannot be expressed; what was appended by then is thrown away.
    fn encode(&self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// As [`encode`](Self::encode), for a server that tells its clients which room a frame is of: the
    /// message holds the room's name as well, in a place that clients who do not know of it skip. By
    /// default it does not.
    ///
    /// # Errors
    ///
    /// See [`encode`](Self::encode).
    fn encode_in_room(
        &self,
        frame: &Frame,
        _room: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.encode(frame, out)
    }

    /// Reads one whole message. Messages of either kind come here, whatever
    /// [`kind`](Self::kind) says; those of kind text are valid UTF-8.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the message is not a frame: it is dropped, logged and counted, and the
    /// connection goes on.
    fn decode(&self, message: InboundMessage<'_>) -> Result<Frame, DecodeError>;

    /// The id of a message that is no frame, as far as it can be read, so that whoever asked by it can
    /// be told. By default it cannot.
    fn read_id(&self, message: &[u8]) -> Option<ByteString> {
        let _ = message;
        None
    }
}

/// What is read of a message that is no frame.
#[derive(serde::Deserialize)]
struct IdOnly {
    #[serde(default)]
    id: String,
}

impl IdOnly {
    fn into_id(self) -> Option<ByteString> {
        let Self { id } = self;
        (!id.is_empty()).then(|| id.into())
    }
}

/// A received message, lent from the connection's read buffer where it arrived in one piece.
#[derive(Debug, Clone)]
pub struct InboundMessage<'a> {
    kind: MessageKind,
    bytes: Source<'a>,
}

#[derive(Debug, Clone)]
enum Source<'a> {
    Lent(&'a [u8]),
    Owned(Bytes),
}

impl<'a> InboundMessage<'a> {
    /// A message that lies in somebody else's buffer.
    pub const fn lent(kind: MessageKind, bytes: &'a [u8]) -> Self {
        Self { kind, bytes: Source::Lent(bytes) }
    }

    /// A message that has a buffer of its own, such as one put together from fragments.
    pub const fn owned(kind: MessageKind, bytes: Bytes) -> Self {
        Self { kind, bytes: Source::Owned(bytes) }
    }

    /// Whether the peer sent text or binary.
    pub const fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Looks at the message without taking it.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.bytes {
            Source::Lent(bytes) => bytes,
            Source::Owned(bytes) => bytes,
        }
    }

    /// Takes the message: without a copy if it has a buffer of its own, else with one. Slices of
    /// the result share its buffer.
    pub fn into_bytes(self) -> Bytes {
        match self.bytes {
            Source::Lent(bytes) => Bytes::copy_from_slice(bytes),
            Source::Owned(bytes) => bytes,
        }
    }
}

/// A frame that a codec cannot express.
#[derive(Debug)]
pub struct EncodeError(Box<dyn Error + Send + Sync>);

/// A message that is not a frame.
#[derive(Debug, Clone)]
pub struct DecodeError(Arc<dyn Error + Send + Sync>);

macro_rules! codec_error {
    ($name:ident, $text:literal) => {
        impl $name {
            /// Wraps the codec's own error, which stays reachable as the
            /// [`source`](Error::source).
            pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
                Self(source.into().into())
            }

            /// The codec's own error, to downcast to its type.
            pub fn get_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
                &*self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}: {}", $text, Escaped::display(&self.0))
            }
        }

        impl Error for $name {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&*self.0)
            }
        }
    };
}

codec_error!(EncodeError, "the frame cannot be encoded");
codec_error!(DecodeError, "the message cannot be decoded");

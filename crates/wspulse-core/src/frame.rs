//! The application's unit of exchange: an id, an event name and a payload, all optional.

mod payload;

use crate::escaped::Escaped;
use std::error::Error;

use bytes::Bytes;
use bytestring::ByteString;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What clients and server exchange: one frame is one WebSocket message.
///
/// All three members are optional; an empty one does not go on the wire. The payload is a value in
/// the codec's own format: with the default [`JsonCodec`](crate::codec::JsonCodec) it is one JSON
/// value, as text. A payload in a [format that is known](PayloadFormat) is written in another one by
/// the codec of that.
///
/// ```
/// use wspulse_core::Frame;
///
/// let frame = Frame::new("chat.message").json(&["hello", "world"])?;
/// assert_eq!(frame.payload(), &br#"["hello","world"]"#[..]);
///
/// let words: Vec<String> = frame.to_json()?;
/// assert_eq!(words, ["hello", "world"]);
/// # Ok::<(), wspulse_core::PayloadError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Frame {
    id: ByteString,
    event: ByteString,
    payload: Bytes,
    format: PayloadFormat,
    /// Whether the payload is known to be one value of its format, so that nobody need read it again
    /// to write it.
    is_one_value: bool,
}

/// In which format a payload is, as far as anybody has said.
///
/// Where clients have different codecs, a frame that comes from one may go to another. So the codecs
/// of this crate say of what they decode in which format it is, and so do [`Frame::json`],
/// `Frame::msgpack`, `Frame::cbor` and `Frame::protobuf`; each of them writes the others' payloads in
/// its own format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum PayloadFormat {
    /// Nobody has said. It is taken for the codec's own; on a server that has several codecs, for
    /// that of the default one.
    #[default]
    Unknown,
    /// JSON, as text.
    Json,
    /// MessagePack.
    MessagePack,
    /// CBOR.
    Cbor,
    /// Bytes that the application alone can read, such as a Protobuf message of its own. They are binary
    /// data in MessagePack and CBOR, and have no form in JSON.
    Bytes,
}

impl PayloadFormat {
    const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "a value",
            Self::Json => "JSON",
            Self::MessagePack => "MessagePack",
            Self::Cbor => "CBOR",
            Self::Bytes => "a value, since it is bytes",
        }
    }
}

impl Frame {
    /// Makes a frame with an event name, no id and no payload.
    pub fn new(event: impl Into<ByteString>) -> Self {
        Self { event: event.into(), ..Self::default() }
    }

    /// Sets the id, by which peers match replies to requests or tell duplicates apart.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<ByteString>) -> Self {
        self.id = id.into();
        self
    }

    /// Sets the event name, by which a router picks the handler.
    #[must_use]
    pub fn with_event(mut self, event: impl Into<ByteString>) -> Self {
        self.event = event.into();
        self
    }

    /// Sets the payload to bytes that are a value in the codec's format already, whichever that is:
    /// [`with_format`](Self::with_format) says.
    #[must_use]
    pub fn with_payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.payload = payload.into();
        self.format = PayloadFormat::Unknown;
        self.is_one_value = false;
        self
    }

    /// Sets the payload to what a codec has read, or a serializer has written, as one value.
    #[must_use]
    pub(crate) fn with_value(mut self, payload: Bytes, format: PayloadFormat) -> Self {
        self.payload = payload;
        self.format = format;
        self.is_one_value = true;
        self
    }

    /// Whether the payload is known to be one value of its format.
    #[inline]
    pub(crate) const fn is_one_value(&self) -> bool {
        self.is_one_value
    }

    /// Says in which format the payload is.
    #[must_use]
    pub const fn with_format(mut self, format: PayloadFormat) -> Self {
        self.format = format;
        self.is_one_value = false;
        self
    }

    /// Sets the payload to `value` as JSON.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] if `value` cannot be written as JSON, such as a map whose keys are not
    /// strings.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self, PayloadError> {
        let payload = serde_json::to_vec(value)
            .map_err(|source| PayloadError::encoding(&self.event, "JSON", source))?;
        Ok(self.with_value(payload.into(), PayloadFormat::Json))
    }

    /// Reads the payload as JSON, or as MessagePack or CBOR if it is known to be that. An absent
    /// payload reads as `null`.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] if the payload is not in that format or does not fit `T`.
    pub fn to_json<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        self.read(PayloadFormat::Json)
    }

    /// Sets the payload to `value` as MessagePack, structs as maps with named fields.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] if `value` cannot be written as MessagePack.
    #[cfg(feature = "msgpack")]
    pub fn msgpack<T: Serialize + ?Sized>(self, value: &T) -> Result<Self, PayloadError> {
        let payload = rmp_serde::to_vec_named(value)
            .map_err(|source| PayloadError::encoding(&self.event, "MessagePack", source))?;
        Ok(self.with_payload(payload).with_format(PayloadFormat::MessagePack))
    }

    /// Reads the payload as MessagePack, or as JSON or CBOR if it is known to be that. An absent
    /// payload reads as `nil`.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] if the payload is not in that format or does not fit `T`.
    #[cfg(feature = "msgpack")]
    pub fn to_msgpack<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        self.read(PayloadFormat::MessagePack)
    }

    /// Sets the payload to `value` as CBOR, structs as maps with named fields.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] if `value` cannot be written as CBOR.
    #[cfg(feature = "cbor")]
    pub fn cbor<T: Serialize + ?Sized>(self, value: &T) -> Result<Self, PayloadError> {
        let payload = payload::write_cbor(value)
            .map_err(|source| PayloadError::encoding(&self.event, "CBOR", source))?;
        Ok(self.with_payload(payload).with_format(PayloadFormat::Cbor))
    }

    /// Reads the payload as CBOR, or as JSON or MessagePack if it is known to be that. An absent
    /// payload reads as `null`, and so does `undefined`.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] if the payload is not in that format, nests more than 127 deep, or does not fit
    /// `T`.
    #[cfg(feature = "cbor")]
    pub fn to_cbor<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        self.read(PayloadFormat::Cbor)
    }

    /// Sets the payload to a Protobuf message of the application's own: to its
    /// [bytes](PayloadFormat::Bytes).
    ///
    /// ```
    /// # use wspulse_core::Frame;
    /// // Any message that prost has derived; this is `google.protobuf.StringValue`.
    /// let frame = Frame::new("greeting").protobuf(&String::from("hello"));
    /// assert_eq!(frame.to_protobuf::<String>()?, "hello");
    /// # Ok::<(), wspulse_core::PayloadError>(())
    /// ```
    #[cfg(feature = "protobuf")]
    #[must_use]
    pub fn protobuf(self, message: &impl prost::Message) -> Self {
        self.with_payload(message.encode_to_vec()).with_format(PayloadFormat::Bytes)
    }

    /// Reads the payload as a Protobuf message of the application's own. One that is known to be
    /// MessagePack or CBOR must be binary data as a whole. An absent payload reads as a message all of
    /// whose fields have their defaults.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] if the payload is known to be another value, or is no such message.
    #[cfg(feature = "protobuf")]
    pub fn to_protobuf<M: prost::Message + Default>(&self) -> Result<M, PayloadError> {
        payload::read_protobuf(&self.payload, self.format)
            .map_err(|source| PayloadError::decoding(&self.event, "Protobuf", source))
    }

    /// The binary data that the payload is as a whole; nothing if it is any other value.
    #[cfg(feature = "protobuf")]
    pub(crate) fn binary(&self) -> Result<Option<Vec<u8>>, Box<dyn Error + Send + Sync>> {
        payload::binary(&self.payload, self.format)
    }

    /// Reads the payload in the format that it is known to be in, or else in this one.
    fn read<T: DeserializeOwned>(&self, unknown: PayloadFormat) -> Result<T, PayloadError> {
        let known = match self.format {
            PayloadFormat::Unknown => unknown,
            PayloadFormat::Json
            | PayloadFormat::MessagePack
            | PayloadFormat::Cbor
            | PayloadFormat::Bytes => self.format,
        };
        payload::read(&self.payload, known)
            .map_err(|source| PayloadError::decoding(&self.event, known.name(), source))
    }

    /// The id; empty when there is none.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The event name; empty when there is none.
    pub fn event(&self) -> &str {
        &self.event
    }

    /// The payload's bytes as they came, or as they go out; empty when there is none.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// In which format the payload is.
    pub const fn format(&self) -> PayloadFormat {
        self.format
    }

    /// Takes the payload out of the frame.
    pub fn into_payload(self) -> Bytes {
        self.payload
    }
}

impl PartialEq for Frame {
    /// Whether both have the same id, event and payload, byte by byte, whatever is known of the
    /// payload's format.
    fn eq(&self, other: &Self) -> bool {
        (&self.id, &self.event, &self.payload) == (&other.id, &other.event, &other.payload)
    }
}

impl Eq for Frame {}

/// A payload that could not be made from, or read into, an application's type.
#[derive(Debug, thiserror::Error)]
#[error("payload of event {event:?} {problem} {format}: {}", Escaped::display(source))]
pub struct PayloadError {
    event: String,
    problem: &'static str,
    format: &'static str,
    source: Box<dyn Error + Send + Sync>,
}

impl PayloadError {
    fn encoding(
        event: &str,
        format: &'static str,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        let problem = "cannot be written as";
        Self { event: event.to_owned(), problem, format, source: source.into() }
    }

    fn decoding(
        event: &str,
        format: &'static str,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        let problem = "does not fit the wanted type as";
        Self { event: event.to_owned(), problem, format, source: source.into() }
    }

    /// The event name of the frame whose payload it was.
    pub fn event(&self) -> &str {
        &self.event
    }

    /// Its text without the cause's, which may hold a value out of the payload. For logs and traces,
    /// which should hold nothing that a client has said but the names of events.
    ///
    /// ```
    /// let frame = wspulse_core::Frame::new("login").with_payload(r#""hunter2""#);
    /// let error = frame.to_json::<u32>().unwrap_err();
    /// assert!(error.to_string().contains("hunter2"));
    /// assert_eq!(
    ///     error.summary(),
    ///     r#"payload of event "login" does not fit the wanted type as JSON, at line 1, column 9"#
    /// );
    /// ```
    pub fn summary(&self) -> String {
        let Self { event, problem, format, source } = self;
        let what = format!("payload of event {event:?} {problem} {format}");
        match source.downcast_ref::<serde_json::Error>() {
            Some(error) if error.line() > 0 => {
                format!("{what}, at line {}, column {}", error.line(), error.column())
            }
            Some(_) | None => what,
        }
    }
}

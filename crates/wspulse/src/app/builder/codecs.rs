//! The options of how frames become messages.

use std::sync::Arc;

use wspulse_core::codec::Codec;

use super::ServerBuilder;

impl ServerBuilder {
    /// How frames become messages, for plain clients, and for those of `wspulse.1` that ask for it.
    /// Default: [`JsonCodec`](crate::codec::JsonCodec).
    pub fn codec(mut self, codec: impl Codec) -> Self {
        self.options.codecs.set_default(Arc::new(codec));
        self
    }

    /// Another codec beside the default one, for clients of `wspulse.1` that ask for it by its
    /// [name](Codec::name). A client has the first codec that it offers and the server has, and keeps
    /// it for its session's life. Plain clients have the default codec. Default: none; 8 codecs at
    /// most, the default one counted.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wspulse::codec::MessagePackCodec;
    /// use wspulse::{Admission, Delivery, Server};
    ///
    /// let server = Server::builder_sync(|_| Ok(Admission::room("lobby")))
    ///     .also_codec(MessagePackCodec)
    ///     .delivery(Delivery::ExactlyOnce)
    ///     .resume_window(Duration::from_secs(60))
    ///     .build()?;
    /// # Ok::<(), wspulse::ConfigError>(())
    /// ```
    ///
    /// Members of one room may have different codecs. A broadcast is encoded once for each that
    /// members have. A payload whose [format](crate::PayloadFormat) is known, as of what clients send
    /// and of what [`Frame::json`](crate::Frame::json) makes, is written to each in the format
    /// of the codec that they have. One of which nobody has said in which format
    /// it is, is in that of the default codec. [`Frame::to_json`](crate::Frame::to_json) reads each of
    /// the formats; whoever reads the payload's bytes themselves looks at
    /// [`Frame::format`](crate::Frame::format) first. A codec of your own gets payloads of any format.
    ///
    /// [`build`](Self::build) refuses one without a name or with the name of another, and any of them
    /// without [`Delivery::ExactlyOnce`](crate::Delivery::ExactlyOnce), with which alone clients can
    /// ask.
    pub fn also_codec(mut self, codec: impl Codec) -> Self {
        self.options.codecs.add(Arc::new(codec));
        self
    }

    /// Compresses messages for clients that offer permessage-deflate (RFC 7692), and takes compressed
    /// ones of theirs. Default: none are. With the feature `compression`.
    ///
    /// A frame is compressed once for all members of a room, as the first of them is written to, and once
    /// more for clients that ask for a smaller window. A connection holds nothing of that, idle or busy;
    /// each thread holds 300 KiB for each of the two windows that it has used. What waits in send buffers counts
    /// as it is. Clients that do not offer it, and proxies that take the offer out, get plain messages.
    ///
    /// A client's message has no more bytes than [`max_message_size`](Self::max_message_size) once it
    /// is inflated, and is inflated no further; it counts by them where rates are bound.
    ///
    /// Where frames hold a secret beside something that others can choose, send them
    /// [uncompressed](crate::Frame::uncompressed).
    ///
    /// ```
    /// use wspulse::{Admission, Compression, Server};
    ///
    /// let server = Server::builder_sync(|_| Ok(Admission::room("lobby")))
    ///     .compression(Compression::shared().min_bytes(512))
    ///     .build()?;
    /// # Ok::<(), wspulse::ConfigError>(())
    /// ```
    #[cfg(feature = "compression")]
    pub const fn compression(mut self, compression: crate::Compression) -> Self {
        self.options.compressing = Some(compression);
        self
    }
}

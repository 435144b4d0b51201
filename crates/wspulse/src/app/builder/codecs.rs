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
}

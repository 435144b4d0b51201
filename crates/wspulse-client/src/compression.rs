//! Whether messages are compressed, and what is agreed on with the server.

#[cfg(feature = "compression")]
pub use with::Compression;
#[cfg(feature = "compression")]
pub(crate) use with::{Agreed, AnswerError, Compressing, offer};
#[cfg(not(feature = "compression"))]
pub(crate) use without::{Agreed, AnswerError, Compressing, offer};

#[cfg(feature = "compression")]
mod with {
    use http::header::{HeaderMap, HeaderValue, SEC_WEBSOCKET_EXTENSIONS};
    pub(crate) use wspulse_core::deflate::AnswerError;
    use wspulse_core::deflate::{self, Level, WindowBits};
    use wspulse_core::websocket::Decoder;

    /// The shortest message that is compressed by default, as by the server.
    const BYTES_MIN: usize = 256;

    /// How messages are compressed, with servers that accept it: see
    /// [`ClientBuilder::compression`](crate::ClientBuilder::compression).
    ///
    /// ```
    /// use wspulse_client::{Client, Compression};
    ///
    /// let compression = Compression::new().min_bytes(512);
    /// let builder = Client::builder("ws://127.0.0.1:3000/ws").compression(compression);
    /// # drop(builder);
    /// ```
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Compression {
        bytes_min: usize,
        level: Level,
    }

    impl Compression {
        /// Messages of at least 256 bytes, at level 6, each by itself: no context is taken over from one to
        /// the next, in either direction. What would not get smaller goes as it is.
        pub const fn new() -> Self {
            Self { bytes_min: BYTES_MIN, level: Level::new(6) }
        }

        /// Compresses messages of at least so many bytes: 256 without this. With [`usize::MAX`] none is
        /// compressed, and those of the server may be.
        #[must_use]
        pub const fn min_bytes(mut self, bytes: usize) -> Self {
            self.bytes_min = bytes;
            self
        }

        /// How hard to try, from 1, which is fast, to 9, which is small: 6 without this. What is below or
        /// above counts as these.
        #[must_use]
        pub const fn level(mut self, level: u8) -> Self {
            self.level = Level::new(level);
            self
        }
    }

    impl Default for Compression {
        fn default() -> Self {
            Self::new()
        }
    }

    /// What the client was told of that.
    pub(crate) type Compressing = Option<Compression>;

    /// The value of the handshake's `Sec-WebSocket-Extensions`, if there is anything to offer.
    pub(crate) fn offer(compressing: Compressing) -> Option<&'static str> {
        compressing.map(|_| deflate::OFFER)
    }

    /// What was agreed on with the server of one transport.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Agreed(Option<Compression>);

    impl Agreed {
        /// Of the headers of the server's answer.
        pub(crate) fn of(
            compressing: Compressing,
            headers: &HeaderMap,
        ) -> Result<Self, AnswerError> {
            let values = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter();
            let values: Result<Vec<_>, _> = values.map(HeaderValue::to_str).collect();
            let values = values.map_err(|_| AnswerError::Malformed)?;
            if values.is_empty() {
                return Ok(Self(None));
            }
            deflate::check_answer(values.iter().copied())?;
            match compressing {
                Some(compression) => Ok(Self(Some(compression))),
                None => Err(AnswerError::NotOffered(values.join(", "))),
            }
        }

        pub(crate) const fn decoder(self, decoder: Decoder) -> Decoder {
            if self.0.is_some() { decoder.with_deflate() } else { decoder }
        }

        /// What a message goes as, if that is not as it is.
        pub(crate) fn compressed(self, message: &[u8]) -> Option<Vec<u8>> {
            let Compression { bytes_min, level } = self.0?;
            if message.len() < bytes_min {
                return None;
            }
            // The server may not ask for a smaller window: the offer does not name the client's.
            deflate::compress(message, WindowBits::MAX, level)
        }
    }
}

#[cfg(not(feature = "compression"))]
mod without {
    use http::header::{HeaderMap, SEC_WEBSOCKET_EXTENSIONS};
    use wspulse_core::websocket::Decoder;

    /// The server has chosen an extension, and none was offered.
    #[derive(Debug, thiserror::Error)]
    #[error("the server has chosen an extension, and none was offered")]
    pub(crate) struct AnswerError;

    #[derive(Debug, Clone, Copy, Default)]
    pub(crate) struct Compressing(());

    pub(crate) const fn offer(_: Compressing) -> Option<&'static str> {
        None
    }

    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Agreed(());

    #[expect(clippy::unused_self, reason = "as with the feature")]
    impl Agreed {
        pub(crate) fn of(_: Compressing, headers: &HeaderMap) -> Result<Self, AnswerError> {
            if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
                Err(AnswerError)
            } else {
                Ok(Self(()))
            }
        }

        pub(crate) const fn decoder(self, decoder: Decoder) -> Decoder {
            decoder
        }

        pub(crate) const fn compressed(self, _: &[u8]) -> Option<Vec<u8>> {
            None
        }
    }
}

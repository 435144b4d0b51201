//! Whether messages are compressed, and what is agreed on with a client.

#[cfg(feature = "compression")]
pub use with::Compression;
#[cfg(feature = "compression")]
pub(crate) use with::{Agreed, Compressing, longest};
#[cfg(not(feature = "compression"))]
pub(crate) use without::{Agreed, Compressing, longest};

/// How many bytes a message of the greatest length may take on its way, its headers left aside.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Longest {
    Plain(usize),
    /// One that cannot be made smaller gets longer.
    #[cfg(feature = "compression")]
    Compressed(usize),
}

/// What the client has sent is no list of extensions.
#[derive(Debug)]
pub(crate) struct MalformedOffers;

#[cfg(feature = "compression")]
mod with {
    use http::header::{HeaderMap, HeaderValue, SEC_WEBSOCKET_EXTENSIONS};
    use wspulse_core::deflate::{self, Level};
    use wspulse_core::outbound::{Deflated, Form};
    use wspulse_core::websocket::{Decoder, compressed_bytes_max};

    use super::{Longest, MalformedOffers};

    /// The shortest message that is compressed by default: a shorter one saves less than a packet's headers
    /// take.
    const BYTES_MIN: usize = 256;

    /// How messages are compressed, both ways, for clients that offer permessage-deflate (RFC 7692): see
    /// [`ServerBuilder::compression`](crate::ServerBuilder::compression).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Compression {
        bytes_min: usize,
        level: Level,
    }

    impl Compression {
        /// Each message by itself, so that one compressed form serves all members of a room, and no
        /// connection holds a deflater: no context is taken over, in either direction. Messages of less
        /// than 256 bytes go as they are, and so does what would not get smaller.
        pub const fn shared() -> Self {
            Self { bytes_min: BYTES_MIN, level: Level::new(6) }
        }

        /// Compresses messages of at least so many bytes, as the codec writes them: 256 without this. With
        /// 524,287 or more, such as `usize::MAX`, the server takes compressed messages and sends none.
        #[must_use]
        pub const fn min_bytes(mut self, bytes: usize) -> Self {
            self.bytes_min = bytes;
            self
        }

        /// How hard to try, from 1, which is fast, to 9, which is small: 6 without this. What is below or
        /// above counts as these. 1 is the same as 2 so far.
        #[must_use]
        pub const fn level(mut self, level: u8) -> Self {
            self.level = Level::new(level);
            self
        }
    }

    /// What the server was told of that.
    pub(crate) type Compressing = Option<Compression>;

    pub(crate) const fn longest(compressing: Compressing, message_bytes_max: usize) -> Longest {
        match compressing {
            Some(_) => Longest::Compressed(compressed_bytes_max(message_bytes_max, 1)),
            None => Longest::Plain(message_bytes_max),
        }
    }

    /// What was agreed on with the client of one transport.
    #[derive(Debug, Clone, Copy, Default)]
    pub(crate) struct Agreed(Option<(deflate::Agreed, Compression)>);

    impl Agreed {
        pub(crate) fn of(
            compressing: Compressing,
            headers: &HeaderMap,
        ) -> Result<Self, MalformedOffers> {
            let Some(compression) = compressing else { return Ok(Self(None)) };
            let values = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter();
            let values: Result<Vec<_>, _> = values.map(HeaderValue::to_str).collect();
            let agreed = deflate::agree(values.map_err(|_| MalformedOffers)?);
            let agreed = agreed.map_err(|_| MalformedOffers)?;
            Ok(Self(agreed.map(|agreed| (agreed, compression))))
        }

        /// The answer's header, if there is anything to answer.
        pub(crate) fn answer(self) -> Option<HeaderValue> {
            HeaderValue::try_from(self.0?.0.to_string()).ok()
        }

        pub(crate) const fn decoder(self, decoder: Decoder) -> Decoder {
            if self.0.is_some() { decoder.with_deflate() } else { decoder }
        }

        /// In which form frames are written.
        pub(crate) fn form(self) -> Form {
            let Some((agreed, Compression { bytes_min, level })) = self.0 else {
                return Form::Plain;
            };
            Form::Deflated(Deflated::new(agreed.window(), level, bytes_min))
        }
    }
}

#[cfg(not(feature = "compression"))]
mod without {
    use http::header::{HeaderMap, HeaderValue};
    use wspulse_core::outbound::Form;
    use wspulse_core::websocket::Decoder;

    use super::{Longest, MalformedOffers};

    #[derive(Debug, Clone, Copy, Default)]
    pub(crate) struct Compressing(());

    pub(crate) const fn longest(_: Compressing, message_bytes_max: usize) -> Longest {
        Longest::Plain(message_bytes_max)
    }

    #[derive(Debug, Clone, Copy, Default)]
    pub(crate) struct Agreed(());

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with the feature")]
    impl Agreed {
        pub(crate) const fn of(_: Compressing, _: &HeaderMap) -> Result<Self, MalformedOffers> {
            Ok(Self(()))
        }

        pub(crate) const fn answer(self) -> Option<HeaderValue> {
            None
        }

        pub(crate) const fn decoder(self, decoder: Decoder) -> Decoder {
            decoder
        }

        pub(crate) const fn form(self) -> Form {
            Form::Plain
        }
    }
}

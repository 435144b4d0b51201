//! The codecs of a server: the default one, and those that clients may ask for beside it.

use std::iter;
use std::sync::Arc;

use wspulse_core::codec::{Codec, EncodeError, JsonCodec};
use wspulse_core::{EncodedFrame, Frame, Marks, PayloadFormat};

use crate::settings::error::ConfigError;
use crate::settings::options::DeliveryOptions;

/// How many codecs a server may have. More than there are formats that people use, and few enough
/// for a set of them to be a byte.
pub(crate) const CODECS_MAX: usize = 8;

/// The default codec, and those beside it.
pub(crate) struct Codecs {
    default: Arc<dyn Codec>,
    further: Vec<Arc<dyn Codec>>,
}

/// Which of its server's codecs a session has, for its whole life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CodecId(u8);

/// Some of a server's codecs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CodecSet(u8);

impl Default for Codecs {
    fn default() -> Self {
        Self { default: Arc::new(JsonCodec), further: Vec::new() }
    }
}

impl Codecs {
    #[inline]
    pub(crate) fn of(&self, id: CodecId) -> &dyn Codec {
        if id == CodecId::DEFAULT { &*self.default } else { self.further(id) }
    }

    /// Apart, so that the way to the default one is two instructions longer than without it.
    #[inline(never)]
    fn further(&self, id: CodecId) -> &dyn Codec {
        &*self.further[id.place() - 1]
    }

    pub(crate) fn default_codec(&self) -> &dyn Codec {
        &*self.default
    }

    pub(crate) fn set_default(&mut self, codec: Arc<dyn Codec>) {
        self.default = codec;
    }

    pub(crate) fn add(&mut self, codec: Arc<dyn Codec>) {
        self.further.push(codec);
    }

    /// All of them, the default one first.
    pub(crate) fn all(&self) -> CodecSet {
        let all = CodecId::ALL.into_iter().take(1 + self.further.len());
        all.fold(CodecSet::NONE, CodecSet::with)
    }

    #[inline]
    pub(crate) fn are_several(&self) -> bool {
        !self.further.is_empty()
    }

    /// The one that clients ask for by this name.
    pub(crate) fn named(&self, name: &str) -> Option<CodecId> {
        let codecs = iter::once(&self.default).chain(&self.further);
        let mut known = CodecId::ALL.into_iter().zip(codecs);
        known.find(|(_, codec)| codec.name() == Some(name)).map(|(id, _)| id)
    }

    /// A payload in a format that nobody has named is in the default codec's.
    pub(crate) fn encode(&self, id: CodecId, frame: &Frame) -> Result<EncodedFrame, EncodeError> {
        if id != CodecId::DEFAULT && frame.format() == PayloadFormat::Unknown {
            let frame = frame.clone().with_format(self.default.payload_format());
            return EncodedFrame::encode(self.of(id), &frame);
        }
        EncodedFrame::encode(self.of(id), frame)
    }

    /// As [`encode`](Self::encode), with the marks of a frame that has some.
    pub(crate) fn encode_marked(
        &self,
        id: CodecId,
        frame: &Frame,
        marks: &Marks,
    ) -> Result<EncodedFrame, EncodeError> {
        if id != CodecId::DEFAULT && frame.format() == PayloadFormat::Unknown {
            let frame = frame.clone().with_format(self.default.payload_format());
            return EncodedFrame::encode_marked(self.of(id), &frame, marks);
        }
        EncodedFrame::encode_marked(self.of(id), frame, marks)
    }

    pub(crate) fn check(&self, delivery: &DeliveryOptions) -> Result<(), ConfigError> {
        const OPTION: &str = "also_codec";
        if self.further.is_empty() {
            return Ok(());
        }
        if 1 + self.further.len() > CODECS_MAX {
            let rule = "there may be at most 8 codecs, the default one counted";
            return Err(ConfigError::new(OPTION, 1 + self.further.len(), rule));
        }
        let mut names: Vec<_> = self.default.name().into_iter().collect();
        for codec in &self.further {
            let name = codec.name();
            let Some(name) = name.filter(|name| is_name(name)) else {
                let rule = "clients ask for it by a name of letters, digits and -";
                return Err(ConfigError::new(OPTION, name, rule));
            };
            if names.contains(&name) {
                return Err(ConfigError::new(OPTION, name, "no two codecs may have one name"));
            }
            names.push(name);
        }
        if !delivery.offers_exchange() {
            let rule =
                "only clients of wspulse.1 can ask for it, which takes Delivery::ExactlyOnce";
            return Err(ConfigError::new(OPTION, delivery.level, rule));
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl CodecId {
    /// That of plain clients.
    pub(crate) const DEFAULT: Self = Self(0);

    /// All that there may be.
    pub(crate) const ALL: [Self; CODECS_MAX] =
        [Self(0), Self(1), Self(2), Self(3), Self(4), Self(5), Self(6), Self(7)];

    /// Its place in an array that has one for each codec.
    #[inline]
    pub(crate) fn place(self) -> usize {
        self.0.into()
    }
}

impl CodecSet {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) const fn with(self, id: CodecId) -> Self {
        Self(self.0 | 1 << id.0)
    }

    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of this set that the other one has not.
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = CodecId> {
        CodecId::ALL.into_iter().filter(move |id| self.0 & 1 << id.0 != 0)
    }
}

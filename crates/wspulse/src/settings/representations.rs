//! A frame as those of a room get it who have different codecs.

use wspulse_core::codec::EncodeError;
use wspulse_core::{EncodedFrame, Frame, Marks};

use crate::settings::codecs::{CODECS_MAX, CodecId, CodecSet, Codecs};

/// A frame in each codec that a room's members have: encoded at most once for each, and shared by
/// all members of that codec.
///
/// The codec is all that tells two representations apart. What else may come to, such as a
/// compression that was negotiated, belongs in here, as a key beside the codec, and in what a room
/// counts of its members (`room/present.rs`).
pub(crate) struct Representations<'a> {
    codecs: &'a Codecs,
    frame: &'a Frame,
    marks: Option<&'a Marks>,
    made: [Option<EncodedFrame>; CODECS_MAX],
    given_up: CodecSet,
}

/// What a frame can be made of later, in any codec, as it would have been made at once.
pub(crate) struct Source {
    frame: Frame,
    marks: Option<Marks>,
}

/// A codec cannot express the frame.
pub(crate) struct NotExpressed {
    /// The codec's name, if it has one.
    pub(crate) codec: Option<String>,
    pub(crate) source: EncodeError,
}

impl<'a> Representations<'a> {
    pub(crate) fn new(codecs: &'a Codecs, frame: &'a Frame, marks: Option<&'a Marks>) -> Self {
        let given_up = CodecSet::NONE;
        Self { codecs, frame, marks, made: Default::default(), given_up }
    }

    /// As [`new`](Self::new), of a frame that has come encoded.
    pub(crate) fn with_made(mut self, id: CodecId, encoded: EncodedFrame) -> Self {
        self.made[id.place()] = Some(encoded);
        self
    }

    /// Makes those that are missing. It calls the application's codecs: hold no lock.
    pub(crate) fn make(&mut self, missing: CodecSet) -> Result<(), NotExpressed> {
        for id in missing.iter() {
            self.make_of(id, self.frame)?;
        }
        Ok(())
    }

    /// Makes one of another frame: what its codec can express of this one. As with
    /// [`make`](Self::make), hold no lock.
    pub(crate) fn make_of(&mut self, id: CodecId, frame: &Frame) -> Result<(), NotExpressed> {
        let encoded = encode(self.codecs, id, frame, self.marks).map_err(|source| {
            let codec = self.codecs.of(id).name().map(str::to_owned);
            NotExpressed { codec, source }
        })?;
        self.made[id.place()] = Some(encoded);
        Ok(())
    }

    /// Those who have this codec get nothing.
    pub(crate) fn give_up(&mut self, id: CodecId) {
        self.given_up = self.given_up.with(id);
    }

    /// The codecs that have theirs, or for which it was given up.
    pub(crate) fn settled(&self) -> CodecSet {
        self.made().union(self.given_up)
    }

    /// The codecs that have theirs.
    pub(crate) fn made(&self) -> CodecSet {
        let places = CodecId::ALL.into_iter().zip(&self.made);
        let made = places.filter(|(_, made)| made.is_some());
        made.fold(CodecSet::NONE, |set, (id, _)| set.with(id))
    }

    pub(crate) fn of(&self, id: CodecId) -> Option<&EncodedFrame> {
        self.made[id.place()].as_ref()
    }

    /// Whether it is worth sending at once or not at all.
    pub(crate) fn is_volatile(&self) -> bool {
        self.marks.is_some_and(|marks| marks.is_volatile)
    }

    /// All that were made.
    pub(crate) fn each(&self) -> impl Iterator<Item = (CodecId, &EncodedFrame)> {
        let places = CodecId::ALL.into_iter().zip(&self.made);
        places.filter_map(|(id, made)| Some((id, made.as_ref()?)))
    }

    /// What it was made of, on a server on which it may have to be made in another codec.
    pub(crate) fn source(&self) -> Option<Source> {
        let is_needed = self.codecs.are_several();
        is_needed.then(|| Source { frame: self.frame.clone(), marks: self.marks.cloned() })
    }

    /// By what a newer frame takes its place.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        Some(self.marks?.key.as_ref()?.as_bytes())
    }

    /// The payloads of all that were made, in bytes.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.made.iter().flatten().map(EncodedFrame::payload_bytes).sum()
    }
}

impl Source {
    /// It calls the application's codecs: hold no lock.
    pub(crate) fn encode(&self, codecs: &Codecs, id: CodecId) -> Result<EncodedFrame, EncodeError> {
        encode(codecs, id, &self.frame, self.marks.as_ref())
    }

    pub(crate) fn key(&self) -> Option<&[u8]> {
        Some(self.marks.as_ref()?.key.as_ref()?.as_bytes())
    }

    /// What it holds of its own; a room's name is shared.
    pub(crate) fn bytes(&self) -> usize {
        let frame = &self.frame;
        let key_bytes = self.key().map_or(0, <[u8]>::len);
        frame.id().len() + frame.event().len() + frame.payload().len() + key_bytes
    }
}

fn encode(
    codecs: &Codecs,
    id: CodecId,
    frame: &Frame,
    marks: Option<&Marks>,
) -> Result<EncodedFrame, EncodeError> {
    match marks {
        None => codecs.encode(id, frame),
        Some(marks) => codecs.encode_marked(id, frame, marks),
    }
}

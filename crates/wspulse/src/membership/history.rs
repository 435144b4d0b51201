//! What a room was told of late, for those who join it.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;
use wspulse_core::EncodedFrame;

use crate::ground::queued_bytes::QueuedBytes;
use crate::membership::shared::ConnectionShared;
use crate::settings::codecs::{CODECS_MAX, CodecId, CodecSet};
use crate::settings::representations::{Representations, Source};
use crate::settings::room_options::HistoryBounds;

/// The last frames of a room, oldest first. It changes under the group's lock, which decides where
/// it ends and what is live begins.
pub(crate) struct History {
    bounds: HistoryBounds,
    /// Those of the whole server.
    held: Arc<QueuedBytes>,
    entries: VecDeque<Entry>,
    /// That of the next one.
    next_number: u64,
    /// How many are about to join, by their codec: what comes meanwhile is encoded for them too.
    expected: [usize; CODECS_MAX],
}

struct Entry {
    /// Counts up in the order of the entries.
    number: u64,
    recorded_at: Instant,
    /// What it counts as.
    bytes: usize,
    made: Vec<(CodecId, EncodedFrame)>,
    /// To encode it for those of another codec, on a server that has several.
    source: Option<Arc<Source>>,
}

/// What is there for somebody who is about to join.
#[derive(Default)]
pub(crate) struct Prepared {
    /// It is counted among those who are expected.
    is_expected: bool,
    /// What was kept before it was expected and is now there in its codec, by number.
    encoded: Vec<(u64, EncodedFrame)>,
    /// What goes before and behind.
    pub(crate) marks: Option<[EncodedFrame; 2]>,
}

impl Prepared {
    /// Encodes what is lacking. No lock may be held.
    pub(crate) fn expected(
        lacking: &[(u64, Arc<Source>)],
        encode: impl Fn(&Source) -> Option<EncodedFrame>,
    ) -> Self {
        let encoded =
            lacking.iter().filter_map(|(number, source)| Some((*number, encode(source)?)));
        Self { is_expected: true, encoded: encoded.collect(), marks: None }
    }
}

impl History {
    pub(crate) const fn new(bounds: HistoryBounds, held: Arc<QueuedBytes>) -> Self {
        let expected = [0; CODECS_MAX];
        Self { bounds, held, entries: VecDeque::new(), next_number: 0, expected }
    }

    /// Keeps a frame of a server that has one codec.
    pub(super) fn record(&mut self, frame: &EncodedFrame) {
        if frame.is_volatile() {
            return;
        }
        self.conflate(frame.key());
        self.keep(vec![(CodecId::DEFAULT, frame.clone())], None);
    }

    pub(super) fn record_all(&mut self, frames: &Representations<'_>) {
        if frames.is_volatile() {
            return;
        }
        self.conflate(frames.key());
        // Nobody else may be there, but somebody may come.
        let made: Vec<_> = frames.each().map(|(codec, frame)| (codec, frame.clone())).collect();
        let source = frames.source().map(Arc::new);
        if source.is_some() || !made.is_empty() {
            self.keep(made, source);
        }
    }

    /// A newer frame takes the place of an older one with its key.
    fn conflate(&mut self, key: Option<&[u8]>) {
        if key.is_none() {
            return;
        }
        let place = self.entries.iter().position(|older| older.key() == key);
        if let Some(older) = place.and_then(|place| self.entries.remove(place)) {
            self.held.release(older.bytes);
        }
    }

    fn keep(&mut self, made: Vec<(CodecId, EncodedFrame)>, source: Option<Arc<Source>>) {
        let recorded_at = Instant::now();
        self.forget_old(recorded_at);
        let source_bytes = source.as_ref().map_or(0, |source| source.bytes());
        let bytes = source_bytes + made.iter().map(|(_, frame)| frame.wire_bytes()).sum::<usize>();
        if self.bounds.frames == 0 || !self.charge(bytes) {
            return;
        }
        if self.entries.len() == self.bounds.frames {
            self.forget_oldest();
        }
        let number = self.next_number;
        self.next_number += 1;
        self.entries.push_back(Entry { number, recorded_at, bytes, made, source });
    }

    /// Makes room for so many bytes, if need be by forgetting the oldest; all are forgotten where
    /// that is not enough, as there is to be no gap.
    fn charge(&mut self, bytes: usize) -> bool {
        while self.held.try_exchange(0, bytes).is_err() {
            if !self.forget_oldest() {
                return false;
            }
        }
        true
    }

    fn forget_old(&mut self, now: Instant) {
        let age = self.bounds.age;
        while self.entries.front().is_some_and(|entry| now - entry.recorded_at >= age) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let Some(entry) = self.entries.pop_front() else { return false };
        self.held.release(entry.bytes);
        true
    }

    /// The room is empty.
    pub(super) fn clear(&mut self) {
        while self.forget_oldest() {}
        self.entries = VecDeque::new();
    }

    /// Somebody of this codec is about to join: what comes from now on will be there in it. Returns
    /// what is not.
    pub(super) fn expect(&mut self, codec: CodecId) -> Vec<(u64, Arc<Source>)> {
        self.expected[codec.place()] += 1;
        let lacking = self.entries.iter().filter(|entry| entry.in_codec(codec).is_none());
        lacking.filter_map(|entry| Some((entry.number, entry.source.clone()?))).collect()
    }

    /// It joins now, or does not.
    pub(super) fn settle(&mut self, codec: CodecId, prepared: &mut Prepared) {
        if !prepared.is_expected {
            return;
        }
        self.expected[codec.place()] -= 1;
        for (number, frame) in prepared.encoded.drain(..) {
            let bytes = frame.wire_bytes();
            if !self.charge(bytes) {
                return;
            }
            let place = self.entries.binary_search_by_key(&number, |entry| entry.number);
            match place.ok().and_then(|place| self.entries.get_mut(place)) {
                Some(entry) if entry.in_codec(codec).is_none() => {
                    entry.bytes += bytes;
                    entry.made.push((codec, frame));
                }
                Some(_) | None => self.held.release(bytes),
            }
        }
    }

    /// In which codecs what comes must be there.
    pub(super) fn codecs(&self) -> CodecSet {
        let expected = CodecId::ALL.into_iter().zip(self.expected).filter(|(_, count)| *count > 0);
        expected.fold(CodecSet::NONE, |set, (codec, _)| set.with(codec))
    }

    /// Gives it to somebody who has just joined.
    pub(super) fn give(&mut self, connection: &ConnectionShared, prepared: Prepared) {
        self.forget_old(Instant::now());
        let codec = connection.mailbox.codec();
        let frames: Vec<_> =
            self.entries.iter().filter_map(|entry| entry.in_codec(codec)).collect();
        let queued_bytes = connection.server.queued_bytes();
        connection.mailbox.give_history(&frames, prepared.marks, queued_bytes);
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Entry {
    fn key(&self) -> Option<&[u8]> {
        match &self.source {
            Some(source) => source.key(),
            None => self.made.first().and_then(|(_, frame)| frame.key()),
        }
    }

    fn in_codec(&self, codec: CodecId) -> Option<&EncodedFrame> {
        self.made.iter().find(|(known, _)| *known == codec).map(|(_, frame)| frame)
    }
}

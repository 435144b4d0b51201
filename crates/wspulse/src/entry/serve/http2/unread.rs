//! What has come for the streams of a connection and was not read of them yet.
//!
//! h2 keeps each DATA frame by itself, with the whole piece of its read buffer that the frame came in,
//! and has a budget for what that costs beyond the bytes: a connection that is over it ends. So h2 gets
//! few frames that nobody reads. The others wait here, as nothing but their bytes, until those are read
//! that h2 has; then they go on together. How much waits is bounded by the window of each stream.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::task::Waker;

use super::frames::{self, HEADER_BYTES, Header, Written, flag};
use super::inbound::{Inbound, Passed, ReadBy};
use super::unsure::{TooMuchUnread, Unsure};
use crate::wire::transport::Reading;

/// How many frames of one WebSocket h2 may have: one is being read, and the next ones are there when
/// that is done.
const WEBSOCKET_FRAMES_MAX: usize = 4;
/// A stream's window until the peer has heard of another (RFC 9113 §6.9.2).
const WINDOW_BYTES_BEFORE_SETTINGS: usize = 65_535;

pub(super) struct Unread {
    /// In their order, so that what is done for all of them is always done alike.
    streams: BTreeMap<u32, Inbound>,
    /// Those of which more may go on.
    due: BTreeSet<u32>,
    /// Those that wait for others to be read.
    behind_others: BTreeSet<u32>,
    unsure: Unsure,
    /// The stream whose head h2 has got last, until the next.
    opening: Option<u32>,
    /// Whether h2 is to read on, though nothing may have come.
    has_turn: bool,
    window_bytes: usize,
    /// Whether the peer knows the windows.
    is_window_known: bool,
    connection: Option<Waker>,
}

impl Unread {
    pub(super) fn new(window_bytes: u32) -> Self {
        Self {
            streams: BTreeMap::new(),
            due: BTreeSet::new(),
            behind_others: BTreeSet::new(),
            unsure: Unsure::default(),
            opening: None,
            has_turn: false,
            window_bytes: window_bytes as usize,
            is_window_known: false,
            connection: None,
        }
    }

    /// A request has come, whose head is the last that h2 has got: its stream, if more may come of it.
    pub(super) fn open(&mut self) -> Option<u32> {
        let stream = self.opening.take()?;
        self.streams.insert(stream, Inbound::new());
        Some(stream)
    }

    /// Whether h2 is to read on before the connection waits. It is told once.
    pub(super) const fn take_turn(&mut self) -> bool {
        std::mem::replace(&mut self.has_turn, false)
    }

    /// Who reads a stream says so: what wakes the connection, if more may go on.
    pub(super) fn hear(&mut self, stream: u32, reading: Reading) -> Option<Waker> {
        match reading {
            Reading::Begins => self.set_reader(stream, ReadBy::WebSocket),
            Reading::Bytes(bytes) => self.read(stream, bytes),
            Reading::Ends => self.set_reader(stream, ReadBy::Nobody),
        }
        if self.due.is_empty() { None } else { self.connection.take() }
    }

    /// Has the connection woken when more may go on. Tells whether some may now.
    pub(super) fn wait(&mut self, connection: &Waker) -> bool {
        self.connection = Some(connection.clone());
        !self.due.is_empty()
    }

    /// Has h2 read on, although it will find nothing at first.
    pub(super) const fn give_turn(&mut self) {
        self.has_turn = true;
    }

    /// h2 gets a head that opens a stream, of which more may come. Nothing else has gone to it before
    /// this was looked at.
    pub(super) const fn set_opening(&mut self, stream: Option<u32>) {
        self.opening = stream;
    }

    /// The peer has heard of the windows. What waits came under the others.
    pub(super) fn window_is_known(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.is_window_known, true) {
            self.pass_all(out);
        }
    }

    /// Lets a DATA frame go on, or has it wait.
    pub(super) fn data(&mut self, header: Header, payload: &[u8], out: &mut Vec<u8>) {
        let Header { stream, .. } = header;
        if self.streams.get(&stream).is_some_and(|inbound| inbound.is_ended) {
            // It may not come, which h2 is to see.
            self.pass(stream, out);
            self.remove(stream);
        }
        let has_room = self.has_room(stream);
        let Some(((data, around_bytes), inbound)) =
            frames::data(header, payload).zip(self.streams.get_mut(&stream))
        else {
            // It is for h2 to say what is wrong with it.
            self.pass_other(header, payload, out);
            return;
        };
        let ends = header.has(flag::END_STREAM);
        if payload.is_empty() && !ends {
            return;
        }
        if inbound.waiting.is_empty() && (has_room || ends && data.is_empty()) {
            inbound.is_ended |= ends;
            self.pass_other(header, payload, out);
            self.has_passed(stream, data.len(), around_bytes);
            self.settle(stream);
            return;
        }
        inbound.is_ended |= ends;
        inbound.waiting.push(data, around_bytes);
        let is_over = inbound.waiting.flow_bytes() > self.window_bytes_max();
        match self.streams.get_mut(&stream) {
            // For h2 to say so; or a body whose end must not wait behind others.
            Some(Inbound { read_by: ReadBy::Somebody, .. }) if ends => self.pass(stream, out),
            Some(_) if is_over => self.pass(stream, out),
            Some(Inbound { read_by: ReadBy::Somebody, .. }) => {
                self.behind_others.insert(stream);
            }
            Some(_) | None => {}
        }
    }

    /// A head of a stream that is there: what has come before goes before it.
    pub(super) fn trailers(&mut self, header: Header, out: &mut Vec<u8>) {
        self.pass(header.stream, out);
        if let Some(inbound) = self.streams.get_mut(&header.stream)
            && header.has(flag::END_STREAM)
        {
            inbound.is_ended = true;
            self.settle(header.stream);
        }
    }

    /// The peer resets a stream.
    pub(super) fn reset(&mut self, stream: u32, out: &mut Vec<u8>) {
        self.pass(stream, out);
        self.remove(stream);
    }

    /// This side has said something.
    pub(super) fn written(&mut self, written: Written) {
        match written {
            Written::Data { .. } | Written::Headers => {}
            Written::End { stream } => {
                if let Some(inbound) = self.streams.get_mut(&stream) {
                    inbound.is_answered = true;
                    self.settle(stream);
                }
            }
            // h2 gives back to the connection's window what it gets from now on.
            Written::Reset { stream } => self.set_reader(stream, ReadBy::Nobody),
            Written::WindowUpdate { stream, bytes } => {
                let Some(inbound) = self.streams.get_mut(&stream) else { return };
                if inbound.read_by == ReadBy::Somebody {
                    let padding = bytes.min(inbound.padding_bytes);
                    inbound.padding_bytes -= padding;
                    self.read(stream, bytes - padding);
                }
            }
        }
    }

    /// Gives h2 a frame of which nothing is noted.
    pub(super) fn pass_other(&mut self, header: Header, payload: &[u8], out: &mut Vec<u8>) {
        self.unsure.pass(HEADER_BYTES + payload.len());
        header.write(out);
        out.extend_from_slice(payload);
    }

    pub(super) fn has_behind_others(&self) -> bool {
        !self.behind_others.is_empty()
    }

    /// Lets one frame of each stream go on that waits for others, which may be read without anybody knowing.
    pub(super) fn pass_behind_others(&mut self, out: &mut Vec<u8>) -> Result<(), TooMuchUnread> {
        if !self.unsure.may_go_on()? {
            return Ok(());
        }
        for stream in std::mem::take(&mut self.behind_others) {
            self.pass_one(stream, out);
            if self.streams.get(&stream).is_some_and(|inbound| !inbound.waiting.is_empty()) {
                self.behind_others.insert(stream);
            }
            self.settle(stream);
        }
        Ok(())
    }

    /// Lets go on what may, of all that waits.
    pub(super) fn pass_due(&mut self, out: &mut Vec<u8>) {
        while let Some(stream) = self.due.pop_first() {
            while self.has_room(stream) && self.pass_one(stream, out) {}
            let Some(inbound) = self.streams.get(&stream) else { continue };
            match inbound.read_by {
                ReadBy::Somebody if !inbound.waiting.is_empty() => {
                    self.behind_others.insert(stream);
                }
                ReadBy::Somebody | ReadBy::WebSocket => self.settle(stream),
                ReadBy::Nobody => self.remove(stream),
            }
        }
    }

    /// Lets all go on that waits.
    pub(super) fn pass_all(&mut self, out: &mut Vec<u8>) {
        let streams: Vec<u32> = self.streams.keys().copied().collect();
        for stream in streams {
            self.pass(stream, out);
        }
    }

    fn pass(&mut self, stream: u32, out: &mut Vec<u8>) {
        while self.pass_one(stream, out) {}
        self.settle(stream);
    }

    fn pass_one(&mut self, stream: u32, out: &mut Vec<u8>) -> bool {
        let Some(inbound) = self.streams.get_mut(&stream) else { return false };
        let before = out.len();
        let Some((data_bytes, around_bytes)) = inbound.waiting.pop(stream, inbound.is_ended, out)
        else {
            return false;
        };
        self.unsure.pass(out.len() - before);
        self.has_passed(stream, data_bytes, around_bytes);
        true
    }

    fn has_passed(&mut self, stream: u32, data_bytes: usize, around_bytes: usize) {
        let Some(inbound) = self.streams.get_mut(&stream) else { return };
        if inbound.read_by == ReadBy::Nobody {
            return;
        }
        inbound.padding_bytes += around_bytes;
        if data_bytes > 0 {
            let piece = self.unsure.piece();
            inbound.frames.push_back(Passed { data_bytes, piece });
            if inbound.read_by == ReadBy::Somebody {
                self.unsure.add(piece);
            }
        }
    }

    /// Whether h2 may have one frame more of a stream.
    fn has_room(&self, stream: u32) -> bool {
        self.streams.get(&stream).is_none_or(|inbound| match inbound.read_by {
            ReadBy::Somebody => inbound.frames.is_empty() || self.unsure.is_free(),
            ReadBy::WebSocket => inbound.frames.len() < WEBSOCKET_FRAMES_MAX,
            ReadBy::Nobody => true,
        })
    }

    const fn window_bytes_max(&self) -> usize {
        if self.is_window_known || self.window_bytes > WINDOW_BYTES_BEFORE_SETTINGS {
            self.window_bytes
        } else {
            WINDOW_BYTES_BEFORE_SETTINGS
        }
    }

    fn read(&mut self, stream: u32, bytes: usize) {
        let Some(inbound) = self.streams.get_mut(&stream) else { return };
        if inbound.read_by == ReadBy::Somebody {
            self.unsure.remove(inbound.read(bytes));
            self.free_others();
        } else {
            inbound.read(bytes).for_each(drop);
        }
        self.set_due(stream);
    }

    fn set_reader(&mut self, stream: u32, read_by: ReadBy) {
        let Some(inbound) = self.streams.get_mut(&stream) else { return };
        let before = std::mem::replace(&mut inbound.read_by, read_by);
        if before == ReadBy::Somebody {
            self.unsure.remove(inbound.frames.iter().map(|frame| frame.piece));
        }
        if read_by == ReadBy::Nobody {
            inbound.frames = VecDeque::new();
        }
        if before == ReadBy::Somebody {
            self.behind_others.remove(&stream);
            self.free_others();
        }
        self.set_due(stream);
    }

    /// Lets those go on that wait for others, if those were read.
    fn free_others(&mut self) {
        if self.unsure.is_free() {
            for stream in std::mem::take(&mut self.behind_others) {
                self.set_due(stream);
            }
        }
    }

    /// More of a stream may go on.
    fn set_due(&mut self, stream: u32) {
        let Some(inbound) = self.streams.get(&stream) else { return };
        let is_over = inbound.read_by == ReadBy::Nobody;
        if is_over || !inbound.waiting.is_empty() && self.has_room(stream) {
            self.has_turn |= self.due.insert(stream);
        }
    }

    /// Forgets a stream once both sides have said all.
    fn settle(&mut self, stream: u32) {
        let is_over = self.streams.get(&stream).is_some_and(|inbound| {
            let has_ended = inbound.is_ended && inbound.is_answered;
            inbound.waiting.is_empty() && has_ended
        });
        if is_over {
            self.remove(stream);
        }
    }

    fn remove(&mut self, stream: u32) {
        let Some(inbound) = self.streams.remove(&stream) else { return };
        self.behind_others.remove(&stream);
        if inbound.read_by == ReadBy::Somebody {
            self.unsure.remove(inbound.frames.iter().map(|frame| frame.piece));
            self.free_others();
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::super::frames::kind;
    use super::*;

    /// A body of as many tiny frames as may be unread, and more.
    fn fill(unread: &mut Unread, stream: u32, out: &mut Vec<u8>) {
        let header = Header { payload_bytes: 1, kind: kind::DATA, flags: 0, stream };
        for _ in 0..20_000 {
            unread.data(header, b"y", out);
        }
    }

    #[test]
    fn nothing_is_left_of_streams_that_waited_for_others_and_ended() {
        let (unread, mut out) = (&mut Unread::new(256 * 1024), Vec::new());
        for stream in [1, 3, 5, 7] {
            unread.set_opening(Some(stream));
            unread.open().expect("it was opened");
        }
        fill(unread, 1, &mut out);
        for stream in [3, 5, 7] {
            let header = Header { payload_bytes: 1, kind: kind::DATA, flags: 0, stream };
            unread.data(header, b"y", &mut out);
            unread.data(header, b"y", &mut out);
        }
        assert_eq!(unread.behind_others, BTreeSet::from([1, 3, 5, 7]));
        unread.reset(3, &mut out);
        unread.written(Written::Reset { stream: 5 });
        unread.pass_due(&mut out);
        unread.set_reader(7, ReadBy::WebSocket);
        unread.pass_due(&mut out);
        assert_eq!(unread.behind_others, BTreeSet::from([1]));
        unread.reset(1, &mut out);
        unread.reset(7, &mut out);
        assert!(unread.behind_others.is_empty() && unread.streams.is_empty());
    }
}

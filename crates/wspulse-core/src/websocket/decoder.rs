//! From bytes to messages and control frames.

use std::mem;

use super::control::Control;
use super::error::ProtocolError;
use super::header::{Header, HeaderStart, Opcode, ShortHeader};
use super::inflate;
use super::input::Input;
use super::mask;
use super::partial::{Assembly, OpenFrame, Partial};
use super::rules::{PackedRules, Rules};
use super::sink::{Flow, Sink};
use super::utf8;
use crate::codec::InboundMessage;
use crate::encoded::MessageKind;

/// What the bytes fed so far end in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing: all that has begun is complete, or nothing more is read.
    Complete,
    /// A message, or a control frame between two, whose first byte came with the last feed.
    Begun,
    /// A message, or a control frame between two, whose first byte came with an earlier feed.
    Continued,
}

/// Reads a client's frames, or [a server's](Self::with_unmasked), from chunks of any size.
///
/// A message that lies whole in one chunk, in one frame, is lent from there; one that comes in
/// fragments or pieces is put together in a buffer that grows with the bytes received, not with
/// the length announced. Between messages the decoder holds no memory but itself.
#[derive(Debug)]
pub struct Decoder {
    message_bytes_max: u32,
    rules: PackedRules,
    // Boxed because nearly all connections of a server are idle: 24 bytes for each.
    state: State<Box<Rest>>,
}

/// What is kept from one feed to the next.
#[derive(Debug)]
struct Rest {
    partial: Partial,
    /// Whether it began with an earlier feed than the last.
    is_continued: bool,
}

/// Where the bytes received so far end.
#[derive(Debug)]
enum State<P> {
    /// Between two messages.
    Idle,
    /// Anywhere else.
    Partial(P),
    /// Behind a Close frame or a violation: nothing that follows counts.
    Ended,
}

/// Where the decoder has got to, and whether it goes on from there.
type Step = Result<(State<Partial>, Flow), ProtocolError>;

impl Decoder {
    /// A decoder that refuses messages of more than `message_bytes_max` bytes, which can be set to
    /// 4 GiB - 1 at the most (what is above counts as that), and any number of fragments.
    pub fn new(message_bytes_max: usize) -> Self {
        Self {
            message_bytes_max: u32::try_from(message_bytes_max).unwrap_or(u32::MAX),
            rules: PackedRules::new(),
            state: State::Idle,
        }
    }

    /// Refuses messages of more than so many frames, empty ones included; at least 1. What is
    /// above 2^30 - 1 counts as that.
    #[must_use]
    pub fn with_message_fragments_max(mut self, fragments: usize) -> Self {
        self.rules = self.rules.with_fragments_max(fragments);
        self
    }

    /// Takes compressed messages as well, each compressed by itself: permessage-deflate was
    /// [agreed on](crate::deflate::agree). Such a message may have as many bytes as others once it is
    /// inflated; it is inflated no further.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn with_deflate(mut self) -> Self {
        self.rules = self.rules.with_compressed();
        self
    }

    /// Reads a server's frames, which must not be masked, in place of a client's, which must.
    #[must_use]
    pub const fn with_unmasked(mut self) -> Self {
        self.rules = self.rules.with_unmasked();
        self
    }

    #[inline]
    const fn rules(&self) -> Rules {
        self.rules.rules()
    }

    /// What the bytes fed so far end in.
    pub const fn progress(&self) -> Progress {
        match &self.state {
            State::Idle | State::Ended => Progress::Complete,
            State::Partial(rest) if rest.is_continued => Progress::Continued,
            State::Partial(_) => Progress::Begun,
        }
    }

    /// Whether a Close frame or a violation came: nothing more is read.
    pub const fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Reads `input`, unmasking it in place, and tells how many bytes it has consumed: all, unless
    /// the sink paused or a Close frame came.
    ///
    /// After a pause, feed the rest of `input` again: it is untouched. After a Close frame or an
    /// error there is nothing more to read: whatever is fed is consumed and ignored.
    ///
    /// # Errors
    ///
    /// [`ProtocolError`] at the first violation, as early as it can be told; what came before it
    /// has been delivered.
    pub fn feed<S: Sink>(
        &mut self,
        input: &mut [u8],
        sink: &mut S,
    ) -> Result<usize, ProtocolError> {
        // Ended unless put back: so it stays after an error.
        let (mut state, mut is_continued) = match mem::replace(&mut self.state, State::Ended) {
            State::Idle => (State::Idle, false),
            State::Partial(rest) => (State::Partial(rest.partial), true),
            State::Ended => return Ok(input.len()),
        };
        let mut input = Input::new(input);
        let mut flow = Flow::Continue;
        while flow == Flow::Continue && !input.is_empty() {
            (state, flow) = match state {
                State::Idle => {
                    is_continued = false;
                    self.read_frames(&mut input, sink)?
                }
                State::Partial(partial) => self.resume(partial, &mut input, sink)?,
                State::Ended => break,
            };
        }
        self.state = match state {
            State::Idle => State::Idle,
            State::Partial(partial) => State::Partial(Box::new(Rest { partial, is_continued })),
            State::Ended => State::Ended,
        };
        Ok(input.consumed())
    }

    /// The hot path: reads frame after frame, as long as they are whole messages or control
    /// frames and lie whole in the input.
    fn read_frames<S: Sink>(&self, input: &mut Input<'_>, sink: &mut S) -> Step {
        let rules = self.rules();
        loop {
            while rules.are_masked
                && let Some(flow) = self.read_short(input, sink)?
            {
                if flow == Flow::Pause {
                    return Ok((State::Idle, Flow::Pause));
                }
            }
            let Some((header, header_bytes)) = Header::read(input.rest(), rules)? else {
                break;
            };
            input.skip(header_bytes);
            match self.begin(&header, None, input, sink)? {
                (State::Idle, Flow::Continue) => {}
                step => return Ok(step),
            }
        }
        if input.is_empty() {
            return Ok((State::Idle, Flow::Continue));
        }
        let started = Partial::Header { message: None, header: HeaderStart::default() };
        self.resume(started, input, sink)
    }

    /// Delivers the next message, if it is a short one that lies whole in the input; else leaves
    /// the input as it is. Only a shorter way to what [`Header::read`] and
    /// [`begin`](Self::begin) come to: in half the instructions for a text of 64 bytes.
    #[inline]
    fn read_short<S: Sink>(
        &self,
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Result<Option<Flow>, ProtocolError> {
        let Some(short) = ShortHeader::read(input.rest()) else { return Ok(None) };
        if usize::from(short.payload_bytes) > self.message_bytes_max() {
            return Ok(None);
        }
        let Some(payload) = input.take_behind(ShortHeader::BYTES, short.payload_bytes.into())
        else {
            return Ok(None);
        };
        mask::unmask(payload, short.mask);
        if short.kind == MessageKind::Text {
            utf8::check(payload)?;
        }
        Ok(Some(sink.message(InboundMessage::lent(short.kind, payload))))
    }

    /// Delivers the message behind a header, if it is all in this one frame and the frame lies
    /// whole in the input; else leaves the input as it is.
    fn read_whole<S: Sink>(
        &self,
        kind: MessageKind,
        header: &Header,
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Result<Option<Flow>, ProtocolError> {
        self.admit(0, header.payload_bytes, self.bytes_max(header.is_compressed, 1))?;
        if header.is_final
            && let Some(payload) = OpenFrame::new(header).take_whole(input)
        {
            if header.is_compressed {
                return self.deliver_compressed(kind, payload, sink).map(Some);
            }
            if kind == MessageKind::Text {
                utf8::check(payload)?;
            }
            return Ok(Some(sink.message(InboundMessage::lent(kind, payload))));
        }
        Ok(None)
    }

    /// Delivers a message that lies in one frame, and whose inflated form is lent.
    #[cold]
    #[inline(never)]
    fn deliver_compressed<S: Sink>(
        &self,
        kind: MessageKind,
        compressed: &[u8],
        sink: &mut S,
    ) -> Result<Flow, ProtocolError> {
        inflate::with_scratch(|inflated| {
            inflate::message(kind, compressed, self.message_bytes_max(), inflated)?;
            Ok(sink.inflated(InboundMessage::lent(kind, inflated), compressed.len()))
        })
    }

    /// Goes on where the last chunk ended, or behind a frame that did not end its message.
    fn resume<S: Sink>(&self, partial: Partial, input: &mut Input<'_>, sink: &mut S) -> Step {
        match partial {
            Partial::Header { message, mut header } => {
                match header.complete(input, self.rules())? {
                    Some(header) => self.begin(&header, message, input, sink),
                    None => Ok(incomplete(Partial::Header { message, header })),
                }
            }
            Partial::Data { message, frame } => self.read_data(message, frame, input, sink),
            Partial::Control { message, control, mut frame, mut payload } => {
                payload.extend_from_slice(frame.take(input));
                if frame.remaining_bytes() == 0 {
                    control.deliver(&payload, sink)?;
                    return Ok(behind_control(control, message, sink));
                }
                Ok(incomplete(Partial::Control { message, control, frame, payload }))
            }
        }
    }

    /// Reads the frame behind a header; `message` is the one that is open, if any.
    fn begin<S: Sink>(
        &self,
        header: &Header,
        message: Option<Assembly>,
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Step {
        let mut frame = OpenFrame::new(header);
        match (header.opcode, message) {
            (Opcode::Data(kind), None) => {
                if let Some(flow) = self.read_whole(kind, header, input, sink)? {
                    return Ok((State::Idle, flow));
                }
                let bytes_max = self.bytes_max(header.is_compressed, 1);
                let announced_bytes = self.admit(0, header.payload_bytes, bytes_max)?;
                let message = Assembly::new(kind, header.is_compressed, announced_bytes);
                self.read_data(message, frame, input, sink)
            }
            (Opcode::Continuation, Some(mut message)) => {
                let bytes_max = self.bytes_max(message.is_compressed(), message.frames() + 1);
                let announced_bytes =
                    self.admit(message.announced_bytes(), header.payload_bytes, bytes_max)?;
                message.announce(announced_bytes);
                message.count_fragment(self.rules.fragments_max())?;
                self.read_data(message, frame, input, sink)
            }
            (Opcode::Control(control), message) => {
                if let Some(payload) = frame.take_whole(input) {
                    control.deliver(payload, sink)?;
                    return Ok(behind_control(control, message, sink));
                }
                let payload = frame.take(input).to_vec();
                Ok(incomplete(Partial::Control { message, control, frame, payload }))
            }
            (Opcode::Data(_), Some(_)) => Err(ProtocolError::ExpectedContinuation),
            (Opcode::Continuation, None) => Err(ProtocolError::UnexpectedContinuation),
        }
    }

    /// Adds a frame's announced length to its message's, and refuses what goes over the limit
    /// before anything of it is kept.
    #[inline]
    fn admit(
        &self,
        announced_bytes: usize,
        payload_bytes: u64,
        bytes_max: usize,
    ) -> Result<usize, ProtocolError> {
        let len = payload_bytes.saturating_add(announced_bytes as u64);
        match usize::try_from(len) {
            Ok(len) if len <= bytes_max => Ok(len),
            _ => Err(ProtocolError::MessageTooBig { len, limit: self.message_bytes_max() }),
        }
    }

    /// How many bytes a message may take on its way, in so many frames.
    #[inline]
    const fn bytes_max(&self, is_compressed: bool, frames: usize) -> usize {
        if is_compressed {
            inflate::compressed_bytes_max(self.message_bytes_max(), frames)
        } else {
            self.message_bytes_max()
        }
    }

    /// Adds what the input has of a data frame to its message, and delivers the message if that
    /// was its end.
    fn read_data<S: Sink>(
        &self,
        mut message: Assembly,
        mut frame: OpenFrame,
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Step {
        let capacity_max = if frame.is_final {
            message.announced_bytes()
        } else {
            self.bytes_max(message.is_compressed(), message.frames())
        };
        message.append(frame.take(input), capacity_max)?;
        if frame.remaining_bytes() > 0 {
            Ok(incomplete(Partial::Data { message, frame }))
        } else if frame.is_final {
            let (is_compressed, wire_bytes) = (message.is_compressed(), message.announced_bytes());
            let message = message.finish(self.message_bytes_max())?;
            let flow = if is_compressed {
                sink.inflated(message, wire_bytes)
            } else {
                sink.message(message)
            };
            Ok((State::Idle, flow))
        } else {
            Ok(incomplete(behind_fragment(message)))
        }
    }

    #[inline]
    const fn message_bytes_max(&self) -> usize {
        self.message_bytes_max as usize
    }
}

const fn incomplete(partial: Partial) -> (State<Partial>, Flow) {
    (State::Partial(partial), Flow::Continue)
}

fn behind_fragment(message: Assembly) -> Partial {
    Partial::Header { message: Some(message), header: HeaderStart::default() }
}

fn behind_control<S: Sink>(
    control: Control,
    message: Option<Assembly>,
    sink: &S,
) -> (State<Partial>, Flow) {
    let state = match message {
        Some(message) => State::Partial(behind_fragment(message)),
        None => State::Idle,
    };
    match control {
        Control::Close => (State::Ended, Flow::Pause),
        Control::Ping | Control::Pong => (state, sink.flow_behind_control()),
    }
}

#[cfg(test)]
mod tests;

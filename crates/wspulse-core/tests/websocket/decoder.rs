//! What the decoder delivers, refuses and keeps, one behaviour each.

use std::slice;

use wspulse_core::codec::InboundMessage;
use wspulse_core::websocket::{Decoder, Flow, ProtocolError, Sink};
use wspulse_core::{CloseCode, CloseFrame, InvalidCloseCode, MessageKind};

const LIMIT: usize = 1_000;
const MASK: [u8; 4] = [0x1f, 0x2e, 0x3d, 0x4c];

const FINAL_TEXT: u8 = 0x81;
const FINAL_BINARY: u8 = 0x82;
const FINAL_CONTINUATION: u8 = 0x80;
const FIRST_TEXT: u8 = 0x01;
const FIRST_BINARY: u8 = 0x02;
const CONTINUATION: u8 = 0x00;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

#[derive(Debug, PartialEq, Eq)]
enum Event {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<CloseFrame>),
}

#[derive(Default)]
struct Recorder {
    events: Vec<Event>,
    pauses: bool,
    /// Where the last message's bytes lay.
    message_at: Option<*const u8>,
}

impl Sink for Recorder {
    fn message(&mut self, message: InboundMessage<'_>) -> Flow {
        self.message_at = Some(message.as_bytes().as_ptr());
        let bytes = message.as_bytes().to_vec();
        self.events.push(match message.kind() {
            MessageKind::Text => Event::Text(String::from_utf8(bytes).unwrap()),
            MessageKind::Binary => Event::Binary(bytes),
        });
        if self.pauses { Flow::Pause } else { Flow::Continue }
    }

    fn ping(&mut self, payload: &[u8]) {
        self.events.push(Event::Ping(payload.to_vec()));
    }

    fn pong(&mut self, payload: &[u8]) {
        self.events.push(Event::Pong(payload.to_vec()));
    }

    fn close(&mut self, frame: Option<CloseFrame>) {
        self.events.push(Event::Close(frame));
    }
}

fn text(text: &str) -> Event {
    Event::Text(text.to_owned())
}

fn header(first: u8, payload_bytes: u64) -> Vec<u8> {
    let mut header = vec![first];
    if let Ok(len @ 0..126) = u8::try_from(payload_bytes) {
        header.push(0x80 | len);
    } else {
        header.push(0xff);
        header.extend(payload_bytes.to_be_bytes());
    }
    header.extend(MASK);
    header
}

fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = header(first, payload.len() as u64);
    let masked = payload.iter().zip(MASK.into_iter().cycle());
    frame.extend(masked.map(|(byte, key)| byte ^ key));
    frame
}

/// Feeds `bytes` to a fresh decoder, byte by byte; tells after how many it refused them.
fn read_bytewise(bytes: &[u8]) -> (Vec<Event>, Option<(usize, ProtocolError)>) {
    let mut decoder = Decoder::new(LIMIT);
    let mut recorder = Recorder::default();
    let error = bytes.iter().enumerate().find_map(|(index, &byte)| {
        let error = decoder.feed(&mut [byte], &mut recorder).err()?;
        Some((index + 1, error))
    });
    (recorder.events, error)
}

/// What both a whole and a bytewise reading deliver.
#[track_caller]
fn read(frames: &[Vec<u8>]) -> Vec<Event> {
    let mut bytes = frames.concat();
    let mut recorder = Recorder::default();
    let consumed = Decoder::new(LIMIT).feed(&mut bytes, &mut recorder);
    assert_eq!(consumed, Ok(bytes.len()));
    assert_eq!(read_bytewise(&frames.concat()), (recorder.events, None));
    read_bytewise(&frames.concat()).0
}

/// What both a whole and a bytewise reading refuse, and after how many bytes the latter does.
#[track_caller]
fn refused(frames: &[Vec<u8>]) -> (usize, ProtocolError) {
    let mut recorder = Recorder::default();
    let error = Decoder::new(LIMIT).feed(&mut frames.concat(), &mut recorder).unwrap_err();
    let (events, refused) = read_bytewise(&frames.concat());
    assert_eq!(events, recorder.events);
    let (at, bytewise_error) = refused.unwrap();
    assert_eq!(bytewise_error, error);
    (at, error)
}

// ---- delivery ----

#[test]
fn messages_of_both_kinds_are_unmasked_and_delivered_in_order() {
    let events = read(&[frame(FINAL_TEXT, "grüße"), frame(FINAL_BINARY, [0, 255])]);
    assert_eq!(events, [text("grüße"), Event::Binary(vec![0, 255])]);
}

#[test]
fn an_empty_message_is_delivered() {
    assert_eq!(read(&[frame(FINAL_TEXT, "")]), [text("")]);
}

#[test]
fn a_message_whole_in_the_input_is_lent_from_there() {
    let mut bytes = frame(FINAL_TEXT, "lent");
    let mut recorder = Recorder::default();
    Decoder::new(LIMIT).feed(&mut bytes, &mut recorder).unwrap();
    assert_eq!(recorder.message_at, Some(bytes[6..].as_ptr()));
}

#[test]
fn fragments_make_one_message() {
    let events = read(&[
        frame(FIRST_BINARY, [1]),
        frame(CONTINUATION, [2, 3]),
        frame(FINAL_CONTINUATION, [4]),
    ]);
    assert_eq!(events, [Event::Binary(vec![1, 2, 3, 4])]);
}

#[test]
fn empty_fragments_add_nothing() {
    let events = read(&[
        frame(FIRST_TEXT, ""),
        frame(CONTINUATION, "a"),
        frame(CONTINUATION, ""),
        frame(FINAL_CONTINUATION, ""),
    ]);
    assert_eq!(events, [text("a")]);
}

#[test]
fn a_character_may_be_cut_between_fragments() {
    let events = read(&[
        frame(FIRST_TEXT, b"\xf0\x9f"),
        frame(CONTINUATION, b"\x98"),
        frame(FINAL_CONTINUATION, b"\x80"),
    ]);
    assert_eq!(events, [text("\u{1f600}")]);
}

#[test]
fn control_frames_come_through_between_fragments() {
    let events = read(&[
        frame(FIRST_TEXT, "a"),
        frame(PING, "?"),
        frame(PONG, "!"),
        frame(FINAL_CONTINUATION, "b"),
    ]);
    let control = [Event::Ping(b"?".to_vec()), Event::Pong(b"!".to_vec())];
    assert_eq!(events[..2], control);
    assert_eq!(events[2..], [text("ab")]);
}

#[test]
fn a_control_frame_carries_up_to_125_bytes() {
    assert_eq!(read(&[frame(PING, [7; 125])]), [Event::Ping(vec![7; 125])]);
}

#[test]
fn a_length_in_a_longer_form_than_needed_is_accepted() {
    let mut long = vec![FINAL_TEXT, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    long.push(b'x');
    assert_eq!(read(&[long]), [text("x")]);
}

// ---- pausing and closing ----

#[test]
fn a_pause_stops_behind_the_message_and_leaves_the_rest_untouched() {
    let (first, second) = (frame(FINAL_TEXT, "one"), frame(FINAL_TEXT, "two"));
    let mut bytes = [&first[..], &second].concat();
    let mut decoder = Decoder::new(LIMIT);
    let mut recorder = Recorder { pauses: true, ..Recorder::default() };
    assert_eq!(decoder.feed(&mut bytes, &mut recorder), Ok(first.len()));
    assert_eq!(recorder.events, [text("one")]);
    assert_eq!(bytes[first.len()..], second);
    let rest = &mut bytes[first.len()..];
    assert_eq!(decoder.feed(rest, &mut recorder), Ok(second.len()));
    assert_eq!(recorder.events, [text("one"), text("two")]);
}

#[test]
fn a_pause_holds_behind_a_fragmented_message_too() {
    let message = [frame(FIRST_TEXT, "a"), frame(FINAL_CONTINUATION, "b")].concat();
    let mut bytes = [&message[..], &frame(PING, "")].concat();
    let mut recorder = Recorder { pauses: true, ..Recorder::default() };
    let consumed = Decoder::new(LIMIT).feed(&mut bytes, &mut recorder);
    assert_eq!(consumed, Ok(message.len()));
    assert_eq!(recorder.events, [text("ab")]);
}

#[test]
fn a_close_frame_gives_its_code_and_reason() {
    let frame = frame(CLOSE, b"\x03\xe8bye");
    let close = CloseFrame::new(CloseCode::NORMAL, "bye");
    assert_eq!(read(&[frame]), [Event::Close(Some(close))]);
}

#[test]
fn whatever_follows_a_close_is_ignored() {
    let close = frame(CLOSE, "");
    let mut bytes = [&close[..], &frame(FINAL_TEXT, "late"), b"\xff\xff"].concat();
    let mut decoder = Decoder::new(LIMIT);
    let mut recorder = Recorder::default();
    assert_eq!(decoder.feed(&mut bytes, &mut recorder), Ok(close.len()));
    let rest = &mut bytes[close.len()..];
    assert_eq!(decoder.feed(rest, &mut recorder), Ok(rest.len()));
    assert_eq!(recorder.events, [Event::Close(None)]);
}

#[test]
fn a_close_ends_a_message_that_is_not_finished() {
    let events = read(&[frame(FIRST_TEXT, "never"), frame(CLOSE, "")]);
    assert_eq!(events, [Event::Close(None)]);
}

#[test]
fn a_close_with_half_a_code_is_refused() {
    let (_, error) = refused(&[frame(CLOSE, b"\x03")]);
    assert_eq!(error, ProtocolError::TruncatedCloseCode);
}

#[test]
fn a_close_code_that_may_not_be_on_the_wire_is_refused() {
    let (_, error) = refused(&[frame(CLOSE, b"\x03\xee")]);
    assert_eq!(error, InvalidCloseCode { code: 1006 }.into());
}

#[test]
fn a_close_reason_that_is_not_utf8_is_refused() {
    let (_, error) = refused(&[frame(CLOSE, b"\x03\xe8\xff")]);
    assert_eq!(error, ProtocolError::InvalidUtf8);
}

// ---- violations ----

#[test]
fn what_came_before_a_violation_is_delivered_and_nothing_after_it() {
    let mut decoder = Decoder::new(LIMIT);
    let mut recorder = Recorder::default();
    let mut bytes = [frame(FINAL_TEXT, "good"), vec![0xff]].concat();
    assert!(decoder.feed(&mut bytes, &mut recorder).is_err());
    let mut more = frame(FINAL_TEXT, "late");
    assert_eq!(decoder.feed(&mut more, &mut recorder), Ok(more.len()));
    assert_eq!(recorder.events, [text("good")]);
}

#[test]
fn a_continuation_of_nothing_is_refused() {
    let (_, error) = refused(&[frame(FINAL_TEXT, "x"), frame(FINAL_CONTINUATION, "y")]);
    assert_eq!(error, ProtocolError::UnexpectedContinuation);
}

#[test]
fn a_new_message_inside_a_fragmented_one_is_refused() {
    let (_, error) = refused(&[frame(FIRST_TEXT, "x"), frame(FINAL_TEXT, "y")]);
    assert_eq!(error, ProtocolError::ExpectedContinuation);
}

#[test]
fn an_unmasked_frame_is_refused() {
    let (at, error) = refused(&[vec![FINAL_TEXT, 1, b'x']]);
    assert_eq!((at, error), (2, ProtocolError::NotMasked));
}

#[test]
fn a_message_of_exactly_the_limit_is_delivered() {
    let whole = read(&[frame(FINAL_BINARY, vec![1; LIMIT])]);
    assert_eq!(whole, [Event::Binary(vec![1; LIMIT])]);
    let fragmented =
        read(&[frame(FIRST_BINARY, vec![1; LIMIT - 1]), frame(FINAL_CONTINUATION, [1])]);
    assert_eq!(fragmented, whole);
}

#[test]
fn a_message_over_the_limit_is_refused_at_its_header() {
    let header = header(FINAL_BINARY, LIMIT as u64 + 1);
    let (len, limit) = (1_001, LIMIT);
    let error = ProtocolError::MessageTooBig { len, limit };
    assert_eq!(refused(slice::from_ref(&header)), (header.len(), error));
}

#[test]
fn fragments_are_added_up_for_the_limit() {
    let first = frame(FIRST_BINARY, vec![1; LIMIT]);
    let second = header(FINAL_CONTINUATION, 1);
    let whole = first.len() + second.len();
    let (len, limit) = (1_001, LIMIT);
    let error = ProtocolError::MessageTooBig { len, limit };
    assert_eq!(refused(&[first, second]), (whole, error));
}

#[test]
fn text_is_refused_at_its_first_wrong_byte() {
    // Over U+10FFFF, which its second byte tells; the rest of the frame never comes.
    let mut bytes = frame(FINAL_TEXT, b"\xce\xba\xf4\x90\x80\x80 and more");
    bytes.truncate(6 + 4);
    assert_eq!(refused(&[bytes]), (6 + 4, ProtocolError::InvalidUtf8));
}

#[test]
fn text_that_ends_within_a_character_is_refused_at_its_end() {
    let whole = frame(FINAL_TEXT, b"ab\xe2\x82");
    assert_eq!(refused(slice::from_ref(&whole)), (whole.len(), ProtocolError::InvalidUtf8));
    let fragments = [frame(FIRST_TEXT, b"\xe2\x82"), frame(FINAL_CONTINUATION, "")];
    assert_eq!(refused(&fragments), (fragments.concat().len(), ProtocolError::InvalidUtf8));
}

// ---- cost ----

#[test]
fn a_megabyte_of_text_may_come_byte_by_byte() {
    // Were it scanned again with each byte, this would take minutes.
    let body = "aé€\u{1f600}".repeat(100_000);
    let mut decoder = Decoder::new(body.len());
    let mut recorder = Recorder::default();
    for byte in frame(FINAL_TEXT, &body) {
        assert_eq!(decoder.feed(&mut [byte], &mut recorder), Ok(1));
    }
    assert!(recorder.events == [Event::Text(body)]);
}

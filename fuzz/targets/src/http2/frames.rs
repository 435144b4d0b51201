//! Frames, made of a fuzzer's bytes.

use std::collections::BTreeMap;
use std::time::Duration;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// As many steps as a client takes: some of them are many frames.
const STEPS_MAX: usize = 100;

/// As many bytes of data as one step has: several windows.
const BYTES_MAX: usize = 64 * 1024;

/// The byte of a body at this place.
pub(super) fn said_at(place: usize) -> u8 {
    u8::try_from(place % 251).unwrap_or_default()
}

/// The fuzzer's bytes, from the front.
pub(super) struct Script<'a> {
    rest: &'a [u8],
    steps: usize,
}

impl<'a> Script<'a> {
    pub(super) const fn new(rest: &'a [u8]) -> Self {
        Self { rest, steps: 0 }
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// A number, or zero behind the end.
    fn number(&mut self) -> usize {
        self.byte().map_or(0, usize::from)
    }

    /// Some of what is left.
    fn some(&mut self) -> &'a [u8] {
        let (some, rest) = self.rest.split_at(self.number().min(self.rest.len()));
        self.rest = rest;
        some
    }
}

/// What a client does next.
#[derive(Default)]
pub(super) struct Step {
    pub(super) bytes: Vec<u8>,
    /// It may be data that is out of its order.
    pub(super) is_arbitrary: bool,
    /// How much more the server may read.
    pub(super) reads: usize,
    pub(super) yields: bool,
    pub(super) passes: Duration,
}

/// What a client has said on its streams.
#[derive(Default)]
pub(super) struct Streams {
    opened: u32,
    /// How many bytes of each body.
    said: BTreeMap<u32, usize>,
}

/// Heads of requests, each beginning with its method.
const HEADS: [&[(&str, &str)]; 8] = [
    &[(":method", "CONNECT"), (":protocol", "websocket"), (":path", "/ws")],
    &[(":method", "POST"), (":path", "/read")],
    &[(":method", "POST"), (":path", "/stuck")],
    &[(":method", "GET"), (":path", "/long")],
    &[(":method", "GET"), (":path", "/none")],
    &[(":method", "CONNECT"), (":protocol", "connect-udp"), (":path", "/ws")],
    &[(":method", "POST"), (":path", "/read"), ("content-length", "10")],
    &[(":method", "CONNECT"), (":protocol", "websocket"), (":path", "/ws?echo")],
];

impl Streams {
    /// `None` once there are no bytes any more.
    pub(super) fn next_step(&mut self, script: &mut Script<'_>) -> Option<Step> {
        let kind = script.byte()?;
        script.steps += 1;
        if script.steps > STEPS_MAX {
            return None;
        }
        let mut step = Step::default();
        match kind % 20 {
            0..=2 => step.bytes = self.opening(script),
            3..=5 => step.bytes = self.data(script, 1),
            6 => {
                let times = 1 + script.number() * 8;
                step.bytes = self.data(script, times);
            }
            7 => step.bytes = frame(RST_STREAM, 0, self.stream(script), &[0, 0, 0, 8]),
            8 => {
                let bytes = [script.number(), script.number()].map(|byte| byte.to_be_bytes()[7]);
                let high = u8::from(script.number() == 7) * 0x7f;
                let update = [high, 0, bytes[0], bytes[1]];
                step.bytes = frame(WINDOW_UPDATE, 0, self.stream(script), &update);
            }
            9 => step.bytes = frame(SETTINGS, ACK, 0, &[]),
            10 => {
                // Of any kind, and a value of any length.
                let (id, value) = (script.number(), script.number() << (script.number() % 25));
                let [.., a, b, c, d] = value.to_be_bytes();
                let id = u8::try_from(id).unwrap_or_default();
                step.bytes = frame(SETTINGS, 0, 0, &[0, id, a, b, c, d]);
            }
            11 => step.bytes = frame(PING, script.byte().unwrap_or_default() & ACK, 0, &[7; 8]),
            12 => step.bytes = frame(PRIORITY, 0, self.stream(script), &[0, 0, 0, 0, 1]),
            13 => {
                let flags = script.byte().unwrap_or_default();
                step.bytes = frame(CONTINUATION, flags, self.stream(script), script.some());
            }
            14 => {
                let (kind, flags) = (script.byte()?, script.byte()?);
                let stream = self.stream(script);
                step.is_arbitrary = kind == DATA;
                step.bytes = frame(kind, flags, stream, script.some());
            }
            15 => {
                step.is_arbitrary = true;
                step.bytes = script.some().to_vec();
            }
            16 => step.reads = 1 + script.number() * script.number() / 8,
            17 => step.passes = Duration::from_millis(1 << (script.number() % 17)),
            18 => step.bytes = frame(GOAWAY, 0, 0, &[0; 8]),
            _ => step.yields = true,
        }
        Some(step)
    }

    /// A stream that there is, or nearly.
    fn stream(&self, script: &mut Script<'_>) -> u32 {
        let back = u32::try_from(script.number()).unwrap_or_default();
        if back == 255 { self.opened + 2 } else { self.opened.saturating_sub(2 * (back % 16)) }
    }

    fn opening(&mut self, script: &mut Script<'_>) -> Vec<u8> {
        let (head, how) = (script.number(), script.number());
        let mut block = fields(&[(":scheme", "http"), (":authority", "localhost")]);
        block.extend(fields(HEADS[head % HEADS.len()]));
        if how & 1 != 0 {
            block.extend_from_slice(script.some());
        } else {
            block.extend(fields(&[("sec-websocket-version", "13")]));
        }
        self.opened = if self.opened == 0 { 1 } else { self.opened + 2 };
        self.said.insert(self.opened, 0);
        let end = if how & 2 != 0 { END_STREAM } else { 0 };
        if how & 4 != 0 {
            // In two pieces, of which the second may never come.
            let (first, second) = block.split_at(block.len() / 2);
            let mut bytes = frame(HEADERS, end, self.opened, first);
            if how & 8 == 0 {
                bytes.extend(frame(CONTINUATION, END_HEADERS, self.opened, second));
            }
            return bytes;
        }
        frame(HEADERS, END_HEADERS | end, self.opened, &block)
    }

    /// So many frames of data, all alike but for what they say.
    fn data(&mut self, script: &mut Script<'_>, times: usize) -> Vec<u8> {
        let stream = self.stream(script);
        let (how, size, padding) = (script.number(), script.number(), script.number());
        let size = if how & 1 != 0 { size * 65 } else { size % 24 };
        let times = times.min(BYTES_MAX / (size + 1)).max(1);
        let Some(said) = self.said.get_mut(&stream) else {
            return frame(DATA, 0, stream, &vec![0; size]);
        };
        let mut bytes = Vec::new();
        for time in 1..=times {
            let data = (*said..).take(size).map(said_at);
            *said += size;
            let end = if how & 2 != 0 && time == times { END_STREAM } else { 0 };
            let payload: Vec<u8> = if how & 4 != 0 {
                let padding = u8::try_from(padding).unwrap_or_default();
                let zeros = std::iter::repeat_n(0, usize::from(padding));
                std::iter::once(padding).chain(data).chain(zeros).collect()
            } else {
                data.collect()
            };
            let padded = if how & 4 != 0 { PADDED } else { 0 };
            bytes.extend(frame(DATA, end | padded, stream, &payload));
        }
        bytes
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [.., high, middle, low] = payload.len().to_be_bytes();
    let stream = stream.to_be_bytes();
    [&[high, middle, low, kind, flags][..], &stream, payload].concat()
}

/// Fields as literals that nobody indexes (RFC 7541 §6.2.2), all of them short.
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap_or_default());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

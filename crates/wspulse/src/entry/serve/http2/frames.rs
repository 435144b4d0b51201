//! Frames as they are on the wire (RFC 9113 §4.1): those that come, and those that go out.

pub(super) const HEADER_BYTES: usize = 9;

/// The longest payload that a peer may send: what every peer takes (§4.2), and hyper asks for no more.
pub(super) const PAYLOAD_BYTES_MAX: usize = 16 * 1024;

/// The types of frames (§6).
pub(super) mod kind {
    pub(in super::super) const DATA: u8 = 0;
    pub(in super::super) const HEADERS: u8 = 1;
    pub(in super::super) const RST_STREAM: u8 = 3;
    pub(in super::super) const SETTINGS: u8 = 4;
    pub(in super::super) const PUSH_PROMISE: u8 = 5;
    pub(in super::super) const PING: u8 = 6;
    pub(in super::super) const WINDOW_UPDATE: u8 = 8;
    pub(in super::super) const CONTINUATION: u8 = 9;
}

/// What is said beside a type.
pub(super) mod flag {
    /// Of SETTINGS and PING.
    pub(in super::super) const ACK: u8 = 1;
    /// Of DATA and HEADERS.
    pub(in super::super) const END_STREAM: u8 = 1;
    /// Of HEADERS and CONTINUATION.
    pub(in super::super) const END_HEADERS: u8 = 4;
    /// Of DATA.
    pub(in super::super) const PADDED: u8 = 8;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) payload_bytes: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Header {
    pub(super) const fn read(bytes: &[u8; HEADER_BYTES]) -> Self {
        let [high, middle, low, kind, flags, stream @ ..] = *bytes;
        Self {
            payload_bytes: u32::from_be_bytes([0, high, middle, low]) as usize,
            kind,
            flags,
            // The first bit is reserved.
            stream: u32::from_be_bytes(stream) & (u32::MAX >> 1),
        }
    }

    pub(super) fn write(self, bytes: &mut Vec<u8>) {
        let [_, len @ ..] = u32::try_from(self.payload_bytes).unwrap_or(u32::MAX).to_be_bytes();
        bytes.extend_from_slice(&len);
        bytes.extend_from_slice(&[self.kind, self.flags]);
        bytes.extend_from_slice(&self.stream.to_be_bytes());
    }

    pub(super) const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The payload of a DATA frame, and how many bytes are around it: `None` if its padding is longer than
/// the frame (§6.1).
pub(super) fn data(header: Header, payload: &[u8]) -> Option<(&[u8], usize)> {
    if !header.has(flag::PADDED) {
        return Some((payload, 0));
    }
    let (padding, rest) = payload.split_first()?;
    let data = rest.len().checked_sub(usize::from(*padding))?;
    Some((&rest[..data], payload.len() - data))
}

/// What this side says of its streams. Finds it in what is written.
pub(super) struct WrittenFrames {
    /// What of a header, and of the one payload that is looked at, has been written.
    head: [u8; HEADER_BYTES + WINDOW_UPDATE_BYTES],
    head_len: usize,
    /// How many bytes come before the next header.
    skipped_bytes: usize,
    /// The DATA frame that those end.
    data: Option<Header>,
}

/// A frame that was written: a DATA frame whole, and of others at least the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Data {
        stream: u32,
        bytes: usize,
    },
    Headers,
    /// This side has said all that it says in a stream.
    End {
        stream: u32,
    },
    Reset {
        stream: u32,
    },
    /// So much more was read of a stream.
    WindowUpdate {
        stream: u32,
        bytes: usize,
    },
}

const WINDOW_UPDATE_BYTES: usize = 4;

impl WrittenFrames {
    pub(super) const fn new() -> Self {
        Self {
            head: [0; HEADER_BYTES + WINDOW_UPDATE_BYTES],
            head_len: 0,
            skipped_bytes: 0,
            data: None,
        }
    }

    /// Tells what these bytes, which follow those before, say.
    pub(super) fn look(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Written)) {
        loop {
            let skipped = bytes.len().min(self.skipped_bytes);
            self.skipped_bytes -= skipped;
            bytes = &bytes[skipped..];
            if self.skipped_bytes == 0
                && let Some(data) = self.data.take()
            {
                tell(Written::Data { stream: data.stream, bytes: data.payload_bytes });
                tell_end(data, &mut tell);
            }
            let wanted = self.head_bytes();
            let come = bytes.len().min(wanted - self.head_len);
            self.head[self.head_len..][..come].copy_from_slice(&bytes[..come]);
            self.head_len += come;
            bytes = &bytes[come..];
            if self.head_len < wanted {
                return;
            }
            if wanted == self.head_bytes() {
                self.tell(&mut tell);
            }
        }
    }

    /// How much of a frame is looked at, as far as it is known.
    fn head_bytes(&self) -> usize {
        match self.header() {
            Some(Header { kind: kind::WINDOW_UPDATE, .. }) => self.head.len(),
            Some(_) | None => HEADER_BYTES,
        }
    }

    fn header(&self) -> Option<Header> {
        let (header, _) = self.head.split_first_chunk()?;
        (self.head_len >= HEADER_BYTES).then(|| Header::read(header))
    }

    fn tell(&mut self, tell: &mut impl FnMut(Written)) {
        let Some(header) = self.header() else { return };
        let Header { payload_bytes, stream, .. } = header;
        self.skipped_bytes = (HEADER_BYTES + payload_bytes).saturating_sub(self.head_len);
        self.head_len = 0;
        match header.kind {
            kind::DATA => self.data = Some(header),
            kind::HEADERS => {
                tell(Written::Headers);
                tell_end(header, tell);
            }
            kind::RST_STREAM => tell(Written::Reset { stream }),
            kind::WINDOW_UPDATE => {
                let [.., a, b, c, d] = self.head;
                let bytes = (u32::from_be_bytes([a, b, c, d]) & (u32::MAX >> 1)) as usize;
                tell(Written::WindowUpdate { stream, bytes });
            }
            _ => {}
        }
    }
}

fn tell_end(header: Header, tell: &mut impl FnMut(Written)) {
    if header.has(flag::END_STREAM) {
        tell(Written::End { stream: header.stream });
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        Header { payload_bytes: payload.len(), kind, flags, stream }.write(&mut bytes);
        [&bytes, payload].concat()
    }

    #[test]
    fn what_is_written_says_the_same_wherever_a_write_ends() {
        let all = [
            frame(kind::SETTINGS, 0, 0, &[1; 6]),
            frame(kind::HEADERS, flag::END_HEADERS, 1, &[7; 20]),
            frame(kind::DATA, flag::END_STREAM, 1, b"abc"),
            frame(kind::WINDOW_UPDATE, 0, 3, &[0, 0, 1, 2]),
            frame(kind::RST_STREAM, 0, 5, &[0, 0, 0, 8]),
        ]
        .concat();
        let expected = [
            Written::Headers,
            Written::Data { stream: 1, bytes: 3 },
            Written::End { stream: 1 },
            Written::WindowUpdate { stream: 3, bytes: 258 },
            Written::Reset { stream: 5 },
        ];
        for piece_bytes in 1..=all.len() {
            let (mut frames, mut told) = (WrittenFrames::new(), Vec::new());
            for piece in all.chunks(piece_bytes) {
                frames.look(piece, |written| told.push(written));
            }
            assert_eq!(told, expected, "pieces of {piece_bytes}");
        }
    }

    #[test]
    fn the_payload_of_data_is_told_from_its_padding() {
        let of = |flags, payload: &'static [u8]| {
            let header =
                Header { payload_bytes: payload.len(), kind: kind::DATA, flags, stream: 1 };
            data(header, payload)
        };
        assert_eq!(of(0, b"abc"), Some((&b"abc"[..], 0)));
        assert_eq!(of(flag::PADDED, &[2, b'a', 0, 0]), Some((&b"a"[..], 3)));
        assert_eq!(of(flag::PADDED, &[0]), Some((&b""[..], 1)));
        assert_eq!(of(flag::PADDED, &[2, 0]), None);
        assert_eq!(of(flag::PADDED, &[]), None);
    }
}

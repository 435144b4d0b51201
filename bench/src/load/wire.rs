//! WebSocket frames, as far as a load generator needs them (RFC 6455 §5.2).

use std::ops::Range;

pub(super) const TEXT: u8 = 0x1;
pub(super) const BINARY: u8 = 0x2;
pub(super) const CLOSE: u8 = 0x8;
pub(super) const PING: u8 = 0x9;
pub(super) const PONG: u8 = 0xA;

/// Not zero, so that every server has to unmask for real.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Where in the input a frame's payload lies.
pub(super) struct Frame {
    pub(super) is_final: bool,
    /// By RSV1 (RFC 7692 §6).
    pub(super) is_compressed: bool,
    pub(super) opcode: u8,
    pub(super) payload: Range<usize>,
}

/// The frame at the start of `input`, if it lies there whole. Frames of servers are not masked.
#[inline]
pub(super) fn parse(input: &[u8]) -> Option<Frame> {
    let &[first, second, ..] = input else { return None };
    let (header, len) = match second & 0x7f {
        126 => {
            let bytes = input.get(2..4)?;
            (4, usize::from(u16::from_be_bytes(bytes.try_into().ok()?)))
        }
        127 => {
            let bytes = input.get(2..10)?;
            (10, usize::try_from(u64::from_be_bytes(bytes.try_into().ok()?)).ok()?)
        }
        len => (2, usize::from(len)),
    };
    let end = header + len;
    (input.len() >= end).then_some(Frame {
        is_final: first & 0x80 != 0,
        is_compressed: first & 0x40 != 0,
        opcode: first & 0x0f,
        payload: header..end,
    })
}

/// Unmasks the client's frame at the start of `input`, if it lies there whole, and tells where its
/// payload is.
pub(crate) fn unmask_first(input: &mut [u8]) -> Option<Range<usize>> {
    let header = match input.get(1)? & 0x7f {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    let len = match header {
        4 => usize::from(u16::from_be_bytes(input.get(2..4)?.try_into().ok()?)),
        10 => usize::try_from(u64::from_be_bytes(input.get(2..10)?.try_into().ok()?)).ok()?,
        _ => usize::from(input[1] & 0x7f),
    };
    let mask: [u8; 4] = input.get(header..header + 4)?.try_into().ok()?;
    let start = header + 4;
    let payload = input.get_mut(start..start + len)?;
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Some(start..start + len)
}

/// Whether a frame is a Pong.
pub(crate) fn is_pong(frame: &[u8]) -> bool {
    frame.first().is_some_and(|first| first & 0x0f == PONG)
}

/// Appends a server's text frame.
pub(crate) fn text_frame(payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | TEXT);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len), _) if len < 126 => out.push(len),
        (_, Ok(len)) => {
            out.push(126);
            out.extend(len.to_be_bytes());
        }
        (_, Err(_)) => {
            out.push(127);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Appends a client's frame with the payload that lies in `parts`.
pub(super) fn encode(opcode: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    out.push(0x80 | opcode);
    if let Ok(len) = u8::try_from(len)
        && len < 126
    {
        out.push(0x80 | len);
    } else if let Ok(len) = u16::try_from(len) {
        out.push(0x80 | 0x7e);
        out.extend(len.to_be_bytes());
    } else {
        out.push(0x80 | 0x7f);
        out.extend((len as u64).to_be_bytes());
    }
    out.extend(MASK);
    let payload = parts.iter().copied().flatten();
    out.extend(payload.zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

//! A server's frames, read the simple way.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use wspulse_core::{CloseCode, CloseFrame, MessageKind};

/// What a server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A text or binary message.
    Message(MessageKind, Bytes),
    /// A Ping with its payload.
    Ping(Bytes),
    /// A Pong with its payload.
    Pong(Bytes),
    /// A Close frame; `None` if it was empty.
    Close(Option<CloseFrame>),
    /// The end of the stream, at the end of a frame.
    End,
}

/// Takes the first frame off `buffer`, if it is whole.
pub(super) fn parse(buffer: &mut BytesMut) -> io::Result<Option<Received>> {
    let [first, second, ..] = buffer[..] else { return Ok(None) };
    let (header_len, payload_len) = match second {
        0..=125 => (2, usize::from(second)),
        126 => {
            let Some(len) = buffer.get(2..4) else { return Ok(None) };
            (4, usize::from(u16::from_be_bytes([len[0], len[1]])))
        }
        127 => {
            let Some(mut len) = buffer.get(2..10) else { return Ok(None) };
            (10, usize::try_from(len.get_u64()).map_err(|_| invalid("frame too long"))?)
        }
        128.. => return Err(invalid("server frame is masked")),
    };
    if buffer.len() - header_len < payload_len {
        return Ok(None);
    }
    buffer.advance(header_len);
    let payload = buffer.split_to(payload_len).freeze();
    let received = match first {
        0x81 => Received::Message(MessageKind::Text, payload),
        0x82 => Received::Message(MessageKind::Binary, payload),
        0x88 => Received::Close(close_frame(&payload)?),
        0x89 => Received::Ping(payload),
        0x8a => Received::Pong(payload),
        _ => return Err(invalid("first byte is not one that this server sends")),
    };
    Ok(Some(received))
}

fn close_frame(payload: &[u8]) -> io::Result<Option<CloseFrame>> {
    match payload {
        [] => Ok(None),
        [_] => Err(invalid("close frame of one byte")),
        [high, low, reason @ ..] => {
            let code = CloseCode::new(u16::from_be_bytes([*high, *low]))
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let reason = str::from_utf8(reason)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            Ok(Some(CloseFrame::new(code, reason)))
        }
    }
}

fn invalid(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

//! Control frames (RFC 6455 §5.5).

use super::error::ProtocolError;
use super::sink::Sink;
use super::utf8;
use crate::close::{CloseCode, CloseFrame};

/// A control frame's opcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Control {
    /// 8: the last frame.
    Close,
    /// 9: asks for a Pong.
    Ping,
    /// 10: answers a Ping.
    Pong,
}

impl Control {
    /// Hands a whole, unmasked control frame to the sink.
    pub(super) fn deliver<S: Sink>(
        self,
        payload: &[u8],
        sink: &mut S,
    ) -> Result<(), ProtocolError> {
        match self {
            Self::Close => sink.close(read_close(payload)?),
            Self::Ping => sink.ping(payload),
            Self::Pong => sink.pong(payload),
        }
        Ok(())
    }
}

fn read_close(payload: &[u8]) -> Result<Option<CloseFrame>, ProtocolError> {
    if payload.is_empty() {
        return Ok(None);
    }
    let Some((code, reason)) = payload.split_first_chunk() else {
        return Err(ProtocolError::TruncatedCloseCode);
    };
    let code = CloseCode::new(u16::from_be_bytes(*code))?;
    Ok(Some(CloseFrame::new(code, utf8::text(reason)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::InvalidCloseCode;

    #[test]
    fn an_empty_close_has_no_frame() {
        assert_eq!(read_close(b""), Ok(None));
    }

    #[test]
    fn a_close_of_one_byte_is_refused() {
        assert_eq!(read_close(b"\x03"), Err(ProtocolError::TruncatedCloseCode));
    }

    #[test]
    fn a_close_may_go_without_a_reason() {
        let frame = CloseFrame::new(CloseCode::NORMAL, "");
        assert_eq!(read_close(b"\x03\xe8"), Ok(Some(frame)));
    }

    #[test]
    fn a_code_that_may_not_be_on_the_wire_is_refused() {
        assert_eq!(read_close(b"\x03\xed"), Err(InvalidCloseCode { code: 1005 }.into()));
    }

    #[test]
    fn a_reason_that_is_not_utf8_is_refused() {
        assert_eq!(read_close(b"\x03\xe8ok\xc3"), Err(ProtocolError::InvalidUtf8));
    }
}

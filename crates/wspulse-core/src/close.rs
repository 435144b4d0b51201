//! Close codes and close frames (RFC 6455 §5.5.1, §7.4).

use std::fmt;

use bytestring::ByteString;

use crate::escaped::Escaped;

/// A WebSocket close code that may appear in a close frame on the wire.
///
/// Valid are 1000–1003, 1007–1014 (registered codes) and 3000–4999 (libraries and applications);
/// 1004–1006 and 1015 are not for endpoints and never sent (RFC 6455 §7.4.1). 1014, which was
/// registered after the RFC, is a gateway's: it got a bad answer from the server behind it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection has been fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the endpoint goes away; a server shuts down, a browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer violated the WebSocket protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of data that the endpoint cannot accept.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1007: data that is not consistent with its message's type, such as bad UTF-8 in text.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: the message violates a policy of the endpoint.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: the message is too big to process.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1011: the server met an unexpected condition.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the server restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 4401: the client's permission has expired; it may come back with another one. The number is
    /// for applications to use (RFC 6455 §7.4.2), and ends as HTTP's 401, unauthorized.
    pub const EXPIRED: Self = Self(4401);
    /// 4410: frames that were promised to be delivered are lost, so the session has ended. The
    /// number is for applications to use (RFC 6455 §7.4.2), and ends as HTTP's 410, gone.
    pub const FRAMES_LOST: Self = Self(4410);
    /// 4408: the client took its frames too slowly, so its send buffer was full. The number is for
    /// applications to use (RFC 6455 §7.4.2), and ends as HTTP's 408, a timeout.
    pub const SLOW_CONSUMER: Self = Self(4408);

    /// 4409: a newer connection of the same user took the place of this one. The number is for
    /// applications to use, and ends as HTTP's 409, conflict.
    pub const USER_LIMIT: Self = Self(4409);

    /// Makes a close code from its number.
    ///
    /// # Errors
    ///
    /// [`InvalidCloseCode`] if the number may not appear in a close frame.
    pub const fn new(code: u16) -> Result<Self, InvalidCloseCode> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(Self(code)),
            _ => Err(InvalidCloseCode { code }),
        }
    }

    /// The code's number.
    pub const fn as_u16(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A number that may not appear as the code of a close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("close code {code} is not one of 1000-1003, 1007-1014, 3000-4999")]
pub struct InvalidCloseCode {
    /// The refused number.
    pub code: u16,
}

/// A close code with its reason text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    code: CloseCode,
    reason: ByteString,
}

impl CloseFrame {
    /// The longest reason in bytes: a control frame's payload is at most 125 bytes
    /// (RFC 6455 §5.5), two of which are the code.
    pub const REASON_BYTES_MAX: usize = 123;

    /// Makes a close frame. A reason over [`REASON_BYTES_MAX`](Self::REASON_BYTES_MAX) bytes is
    /// cut at the last character that fits whole.
    pub fn new(code: CloseCode, reason: impl Into<ByteString>) -> Self {
        let reason: ByteString = reason.into();
        let end = reason.floor_char_boundary(Self::REASON_BYTES_MAX);
        let reason = if end < reason.len() { ByteString::from(&reason[..end]) } else { reason };
        Self { code, reason }
    }

    /// Makes a close frame from a text that lives as long as the program, without an allocation.
    pub(crate) const fn from_static(code: CloseCode, reason: &'static str) -> Self {
        assert!(reason.len() <= Self::REASON_BYTES_MAX);
        Self { code, reason: ByteString::from_static(reason) }
    }

    /// The close code.
    pub const fn code(&self) -> CloseCode {
        self.code
    }

    /// The reason text; empty when none was given.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for CloseFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reason.is_empty() {
            write!(f, "{}", self.code)
        } else {
            write!(f, "{} ({})", self.code, Escaped::new(&self.reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_reserved_for_local_use_are_refused() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
            assert_eq!(CloseCode::new(code), Err(InvalidCloseCode { code }));
        }
    }

    #[test]
    fn registered_library_and_application_codes_are_accepted() {
        for code in [1000, 1003, 1007, 1013, 1014, 3000, 4999] {
            assert_eq!(CloseCode::new(code).unwrap().as_u16(), code);
        }
    }

    #[test]
    fn an_overlong_reason_is_cut_at_a_character() {
        let frame = CloseFrame::new(CloseCode::NORMAL, "é".repeat(100));
        assert_eq!(frame.reason(), "é".repeat(61));
    }
}

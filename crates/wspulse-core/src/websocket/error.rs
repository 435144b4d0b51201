//! What a peer can do wrong on the WebSocket level.

use crate::close::{CloseCode, CloseFrame, InvalidCloseCode};

/// A violation of the WebSocket protocol, or of a limit, by the peer. The connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// Clients must mask every frame (RFC 6455 §5.1).
    #[error("frame is not masked")]
    NotMasked,
    /// Servers must not mask any frame (RFC 6455 §5.1).
    #[error("a server's frame is masked")]
    Masked,
    /// A reserved bit is set, although no extension was negotiated that has it there (§5.2).
    #[error("reserved bits {bits:#05b} are set")]
    ReservedBits {
        /// RSV1, RSV2 and RSV3, from the left.
        bits: u8,
    },
    /// Opcodes 3–7 and 11–15 are reserved (§5.2).
    #[error("opcode {opcode:#x} is reserved")]
    ReservedOpcode {
        /// The opcode.
        opcode: u8,
    },
    /// Control frames may not be fragmented (§5.5).
    #[error("control frame is fragmented")]
    FragmentedControl,
    /// Control frames carry at most 125 bytes (§5.5).
    #[error("control frame of {len} bytes is over 125")]
    ControlTooLong {
        /// The announced length in bytes.
        len: u64,
    },
    /// A continuation frame without a message to continue (§5.4).
    #[error("continuation without a started message")]
    UnexpectedContinuation,
    /// A new message inside a fragmented one (§5.4).
    #[error("new message inside a fragmented one")]
    ExpectedContinuation,
    /// A close frame's payload is empty or at least two bytes long (§5.5.1).
    #[error("close frame of 1 byte has no whole code")]
    TruncatedCloseCode,
    /// A close code that may not be on the wire (§7.4).
    #[error(transparent)]
    InvalidCloseCode(#[from] InvalidCloseCode),
    /// A compressed message is none that can be inflated (RFC 7692 §7.2.2), or takes far longer than any that
    /// a deflater makes.
    #[error("compressed message cannot be inflated")]
    NotInflated,
    /// Text messages and close reasons are UTF-8 (§8.1).
    #[error("text is not valid UTF-8")]
    InvalidUtf8,
    /// The most significant bit of a 64-bit length must be 0 (§5.2).
    #[error("frame length {len} is over 2^63-1")]
    LengthOverflow {
        /// The announced length in bytes.
        len: u64,
    },
    /// The message's announced length, fragments added up, is over the limit; or what it is inflated to.
    #[error("message of {len} bytes or more is over the limit of {limit}")]
    MessageTooBig {
        /// What the message's frames announced so far, or what was inflated, in bytes.
        len: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// The message is in more frames than the limit allows.
    #[error("message has more than {limit} fragments")]
    TooManyFragments {
        /// The limit in frames.
        limit: usize,
    },
    /// A text that begins like a control message of `wspulse.1`, and is none.
    #[error("no control message of wspulse.1")]
    NotControl,
    /// A client of `wspulse.1` has acknowledged frames that were never written.
    #[error("frame {number} was acknowledged, but only {written} were written")]
    NotWritten {
        /// The number that was acknowledged.
        number: u64,
        /// The newest that was written.
        written: u64,
    },
}

impl ProtocolError {
    /// The close frame that tells the peer: 1009 for a message too big, 1007 for bad UTF-8 and for what
    /// cannot be inflated, 1008 for too many fragments, else 1002, each with a short text.
    ///
    /// Any number of fragments is valid WebSocket, so that one is no protocol error (1002); nor is
    /// the message too big (1009). RFC 6455 §7.4.1 has 1008 for a message that violates a policy
    /// where no other code fits.
    pub fn close_frame(&self) -> CloseFrame {
        let (code, reason) = match self {
            Self::NotMasked => (CloseCode::PROTOCOL_ERROR, "frame not masked"),
            Self::Masked => (CloseCode::PROTOCOL_ERROR, "frame masked"),
            Self::ReservedBits { .. } => (CloseCode::PROTOCOL_ERROR, "reserved bits set"),
            Self::ReservedOpcode { .. } => (CloseCode::PROTOCOL_ERROR, "reserved opcode"),
            Self::FragmentedControl => (CloseCode::PROTOCOL_ERROR, "fragmented control frame"),
            Self::ControlTooLong { .. } => (CloseCode::PROTOCOL_ERROR, "control frame too long"),
            Self::UnexpectedContinuation => (CloseCode::PROTOCOL_ERROR, "unexpected continuation"),
            Self::ExpectedContinuation => (CloseCode::PROTOCOL_ERROR, "expected continuation"),
            Self::TruncatedCloseCode | Self::InvalidCloseCode(_) => {
                (CloseCode::PROTOCOL_ERROR, "bad close code")
            }
            Self::LengthOverflow { .. } => (CloseCode::PROTOCOL_ERROR, "bad frame length"),
            Self::NotControl => (CloseCode::PROTOCOL_ERROR, "no control message"),
            Self::NotWritten { .. } => (CloseCode::PROTOCOL_ERROR, "acknowledged too much"),
            Self::NotInflated => (CloseCode::INVALID_PAYLOAD, "bad compressed message"),
            Self::InvalidUtf8 => (CloseCode::INVALID_PAYLOAD, "invalid UTF-8"),
            Self::MessageTooBig { .. } => (CloseCode::MESSAGE_TOO_BIG, "message too big"),
            Self::TooManyFragments { .. } => (CloseCode::POLICY_VIOLATION, "too many fragments"),
        };
        CloseFrame::from_static(code, reason)
    }
}

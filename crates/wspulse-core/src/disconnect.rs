//! Why transports are lost and why connections end.

mod panic;
mod reason;
mod summary;

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::close::{CloseCode, CloseFrame};
use crate::escaped::Escaped;
use crate::websocket::ProtocolError;
pub use panic::PanicError;
pub use reason::DisconnectReason;

/// Why a transport is gone. With a resume window the session outlives it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TransportLost {
    /// The peer sent a Close frame; `None` if it was empty, as from a browser's `close()` without
    /// arguments.
    PeerClosed(Option<CloseFrame>),
    /// The peer ended the byte stream (FIN) without a Close frame.
    EndOfStream,
    /// Reading or writing failed; a reset connection is `io::ErrorKind::ConnectionReset`.
    Io(Arc<io::Error>),
    /// Nothing at all came from the peer for the heartbeat's pong timeout.
    PongTimeout,
    /// The socket did not take a frame within the write wait.
    WriteTimeout,
    /// The peer violated the WebSocket protocol or exceeded the maximum message size or number of
    /// fragments.
    Protocol(ProtocolError),
    /// The peer sent more than its inbound rate allows.
    RateLimited,
    /// The peer did not complete, within the message timeout, a message that it had begun.
    MessageTimeout,
    /// The message handler panicked, or the codec did.
    HandlerPanicked(PanicError),
    /// The HTTP upgrade did not come about after it had been accepted.
    UpgradeFailed(Arc<dyn Error + Send + Sync>),
    /// A newer transport with the same id took the session over.
    Superseded,
    /// The application has cut it, and not the session.
    Cut,
}

impl TransportLost {
    /// Whether the peer left on purpose and without complaint: close code 1000 or 1001, or none at
    /// all, as from a browser's `close()` without arguments.
    pub fn is_normal(&self) -> bool {
        match self {
            Self::PeerClosed(Some(frame)) => {
                matches!(frame.code(), CloseCode::NORMAL | CloseCode::GOING_AWAY)
            }
            Self::PeerClosed(None) => true,
            Self::EndOfStream
            | Self::Io(_)
            | Self::PongTimeout
            | Self::WriteTimeout
            | Self::Protocol(_)
            | Self::RateLimited
            | Self::MessageTimeout
            | Self::HandlerPanicked(_)
            | Self::UpgradeFailed(_)
            | Self::Superseded
            | Self::Cut => false,
        }
    }

    /// How the server takes its leave on that transport.
    pub fn dismissal(&self) -> Dismissal {
        match self {
            // RFC 6455 §5.5.1: the echo carries the code that came.
            Self::PeerClosed(frame) => Dismissal::Echo(
                frame.as_ref().map(|frame| CloseFrame::from_static(frame.code(), "")),
            ),
            Self::EndOfStream
            | Self::Io(_)
            | Self::WriteTimeout
            | Self::UpgradeFailed(_)
            | Self::Cut => Dismissal::Abort,
            Self::PongTimeout => {
                let frame = CloseFrame::from_static(CloseCode::GOING_AWAY, "pong timeout");
                Dismissal::Close(frame)
            }
            Self::Protocol(error) => Dismissal::Fail(error.close_frame()),
            // RFC 6455 §7.4.1: 1008 is for what violates a policy where no other code fits. Sending
            // much or slowly is no protocol error (1002).
            Self::RateLimited => Dismissal::Fail(policy_violation("rate limit")),
            Self::MessageTimeout => Dismissal::Fail(policy_violation("message timeout")),
            Self::HandlerPanicked(_) => {
                let frame = CloseFrame::from_static(CloseCode::INTERNAL_ERROR, "internal error");
                Dismissal::Fail(frame)
            }
            Self::Superseded => Dismissal::Close(duplicate(CloseCode::NORMAL)),
        }
    }
}

const fn policy_violation(reason: &'static str) -> CloseFrame {
    CloseFrame::from_static(CloseCode::POLICY_VIOLATION, reason)
}

/// What a client is told whose session or transport another one of its id has replaced: by this
/// code, which the server may choose.
pub const fn duplicate(code: CloseCode) -> CloseFrame {
    CloseFrame::from_static(code, "duplicate connection id")
}

/// For a transport whose handshake began before that of the one which its session has by now. For a
/// client of `wspulse.1` also if its transport makes room for a handshake that may be an older one of
/// its own. Such a client may come back, unlike one whose session somebody else has taken.
pub const OVERTAKEN: CloseFrame =
    CloseFrame::from_static(CloseCode::GOING_AWAY, "overtaken by another handshake");

impl fmt::Display for TransportLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerClosed(Some(frame)) => write!(f, "peer closed with {frame}"),
            Self::PeerClosed(None) => f.write_str("peer closed without a code"),
            Self::EndOfStream => f.write_str("peer ended the stream without a close frame"),
            Self::Io(error) => write!(f, "transport failed: {}", Escaped::display(error)),
            Self::PongTimeout => f.write_str("peer was silent for the pong timeout"),
            Self::WriteTimeout => f.write_str("peer took no frame within the write wait"),
            Self::Protocol(error) => write!(f, "peer violated the protocol: {error}"),
            Self::RateLimited => f.write_str("peer sent more than the inbound rate allows"),
            Self::MessageTimeout => {
                f.write_str("peer did not complete a message within the message timeout")
            }
            Self::HandlerPanicked(error) => fmt::Display::fmt(error, f),
            Self::UpgradeFailed(error) => {
                write!(f, "HTTP upgrade failed: {}", Escaped::error(&**error))
            }
            Self::Superseded => f.write_str("a newer transport took over"),
            Self::Cut => f.write_str("cut by the application"),
        }
    }
}

impl Error for TransportLost {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(&**error),
            Self::Protocol(error) => Some(error),
            Self::HandlerPanicked(error) => Some(error),
            Self::UpgradeFailed(error) => Some(&**error),
            Self::PeerClosed(_)
            | Self::EndOfStream
            | Self::PongTimeout
            | Self::WriteTimeout
            | Self::RateLimited
            | Self::MessageTimeout
            | Self::Superseded
            | Self::Cut => None,
        }
    }
}

/// What to do with a transport that a session no longer uses. In all cases but
/// [`Abort`](Self::Abort) a half-written frame is finished first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dismissal {
    /// Start the closing handshake: send this frame and wait for the peer's (RFC 6455 §7.1.2).
    Close(CloseFrame),
    /// Answer the peer's close frame; `None` with an empty one.
    Echo(Option<CloseFrame>),
    /// Fail the connection: send this frame and read nothing as WebSocket any more (§7.1.7).
    Fail(CloseFrame),
    /// Drop it, without a word: nothing more can arrive, or nothing is to.
    Abort,
}

/// Why a connection has ended, for `on_disconnect`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Disconnect {
    /// The application closed it.
    Closed,
    /// The application closed it, with this code and reason for the peer.
    ClosedWith(CloseFrame),
    /// Its transport was lost and there is no resume window.
    TransportLost(TransportLost),
    /// Its transport was lost, for this cause, and nobody came back within the resume window.
    GraceExpired(TransportLost),
    /// Its transport was lost, for this cause, and as many sessions were suspended already as may
    /// be at once.
    SuspendedLimit(TransportLost),
    /// The application kicked it, with this code and reason for the peer.
    Kicked(CloseFrame),
    /// A new connection with the same id replaced it.
    Duplicate,
    /// A new connection of its user took its place, as that has as many as it may have. This is
    /// what the peer is told.
    UserLimit(CloseFrame),
    /// A frame that was promised to be delivered could not be kept for the peer, so its session
    /// could not go on without a hole.
    FramesLost,
    /// Its send buffer was full when a frame came that was to [end it](crate::Overflow::Disconnect)
    /// then, with this code and reason for the peer.
    SlowConsumer(CloseFrame),
    /// Its permission has expired, and nobody has renewed it.
    Expired,
    /// The server is drained: its clients are to come back, to another one or a new one.
    Drained {
        /// How long the client is asked to wait before that.
        retry: Duration,
    },
    /// Its client has come back to another server of the cluster, and it goes on there.
    Moved,
    /// The server was closed.
    ServerClosed,
}

impl Disconnect {
    /// The reason without its details.
    pub const fn reason(&self) -> DisconnectReason {
        match self {
            Self::Closed | Self::ClosedWith(_) | Self::TransportLost(_) => DisconnectReason::Normal,
            Self::GraceExpired(_) => DisconnectReason::GraceExpired,
            Self::SuspendedLimit(_) => DisconnectReason::SuspendedLimit,
            Self::Kicked(_) => DisconnectReason::Kicked,
            Self::Duplicate => DisconnectReason::Duplicate,
            Self::UserLimit(_) => DisconnectReason::UserLimit,
            Self::FramesLost => DisconnectReason::FramesLost,
            Self::SlowConsumer(_) => DisconnectReason::SlowConsumer,
            Self::Expired => DisconnectReason::Expired,
            Self::Drained { .. } => DisconnectReason::Drained,
            Self::Moved => DisconnectReason::Moved,
            Self::ServerClosed => DisconnectReason::ServerClosed,
        }
    }

    /// What became of the last transport, where that is what started the end.
    pub const fn cause(&self) -> Option<&TransportLost> {
        match self {
            Self::TransportLost(cause)
            | Self::GraceExpired(cause)
            | Self::SuspendedLimit(cause) => Some(cause),
            Self::Closed
            | Self::ClosedWith(_)
            | Self::Kicked(_)
            | Self::Duplicate
            | Self::UserLimit(_)
            | Self::FramesLost
            | Self::SlowConsumer(_)
            | Self::Expired
            | Self::Drained { .. }
            | Self::Moved
            | Self::ServerClosed => None,
        }
    }

    /// Whether one of the two sides closed on purpose and without complaint: the application's own
    /// close, or the peer's with code 1000, 1001 or none.
    pub fn is_normal(&self) -> bool {
        match self {
            Self::Closed | Self::ClosedWith(_) => true,
            Self::TransportLost(cause)
            | Self::GraceExpired(cause)
            | Self::SuspendedLimit(cause) => cause.is_normal(),
            Self::Kicked(_)
            | Self::Duplicate
            | Self::UserLimit(_)
            | Self::FramesLost
            | Self::SlowConsumer(_)
            | Self::Expired
            | Self::Drained { .. }
            | Self::Moved
            | Self::ServerClosed => false,
        }
    }

    /// The Close frame that tells the peer, unless the server has chosen another code for a
    /// [duplicate](Self::Duplicate). Where the transport was lost there is nobody to tell;
    /// a transport that comes up nevertheless is told that its session has ended.
    pub fn close_frame(&self) -> CloseFrame {
        match self {
            Self::Closed => CloseFrame::from_static(CloseCode::NORMAL, ""),
            Self::ClosedWith(frame)
            | Self::Kicked(frame)
            | Self::UserLimit(frame)
            | Self::SlowConsumer(frame) => frame.clone(),
            Self::Duplicate => duplicate(CloseCode::NORMAL),
            Self::FramesLost => CloseFrame::from_static(CloseCode::FRAMES_LOST, "frames lost"),
            Self::Expired => CloseFrame::from_static(CloseCode::EXPIRED, "expired"),
            Self::Drained { retry } => {
                let reason = format!("retry={}", retry.as_millis());
                CloseFrame::new(CloseCode::SERVICE_RESTART, reason)
            }
            Self::ServerClosed => {
                CloseFrame::from_static(CloseCode::GOING_AWAY, "server shutting down")
            }
            Self::Moved => OVERTAKEN,
            Self::TransportLost(_) | Self::GraceExpired(_) | Self::SuspendedLimit(_) => {
                CloseFrame::from_static(CloseCode::GOING_AWAY, "session ended")
            }
        }
    }

    /// Whether messages that were received before the end still reach their handler: those of a
    /// peer that went by itself, was too slow or has lost frames, or whose server is drained, do;
    /// those of a connection that the application ended, or that has expired, do not.
    pub const fn delivers_received(&self) -> bool {
        match self {
            Self::TransportLost(_)
            | Self::GraceExpired(_)
            | Self::SuspendedLimit(_)
            | Self::SlowConsumer(_)
            | Self::FramesLost
            | Self::Drained { .. } => true,
            Self::Closed
            | Self::ClosedWith(_)
            | Self::Kicked(_)
            | Self::Duplicate
            | Self::UserLimit(_)
            | Self::Expired
            | Self::Moved
            | Self::ServerClosed => false,
        }
    }
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed by the application"),
            Self::TransportLost(cause) => write!(f, "transport lost: {cause}"),
            Self::GraceExpired(cause) => {
                write!(f, "not resumed within the window after: {cause}")
            }
            Self::SuspendedLimit(cause) => {
                write!(f, "as many sessions as may be were suspended already; {cause}")
            }
            Self::ClosedWith(frame) => write!(f, "closed by the application with {frame}"),
            Self::Kicked(frame) if frame.code() == CloseCode::NORMAL => {
                write!(f, "kicked: {}", Escaped::new(frame.reason()))
            }
            Self::Kicked(frame) => write!(f, "kicked with {frame}"),
            Self::Duplicate => f.write_str("replaced by a connection with the same id"),
            Self::UserLimit(frame) => {
                write!(f, "a newer connection of its user took its place; closed with {frame}")
            }
            Self::FramesLost => f.write_str("a frame that was to be delivered could not be kept"),
            Self::SlowConsumer(frame) => write!(f, "its send buffer was full: {frame}"),
            Self::Expired => f.write_str("its permission has expired"),
            Self::Drained { retry } => {
                write!(f, "server drained; its client may come back in {} ms", retry.as_millis())
            }
            Self::Moved => f.write_str("its session went over to another server of the cluster"),
            Self::ServerClosed => f.write_str("server closed"),
        }
    }
}

impl Error for Disconnect {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause().and_then(Error::source)
    }
}

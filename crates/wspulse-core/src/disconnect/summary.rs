//! What can be logged of an end without any text that a peer or the application has put into it.

use super::{Disconnect, TransportLost};
use crate::close::CloseFrame;

impl TransportLost {
    /// Its text without words of others: the code of a close frame and not its reason, and no text of
    /// a panic. For logs and traces, which should hold nothing that a client has said.
    ///
    /// ```
    /// use wspulse_core::{CloseCode, CloseFrame, TransportLost};
    ///
    /// let frame = CloseFrame::new(CloseCode::NORMAL, "my password is …");
    /// let lost = TransportLost::PeerClosed(Some(frame));
    /// assert_eq!(lost.summary(), "peer closed with 1000");
    /// ```
    pub fn summary(&self) -> String {
        match self {
            Self::PeerClosed(Some(frame)) => closed("peer closed", frame),
            Self::HandlerPanicked(_) => "the message handler panicked".to_owned(),
            Self::PeerClosed(None)
            | Self::EndOfStream
            | Self::Io(_)
            | Self::PongTimeout
            | Self::WriteTimeout
            | Self::Protocol(_)
            | Self::RateLimited
            | Self::MessageTimeout
            | Self::UpgradeFailed(_)
            | Self::Superseded
            | Self::Cut => self.to_string(),
        }
    }
}

impl Disconnect {
    /// What has brought the end about, without words of others, where the [reason](Self::reason)
    /// alone does not tell it: what became of the transport, or by which close code the application
    /// ended it.
    pub fn summary(&self) -> Option<String> {
        match self {
            Self::TransportLost(lost) | Self::GraceExpired(lost) | Self::SuspendedLimit(lost) => {
                Some(lost.summary())
            }
            Self::ClosedWith(frame)
            | Self::Kicked(frame)
            | Self::UserLimit(frame)
            | Self::SlowConsumer(frame) => Some(closed("closed", frame)),
            Self::Closed
            | Self::Duplicate
            | Self::FramesLost
            | Self::Expired
            | Self::Drained { .. }
            | Self::Moved
            | Self::ServerClosed => None,
        }
    }
}

fn closed(who: &str, frame: &CloseFrame) -> String {
    format!("{who} with {}", frame.code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CloseCode, PanicError};

    #[test]
    fn a_summary_holds_nothing_that_a_peer_or_the_application_has_written() {
        let frame = CloseFrame::new(CloseCode::NORMAL, "secret");
        let panic = PanicError::new(&"secret");
        for lost in
            [TransportLost::PeerClosed(Some(frame.clone())), TransportLost::HandlerPanicked(panic)]
        {
            assert!(!lost.summary().contains("secret"), "{}", lost.summary());
            let end = Disconnect::GraceExpired(lost.clone());
            assert_eq!(end.summary(), Some(lost.summary()));
        }
        let end = Disconnect::Kicked(frame);
        assert_eq!(end.summary().as_deref(), Some("closed with 1000"));
        assert_eq!(Disconnect::ServerClosed.summary(), None);
    }
}

//! Whether what has come is within the inbound rate.

use wspulse_core::codec::InboundMessage;
use wspulse_core::session::Pace;
use wspulse_core::websocket::Flow;

use super::read::Inbound;
use crate::membership::shared::ConnectionShared;
use crate::observe::metrics::MessageInflated;

impl Inbound<'_> {
    /// Delivers a message if it is within the inbound rate.
    #[inline]
    pub(super) fn pace(&mut self, deliver: impl FnOnce(&mut Self) -> Flow) -> Flow {
        match self.turn.session.admit_message(self.now) {
            Pace::Within => deliver(self),
            Pace::Last => {
                self.pace = Pace::Last;
                deliver(self);
                Flow::Pause
            }
            Pace::Over => {
                self.pace = Pace::Over;
                Flow::Pause
            }
        }
    }

    /// Counts a message that came compressed, and what it has grown by as if that had come on the wire.
    /// Unless it is over the inbound rate, the message may be handed on.
    pub(super) fn pace_inflated(
        &mut self,
        message: &InboundMessage<'_>,
        wire_bytes: usize,
    ) -> Pace {
        let payload_bytes = message.as_bytes().len();
        let ConnectionShared { server, id, .. } = &**self.turn.connection;
        server.metrics().record(|hooks| {
            let room = self.turn.connection.room();
            let inflated =
                MessageInflated { room, id, payload_bytes, compressed_bytes: wire_bytes };
            hooks.message_inflated(&inflated);
        });
        let grown_bytes = payload_bytes.saturating_sub(wire_bytes);
        let pace = self.turn.session.admit_bytes(grown_bytes, self.now);
        if pace == Pace::Over {
            self.pace = pace;
        }
        pace
    }

    /// The message that was handed on is the last that is within the inbound rate.
    pub(super) const fn pause_behind_inflated(&mut self) -> Flow {
        self.pace = Pace::Last;
        Flow::Pause
    }
}

//! Pings that ask how far the peer has got, and their answers.

use std::num::NonZeroU64;

use wspulse_core::outbound::PingPayload;

/// Tells the questions of one transport from those of another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonce(NonZeroU64);

impl Nonce {
    pub(crate) fn random() -> Self {
        let (_, random) = uuid::Uuid::new_v4().as_u64_pair();
        Self(NonZeroU64::new(random).unwrap_or(NonZeroU64::MIN))
    }

    /// A Ping's payload that names the newest frame before it.
    pub(crate) fn question(self, number: u64) -> PingPayload {
        let mut payload = [0; 16];
        payload[..8].copy_from_slice(&self.0.get().to_be_bytes());
        payload[8..].copy_from_slice(&number.to_be_bytes());
        PingPayload::Question(payload)
    }

    /// The number that an answer names, if it is one of this transport.
    pub(crate) fn answer(self, payload: &[u8]) -> Option<u64> {
        let number = payload.strip_prefix(&self.0.get().to_be_bytes())?;
        let number: [u8; 8] = number.try_into().ok()?;
        Some(u64::from_be_bytes(number))
    }
}

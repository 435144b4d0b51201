//! Which scenes the sequences have led to: a model that never sees a race proves nothing about it.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Scene {
    Refused,
    RefusedForBytes,
    Evicted,
    EvictedForBytes,
    EvictedBehindHalfWritten,
    EvictedAfterWrite,
    HalfWrittenAtLoss,
    RemainderFinished,
    ControlHalfWrittenAtLoss,
    BacklogFlushedAtEnd,
    EndToldAfterUpgrade,
    FlushCutByDeadline,
    FlushCutByPeer,
    PongTimeout,
    MessageTimeout,
    WriteTimeout,
    PanicLostTransport,
    PanicSparedTransport,
    PanicDuringFlush,
    MessagesDiscarded,
    ReadingPaused,
    SilentWhilePaused,
    TakenOver,
    AttachedAfterLoss,
    FirstUpgradeFailed,
    UpgradeAbandoned,
    UpgradeOutlastedWindow,
    GraceExpired,
    GraceYielded,
    NoPlaceToWait,
    EndRaced,
    HeldByPredecessor,
    SuspensionsFolded,
}

static SEEN: AtomicU64 = AtomicU64::new(0);

impl Scene {
    const ALL: [Self; 33] = [
        Self::Refused,
        Self::RefusedForBytes,
        Self::Evicted,
        Self::EvictedForBytes,
        Self::EvictedBehindHalfWritten,
        Self::EvictedAfterWrite,
        Self::HalfWrittenAtLoss,
        Self::RemainderFinished,
        Self::ControlHalfWrittenAtLoss,
        Self::BacklogFlushedAtEnd,
        Self::EndToldAfterUpgrade,
        Self::FlushCutByDeadline,
        Self::FlushCutByPeer,
        Self::PongTimeout,
        Self::MessageTimeout,
        Self::WriteTimeout,
        Self::PanicLostTransport,
        Self::PanicSparedTransport,
        Self::PanicDuringFlush,
        Self::MessagesDiscarded,
        Self::ReadingPaused,
        Self::SilentWhilePaused,
        Self::TakenOver,
        Self::AttachedAfterLoss,
        Self::FirstUpgradeFailed,
        Self::UpgradeAbandoned,
        Self::UpgradeOutlastedWindow,
        Self::GraceExpired,
        Self::GraceYielded,
        Self::NoPlaceToWait,
        Self::EndRaced,
        Self::HeldByPredecessor,
        Self::SuspensionsFolded,
    ];

    pub(crate) fn seen(self) {
        SEEN.fetch_or(self.bit(), Ordering::Relaxed);
    }

    pub(crate) fn seen_if(self, condition: bool) {
        if condition {
            self.seen();
        }
    }

    pub(crate) fn missing() -> Vec<Self> {
        let seen = SEEN.load(Ordering::Relaxed);
        let is_missing = |scene: &Self| seen & scene.bit() == 0;
        Self::ALL.into_iter().filter(is_missing).collect()
    }

    const fn bit(self) -> u64 {
        1 << self as u32
    }
}

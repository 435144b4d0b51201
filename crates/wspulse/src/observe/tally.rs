//! What a server counts while somebody watches it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use wspulse_core::EncodedFrame;

use crate::ground::sync::Mutex;
use crate::observe::metrics::{
    DropReason, FrameDropped, FramesConflated, MessageBroadcast, MessageInflated, MessageReceived,
    MessageUndecodable, MessagesCompressed, MessagesSent, MetricsCollector, PongTimeout,
    SessionResumed, SessionSuspended, UpgradeRefused,
};

/// The upper bounds of the counts of [`FanOutLatency`], in microseconds; what is slower is in one
/// more.
const BOUNDS_MICROS: [u64; 14] = [
    100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000, 5_000_000,
];

/// How often a broadcast is timed at the most, and how many are remembered until they are written:
/// for 6.4 s, which is beyond the last bound.
const SAMPLED_EVERY: Duration = Duration::from_millis(50);
const SAMPLES_MAX: usize = 128;

/// What a server has done since it was first watched, in the times in which it was. The difference of
/// two is what happened between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Totals {
    /// Messages that arrived.
    pub received: u64,
    /// The bytes of their payloads.
    pub received_bytes: u64,
    /// Messages that the codec could not decode.
    pub undecodable: u64,
    /// Frames that sockets have taken.
    pub sent: u64,
    /// The bytes of their payloads.
    pub sent_bytes: u64,
    /// Of the messages that arrived, those that came compressed.
    pub received_compressed: CompressedTotals,
    /// Of the frames that sockets have taken, those that went compressed.
    pub sent_compressed: CompressedTotals,
    /// Broadcasts.
    pub broadcasts: u64,
    /// The members that these were for.
    pub fan_out: u64,
    /// Frames that newer ones with the same key have replaced.
    pub conflated: u64,
    /// Sessions that lost their transport and wait.
    pub suspended: u64,
    /// Sessions that got a new transport.
    pub resumed: u64,
    /// Transports given up for silence.
    pub pong_timeouts: u64,
    /// Clients that were refused.
    pub refused: u64,
    /// How long broadcasts took, as far as they were timed.
    pub fan_out_latency: FanOutLatency,
    dropped: [u64; DropReason::ALL.len()],
}

impl Totals {
    /// Frames that will never be sent, for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[place(reason)]
    }
}

/// What compression has made of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CompressedTotals {
    /// Messages that were compressed.
    pub messages: u64,
    /// The bytes of their payloads as they are.
    pub payload_bytes: u64,
    /// The bytes of their payloads on the wire.
    pub compressed_bytes: u64,
}

/// How many timed broadcasts took how long from the call that made them until the socket of a
/// [tapped](crate::Connection::tap) connection had taken them. Those for connections that nobody taps
/// are not timed: tap some, drawn at random, to time a server's fan-out. One broadcast in 50 ms is
/// timed at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FanOutLatency {
    counts: [u64; BOUNDS_MICROS.len() + 1],
}

impl FanOutLatency {
    /// The upper bound of each count, in ascending order, and the count; `None` for all that took
    /// longer than 5 s.
    pub fn counts(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = BOUNDS_MICROS.into_iter().map(|micros| Some(Duration::from_micros(micros)));
        bounds.chain([None]).zip(self.counts)
    }
}

/// The counts themselves, and the broadcasts that are being timed.
#[derive(Default)]
pub(crate) struct Tally {
    received: AtomicU64,
    received_bytes: AtomicU64,
    undecodable: AtomicU64,
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    received_compressed: CompressedTally,
    sent_compressed: CompressedTally,
    broadcasts: AtomicU64,
    fan_out: AtomicU64,
    conflated: AtomicU64,
    suspended: AtomicU64,
    resumed: AtomicU64,
    pong_timeouts: AtomicU64,
    refused: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
    latencies: [AtomicU64; BOUNDS_MICROS.len() + 1],
    timed: Mutex<VecDeque<Timed>>,
}

#[derive(Default)]
struct CompressedTally {
    messages: AtomicU64,
    payload_bytes: AtomicU64,
    compressed_bytes: AtomicU64,
}

impl CompressedTally {
    fn add(&self, messages: usize, payload_bytes: usize, compressed_bytes: usize) {
        add(&self.messages, messages);
        add(&self.payload_bytes, payload_bytes);
        add(&self.compressed_bytes, compressed_bytes);
    }

    fn totals(&self) -> CompressedTotals {
        CompressedTotals {
            messages: self.messages.load(Ordering::Relaxed),
            payload_bytes: self.payload_bytes.load(Ordering::Relaxed),
            compressed_bytes: self.compressed_bytes.load(Ordering::Relaxed),
        }
    }
}

struct Timed {
    frame: EncodedFrame,
    begun_at: Instant,
}

impl Tally {
    pub(crate) fn totals(&self) -> Totals {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Totals {
            received: of(&self.received),
            received_bytes: of(&self.received_bytes),
            undecodable: of(&self.undecodable),
            sent: of(&self.sent),
            sent_bytes: of(&self.sent_bytes),
            received_compressed: self.received_compressed.totals(),
            sent_compressed: self.sent_compressed.totals(),
            broadcasts: of(&self.broadcasts),
            fan_out: of(&self.fan_out),
            conflated: of(&self.conflated),
            suspended: of(&self.suspended),
            resumed: of(&self.resumed),
            pong_timeouts: of(&self.pong_timeouts),
            refused: of(&self.refused),
            dropped: self.dropped.each_ref().map(of),
            fan_out_latency: FanOutLatency { counts: self.latencies.each_ref().map(of) },
        }
    }

    /// A broadcast is about to be queued in these encodings.
    pub(crate) fn begin_broadcast<'a>(&self, frames: impl Iterator<Item = &'a EncodedFrame>) {
        let begun_at = Instant::now();
        let mut timed = self.timed.lock();
        if timed.back().is_some_and(|last| begun_at.duration_since(last.begun_at) < SAMPLED_EVERY) {
            return;
        }
        for frame in frames {
            if timed.len() == SAMPLES_MAX {
                timed.pop_front();
            }
            timed.push_back(Timed { frame: frame.clone(), begun_at });
        }
    }

    /// A socket has taken these frames.
    pub(crate) fn end_broadcasts(&self, written: &[EncodedFrame]) {
        let timed = self.timed.lock();
        for begun in timed.iter().filter(|begun| written.iter().any(|it| it.is_same(&begun.frame)))
        {
            let took = begun.begun_at.elapsed().as_micros();
            let place = BOUNDS_MICROS.partition_point(|bound| u128::from(*bound) < took);
            add(&self.latencies[place], 1);
        }
    }

    /// Nobody watches any more.
    pub(crate) fn forget_timed(&self) {
        *self.timed.lock() = VecDeque::new();
    }
}

fn add(count: &AtomicU64, amount: usize) {
    count.fetch_add(amount as u64, Ordering::Relaxed);
}

fn place(reason: DropReason) -> usize {
    DropReason::ALL.iter().position(|it| *it == reason).expect("all reasons are listed")
}

impl MetricsCollector for Tally {
    fn message_received(&self, event: &MessageReceived<'_>) {
        add(&self.received, 1);
        add(&self.received_bytes, event.payload_bytes);
    }

    fn message_undecodable(&self, _: &MessageUndecodable<'_>) {
        add(&self.undecodable, 1);
    }

    fn messages_sent(&self, event: &MessagesSent<'_>) {
        add(&self.sent, event.messages);
        add(&self.sent_bytes, event.payload_bytes);
    }

    fn messages_compressed(&self, event: &MessagesCompressed<'_>) {
        let &MessagesCompressed { messages, payload_bytes, compressed_bytes, .. } = event;
        self.sent_compressed.add(messages, payload_bytes, compressed_bytes);
    }

    fn message_inflated(&self, event: &MessageInflated<'_>) {
        let &MessageInflated { payload_bytes, compressed_bytes, .. } = event;
        self.received_compressed.add(1, payload_bytes, compressed_bytes);
    }

    fn message_broadcast(&self, event: &MessageBroadcast<'_>) {
        add(&self.broadcasts, 1);
        add(&self.fan_out, event.fan_out);
    }

    fn frame_dropped(&self, event: &FrameDropped<'_>) {
        add(&self.dropped[place(event.reason)], 1);
    }

    fn frames_conflated(&self, event: &FramesConflated<'_>) {
        add(&self.conflated, event.frames);
    }

    fn session_suspended(&self, _: &SessionSuspended<'_>) {
        add(&self.suspended, 1);
    }

    fn session_resumed(&self, _: &SessionResumed<'_>) {
        add(&self.resumed, 1);
    }

    fn pong_timeout(&self, _: &PongTimeout<'_>) {
        add(&self.pong_timeouts, 1);
    }

    fn upgrade_refused(&self, _: &UpgradeRefused) {
        add(&self.refused, 1);
    }
}

//! What a session keeps of what it reads: whether that comes too fast, or too slowly.

use std::time::{Duration, Instant};

use super::awaited::Awaited;
use super::state::State;
use super::{Session, SessionConfig};
use crate::clock::{after, put_off};
use crate::rate::{InboundRate, OverRate, Rate, TokenBucket};
use crate::websocket::Progress;

/// Made only when there is something to keep: a session whose peer is idle and may send at any rate
/// has none.
#[derive(Debug, Default)]
pub(super) struct InboundWatch {
    meter: Option<Meter>,
    /// When the message that has begun must be complete.
    message_deadline: Option<Instant>,
    pub(super) awaited: Option<Awaited>,
}

/// What has come is counted against the rate, from transport to transport.
#[derive(Debug)]
struct Meter {
    messages: Option<TokenBucket>,
    bytes: Option<TokenBucket>,
    over: OverRate,
    pause: Option<Pause>,
    excused: Excused,
}

/// What may come beyond the rate, since it came while the driver stood still and is read at once.
#[derive(Debug, Default)]
struct Excused {
    messages: u32,
    bytes: u32,
}

/// Nothing is read for now.
#[derive(Debug, Clone, Copy)]
struct Pause {
    since: Instant,
    until: Instant,
}

/// What the inbound rate says of something that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// It is within the rate, and more may come.
    Within,
    /// It is the last that is within the rate: reading pauses now.
    Last,
    /// It is over the rate: the transport is to be closed.
    Over,
}

/// How often, at most, the pauses of a peer that always sends too much end in a second: few enough
/// turns to cost little, and pauses that are too short to be felt.
const PAUSES_PER_SECOND_MAX: u32 = 50;

impl Session {
    /// So many bytes were read, as they are on the wire, or a message that came compressed has grown
    /// by so many. Says whether that is within the inbound rate; what is over it does not count
    /// against it.
    #[inline]
    pub fn admit_bytes(&mut self, bytes: usize, now: Instant) -> Pace {
        match &mut self.inbound {
            Some(watch) if matches!(self.state, State::Connected(_)) => {
                watch.admit_bytes(bytes, now)
            }
            Some(_) | None => Pace::Within,
        }
    }

    /// A message or a Ping came, which is yet to be handed in. Says whether it is within the
    /// inbound rate; one that is over it must not be.
    #[inline]
    pub fn admit_message(&mut self, now: Instant) -> Pace {
        match &mut self.inbound {
            Some(watch) if matches!(self.state, State::Connected(_)) => watch.admit_message(now),
            Some(_) | None => Pace::Within,
        }
    }

    /// All that was read is decoded, and ends like this: a message that has begun must be complete
    /// within its time.
    #[inline]
    pub fn handle_progress(&mut self, progress: Progress, now: Instant) {
        if self.inbound.is_some() || progress != Progress::Complete {
            self.watch_message(progress, now);
        }
    }

    /// Whether [`read_bytes_max`](Self::read_bytes_max) may allow less than it is given.
    #[inline]
    pub const fn meters_reads(&self) -> bool {
        self.inbound.is_some()
    }

    /// How many bytes to read at once, out of `bytes_max`: at least 1, and no more than the inbound
    /// rate has room for, if what goes over it is to wait.
    #[inline]
    pub fn read_bytes_max(&self, bytes_max: usize, now: Instant) -> usize {
        match &self.inbound {
            Some(watch) if self.is_connected() => watch.read_bytes_max(bytes_max, now),
            Some(_) | None => bytes_max,
        }
    }

    /// When the message that has begun must be complete. There is no such time while nothing is
    /// read: its rest may have come already.
    pub(super) fn message_deadline(&self) -> Option<Instant> {
        let watch = self.inbound.as_ref()?;
        watch.message_deadline.filter(|_| !watch.is_paused() && self.has_room())
    }

    /// When reading goes on, or else when the message that has begun must be complete.
    pub(super) fn inbound_timeout(&self) -> Option<Instant> {
        let watch = self.inbound.as_ref()?;
        watch.pause_ends_at().or_else(|| self.message_deadline())
    }

    pub(super) fn is_rate_paused(&self) -> bool {
        self.is_connected() && self.inbound.as_ref().is_some_and(|watch| watch.is_paused())
    }

    /// Reading goes on if its time has come.
    pub(super) fn end_pause(&mut self, now: Instant) {
        if self.inbound.as_mut().is_some_and(|watch| watch.end_pause(now)) {
            self.resume_reading(now);
        }
    }

    /// Fewer messages wait for their callback again: a message that was read in part has its whole
    /// time once more.
    pub(super) fn resume_behind_callbacks(&mut self, now: Instant) {
        let deadline = after(now, self.config.message_timeout);
        if let Some(watch) = &mut self.inbound {
            watch.renew_message(deadline);
        }
        self.resume_reading(now);
    }

    fn watch_message(&mut self, progress: Progress, now: Instant) {
        if matches!(self.state, State::Connected(_)) {
            let deadline = after(now, self.config.message_timeout);
            self.inbound.get_or_insert_default().handle_progress(progress, deadline);
            self.inbound.take_if(|watch| watch.is_empty());
        }
    }

    /// The transport is gone, and what was incomplete on it.
    pub(super) fn forget_message(&mut self) {
        if let Some(watch) = &mut self.inbound {
            watch.forget_message();
            self.forget_awaited();
        }
        self.inbound.take_if(|watch| watch.is_empty());
    }
}

impl InboundWatch {
    pub(super) fn metering(rate: &InboundRate, now: Instant) -> Self {
        let full = |rate| TokenBucket::full(rate, now);
        let meter = Meter {
            messages: rate.message_rate().map(full),
            bytes: rate.byte_rate().map(full),
            over: rate.over(),
            pause: None,
            excused: Excused::default(),
        };
        Self { meter: Some(meter), message_deadline: None, awaited: None }
    }

    /// Whether there is nothing to keep.
    pub(super) const fn is_empty(&self) -> bool {
        self.meter.is_none() && self.message_deadline.is_none() && self.awaited.is_none()
    }

    pub(super) const fn is_paused(&self) -> bool {
        matches!(self.meter, Some(Meter { pause: Some(_), .. }))
    }

    /// How many bytes may be read at once: no more than there are tokens for, where what goes over
    /// the rate is to be left where it is.
    pub(super) fn read_bytes_max(&self, bytes_max: usize, now: Instant) -> usize {
        match &self.meter {
            Some(Meter { bytes: Some(bytes), over: OverRate::Pause, .. }) => {
                // Reading is not paused, so there is one at least.
                (bytes.available(now).max(1) as usize).min(bytes_max)
            }
            Some(Meter { .. }) | None => bytes_max,
        }
    }

    pub(super) fn admit_bytes(&mut self, bytes: usize, now: Instant) -> Pace {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.meter.as_mut().map_or(Pace::Within, |meter| meter.admit_bytes(bytes, now))
    }

    pub(super) fn admit_message(&mut self, now: Instant) -> Pace {
        self.meter.as_mut().map_or(Pace::Within, |meter| meter.admit_message(now))
    }

    /// Takes note of what the bytes read so far end in.
    pub(super) fn handle_progress(&mut self, progress: Progress, deadline: Instant) {
        match progress {
            Progress::Complete => self.message_deadline = None,
            Progress::Begun => self.message_deadline = Some(deadline),
            Progress::Continued => {}
        }
    }

    /// The transport is gone, and what was incomplete on it.
    pub(super) const fn forget_message(&mut self) {
        self.message_deadline = None;
    }

    /// Reading goes on after a time that nobody has measured.
    pub(super) const fn renew_message(&mut self, deadline: Instant) {
        if self.message_deadline.is_some() {
            self.message_deadline = Some(deadline);
        }
    }

    /// Nothing could be read for the time that was missed, nor perhaps for one ping interval before
    /// that was noticed.
    pub(super) fn handle_stall(&mut self, missed: Duration, config: &SessionConfig, now: Instant) {
        let time = config.message_timeout;
        if let Some(meter) = &mut self.meter {
            meter.excuse(missed.saturating_add(config.heartbeat.ping_interval));
        }
        if let Some(deadline) = &mut self.message_deadline {
            *deadline = put_off(*deadline, missed, time, now);
        }
    }

    /// When reading goes on.
    pub(super) const fn pause_ends_at(&self) -> Option<Instant> {
        match &self.meter {
            Some(Meter { pause: Some(pause), .. }) => Some(pause.until),
            Some(Meter { pause: None, .. }) | None => None,
        }
    }

    /// Lets reading go on if its time has come, and tells whether it has.
    pub(super) fn end_pause(&mut self, now: Instant) -> bool {
        let Some(meter) = &mut self.meter else { return false };
        let Some(pause) = meter.pause.take_if(|pause| now >= pause.until) else {
            return false;
        };
        // The time in which nothing was read does not count for the message.
        if let Some(deadline) = &mut self.message_deadline {
            *deadline = after(*deadline, now.saturating_duration_since(pause.since));
        }
        true
    }
}

impl Meter {
    /// A peer may have sent at its rate for so long, all of which is read now.
    fn excuse(&mut self, time: Duration) {
        let sent = |bucket: &Option<TokenBucket>| {
            let per_second = bucket.as_ref().map_or(0, |bucket| bucket.rate().per_second);
            let units = time.as_millis() * u128::from(per_second) / 1000;
            u32::try_from(units).unwrap_or(u32::MAX)
        };
        let Excused { messages, bytes } = &mut self.excused;
        *messages = sent(&self.messages).max(*messages);
        *bytes = sent(&self.bytes).max(*bytes);
    }

    fn admit_bytes(&mut self, bytes: u32, now: Instant) -> Pace {
        match &mut self.bytes {
            Some(bucket) if self.over == OverRate::Close && bucket.available(now) < bytes => {
                spend(&mut self.excused.bytes, bytes)
            }
            Some(bucket) => {
                bucket.take(bytes, now);
                self.pause_if_spent(now)
            }
            None => Pace::Within,
        }
    }

    fn admit_message(&mut self, now: Instant) -> Pace {
        match &mut self.messages {
            Some(bucket) if self.over == OverRate::Close && bucket.available(now) == 0 => {
                spend(&mut self.excused.messages, 1)
            }
            Some(bucket) => {
                bucket.take(1, now);
                self.pause_if_spent(now)
            }
            None => Pace::Within,
        }
    }

    fn pause_if_spent(&mut self, now: Instant) -> Pace {
        match self.over {
            OverRate::Close => Pace::Within,
            OverRate::Pause => {
                let buckets = self.messages.iter().chain(&self.bytes);
                let until = buckets
                    .filter(|bucket| bucket.available(now) == 0)
                    .map(|bucket| bucket.available_at(worth_reading(bucket.rate()), now))
                    .max();
                let Some(until) = until else { return Pace::Within };
                self.pause = Some(Pause { since: now, until });
                Pace::Last
            }
        }
    }
}

/// What is over the rate is told, unless it is excused.
const fn spend(excused: &mut u32, units: u32) -> Pace {
    match excused.checked_sub(units) {
        Some(rest) => {
            *excused = rest;
            Pace::Within
        }
        None => Pace::Over,
    }
}

/// How many tokens a bucket should have before reading goes on.
fn worth_reading(rate: Rate) -> u32 {
    (rate.per_second / PAUSES_PER_SECOND_MAX).clamp(1, rate.burst)
}

//! Counting a client's frames: those that cost their sender next to nothing have a rate.
//!
//! h2 bounds what frames can make it hold. It answers as many SETTINGS and PING as come, though, and
//! looks at as many of the rest.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::preface::PREFACE;

/// RFC 9113 §4.1.
const HEADER_BYTES: usize = 9;

/// How many may come at once, and in this time: a page that gives up what it was loading resets a
/// hundred streams.
const UNITS_MIN: u32 = 1024;
/// All streams may be reset at once, and opened again, for each a few times in a row.
const UNITS_PER_STREAM: u32 = 4;
const REFILL: Duration = Duration::from_secs(8);

/// Each of them may have all streams looked at (RFC 9113 §6.9.2).
const SETTINGS_UNITS: u32 = 16;
/// Nobody has asked for one before a shutdown, and h2 logs a line.
const PING_ACK_UNITS: u32 = 64;

/// A stream of frames, at whose end a client that sends too many of the cheap ones is.
pub(super) struct Counted<IO> {
    stream: IO,
    reader: FrameReader,
    allowance: Allowance,
}

impl<IO> Counted<IO> {
    /// A stream that begins with the preface.
    pub(super) fn new(stream: IO, streams_max: u32) -> Self {
        let units_max = UNITS_MIN.max(UNITS_PER_STREAM * streams_max);
        Self { stream, reader: FrameReader::new(), allowance: Allowance::new(units_max) }
    }
}

/// Finds the frames' headers.
struct FrameReader {
    /// What of a header has come.
    header: [u8; HEADER_BYTES],
    header_len: usize,
    /// How many bytes come before the next header.
    payload_bytes: usize,
}

/// What is left to a client.
struct Allowance {
    units: u32,
    units_max: u32,
    refilled_at: Instant,
}

/// A client sends too many frames that carry nothing.
#[derive(Debug, thiserror::Error)]
#[error("too many HTTP/2 control frames")]
struct TooManyFrames;

impl FrameReader {
    const fn new() -> Self {
        Self { header: [0; HEADER_BYTES], header_len: 0, payload_bytes: PREFACE.len() }
    }

    /// What the frames cost whose headers end in these bytes.
    fn cost(&mut self, mut bytes: &[u8]) -> u32 {
        let mut cost = 0_u32;
        loop {
            let passed = bytes.len().min(self.payload_bytes);
            self.payload_bytes -= passed;
            bytes = &bytes[passed..];
            let missing = HEADER_BYTES - self.header_len;
            let come = bytes.len().min(missing);
            self.header[self.header_len..][..come].copy_from_slice(&bytes[..come]);
            self.header_len += come;
            bytes = &bytes[come..];
            if self.header_len < HEADER_BYTES {
                return cost;
            }
            self.header_len = 0;
            let [high, middle, low, kind, flags, ..] = self.header;
            self.payload_bytes = u32::from_be_bytes([0, high, middle, low]) as usize;
            cost = cost.saturating_add(units(kind, flags));
        }
    }
}

/// What a frame of this type costs (RFC 9113 §6).
const fn units(kind: u8, flags: u8) -> u32 {
    const ACK: u8 = 1;
    match kind {
        // DATA, HEADERS, PUSH_PROMISE, CONTINUATION: h2 bounds them. WINDOW_UPDATE: as many as there
        // are DATA frames of ours.
        0 | 1 | 5 | 8 | 9 => 0,
        4 => SETTINGS_UNITS,
        6 if flags & ACK != 0 => PING_ACK_UNITS,
        // PRIORITY, RST_STREAM, PING, GOAWAY, and types that are not known.
        _ => 1,
    }
}

impl Allowance {
    fn new(units_max: u32) -> Self {
        Self { units: units_max, units_max, refilled_at: Instant::now() }
    }

    fn spend(&mut self, units: u32) -> Result<(), TooManyFrames> {
        if units > self.units {
            self.refill();
        }
        self.units = self.units.checked_sub(units).ok_or(TooManyFrames)?;
        Ok(())
    }

    /// The clock is looked at only when it matters.
    fn refill(&mut self) {
        let now = Instant::now();
        let passed = now.saturating_duration_since(self.refilled_at).min(REFILL);
        let earned = u128::from(self.units_max) * passed.as_millis() / REFILL.as_millis();
        if let Ok(earned @ 1..) = u32::try_from(earned) {
            self.units = self.units.saturating_add(earned).min(self.units_max);
            self.refilled_at = now;
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Counted<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let cost = this.reader.cost(&buf.filled()[before..]);
        Poll::Ready(this.allowance.spend(cost).map_err(io::Error::other))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Counted<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).expect("a short one").to_be_bytes();
        let header = [len[1], len[2], len[3], kind, flags, 0, 0, 0, 0];
        [&header, payload].concat()
    }

    #[test]
    fn frames_cost_the_same_wherever_a_read_ends() {
        let frames = [frame(4, 0, &[1; 6]), frame(0, 0, &[7; 20]), frame(6, 0, &[2; 8])].concat();
        let all = [PREFACE, &frames, &frame(4, 1, &[])].concat();
        for piece_bytes in 1..=all.len() {
            let mut reader = FrameReader::new();
            let cost: u32 = all.chunks(piece_bytes).map(|piece| reader.cost(piece)).sum();
            assert_eq!(cost, 2 * SETTINGS_UNITS + 1, "pieces of {piece_bytes}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_allowance_is_earned_anew_within_its_time() {
        let mut allowance = Allowance::new(UNITS_MIN);
        allowance.spend(UNITS_MIN).expect("all of it");
        assert!(allowance.spend(1).is_err());
        tokio::time::sleep(REFILL / 2).await;
        allowance.spend(UNITS_MIN / 2).expect("half of it");
        assert!(allowance.spend(1).is_err());
        tokio::time::sleep(2 * REFILL).await;
        allowance.spend(UNITS_MIN).expect("all of it, and no more");
        assert!(allowance.spend(1).is_err());
    }
}

//! One vectored write out of a control lane and a batch.

use std::io::IoSlice;

use super::{Batch, ControlLane};
use crate::encoded::EncodedFrame;

/// The most slices of one vectored write. More gain nothing measurable, and 64 of them take one
/// KiB of stack; the kernel's own bound is 1,024.
pub const SLICES_MAX: usize = 64;

/// Fills `slices` with what is to be written next, in order: the rest of a half-written frame,
/// control frames, waiting frames. Returns how many slices are filled.
pub fn gather<'a>(
    lane: &'a mut ControlLane,
    batch: &'a Batch,
    slices: &mut [IoSlice<'a>; SLICES_MAX],
) -> usize {
    lane.stage();
    let control = Some(lane.bytes()).filter(|bytes| !bytes.is_empty());
    let mut data = batch.chunks();
    // At most one of both is half written: each is finished before the other goes on.
    let started = if batch.started().is_some() { data.next() } else { None };
    let mut filled = 0;
    for (slice, bytes) in slices.iter_mut().zip(started.into_iter().chain(control).chain(data)) {
        *slice = IoSlice::new(bytes);
        filled += 1;
    }
    filled
}

/// Takes note that the first `bytes` of what [`gather`] gave are written, and shows each data frame
/// that is whole by now.
pub fn advance(
    lane: &mut ControlLane,
    batch: &mut Batch,
    mut bytes: usize,
    mut on_sent: impl FnMut(&EncodedFrame),
) {
    if let Some(started) = batch.started() {
        let first = bytes.min(started.len());
        batch.advance(first, &mut on_sent);
        bytes -= first;
    }
    if bytes > 0 {
        bytes = lane.advance(bytes);
    }
    if bytes > 0 {
        let beyond = batch.advance(bytes, on_sent);
        debug_assert_eq!(beyond, 0, "a socket takes no more than it is given");
    }
}

//! The compressed forms of a frame.

use std::sync::OnceLock;

use super::{EncodedFrame, header, header_bytes};
use crate::deflate::{WindowBits, compress};
use crate::outbound::Deflated;

/// RSV1, of the first frame of a compressed message (RFC 7692 §6).
const COMPRESSED: u8 = 0x40;

/// One for each window that is shared: header and payload, or that it would be no smaller. So a frame takes less
/// than three times what it counts by, whoever it goes to. Boxed, as most frames have none.
#[derive(Default)]
pub(super) struct DeflatedForms(OnceLock<Box<[Made; 2]>>);

/// `None` once it is known that it would be no smaller. A thread that comes while another makes it waits, no longer
/// than it would take to make it by itself.
type Made = OnceLock<Option<Box<[u8]>>>;

impl EncodedFrame {
    /// Compressed, if that is smaller and worth it.
    pub(super) fn deflated(&self, how: Deflated) -> Option<&[u8]> {
        if self.payload_bytes() < how.bytes_min() || self.is_uncompressed() {
            return None;
        }
        let window = how.window();
        let forms = self.0.deflated.0.get_or_init(Box::default);
        let form = forms[usize::from(window == WindowBits::MAX)].get_or_init(|| {
            let payload = compress(self.payload(), window, how.level())?;
            let (header, header_bytes) = header(self.wire()[0] | COMPRESSED, payload.len());
            Some([&header[..header_bytes], &payload].concat().into_boxed_slice())
        });
        form.as_deref()
    }

    /// The bytes of its payload compressed, if it goes so.
    pub(crate) fn deflated_payload_bytes(&self, how: Deflated) -> Option<usize> {
        let wire = self.deflated(how)?;
        Some(wire.len() - header_bytes(wire))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::deflate::{Level, inflate};
    use crate::encoded::MessageKind;
    use crate::outbound::Form;

    fn how(bits: u8) -> Form {
        let window = WindowBits::new(bits).expect("a window");
        Form::Deflated(Deflated::new(window, Level::default(), 256))
    }

    /// Where a frame's forms lie for all windows that clients may ask for, each once, and how long they are.
    fn forms(frame: &EncodedFrame) -> Vec<(*const u8, usize)> {
        let mut forms: Vec<_> = (9..=15).map(|bits| frame.wire_in(how(bits))).collect();
        forms.dedup_by_key(|form| form.as_ptr());
        forms.into_iter().map(|form| (form.as_ptr(), form.len())).collect()
    }

    fn noise<const BYTES: usize>() -> [u8; BYTES] {
        let mut noise = [0; BYTES];
        SmallRng::seed_from_u64(1).fill_bytes(&mut noise);
        noise
    }

    #[test]
    fn it_is_made_once_for_each_of_two_windows_and_shared_by_all() {
        let frame = EncodedFrame::from_payload(MessageKind::Text, &b"again and ".repeat(100));
        for bits in 9..=15 {
            let wire = frame.wire_in(how(bits));
            assert_eq!(wire.as_ptr(), frame.clone().wire_in(how(bits)).as_ptr());
            assert_eq!((wire[0], usize::from(wire[1])), (0xc1, wire.len() - 2));
            let mut inflated = Vec::new();
            inflate(&wire[2..], 1_000, &mut inflated).unwrap();
            assert_eq!(inflated, frame.payload());
        }
        assert_eq!(forms(&frame).len(), 2, "for 9 to 14 bits, and for 15");
        assert_eq!(frame.wire_in(Form::Plain), frame.wire());
    }

    #[test]
    fn threads_that_come_to_it_at_once_get_the_same() {
        let frame = EncodedFrame::from_payload(MessageKind::Text, &b"again and ".repeat(20_000));
        let all_are_there = Barrier::new(4);
        let came = || {
            all_are_there.wait();
            frame.wire_in(how(15)).as_ptr().addr()
        };
        let places = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(came)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
        });
        assert!(places.iter().all(|place| *place == places[0]), "{places:?}");
        assert_ne!(places[0], frame.wire().as_ptr().addr());
    }

    #[test]
    fn with_all_that_clients_may_ask_for_a_frame_takes_less_than_three_times_its_bytes() {
        let half_noise = [&noise::<4_000>()[..], &[0; 4_000]].concat();
        for payload in [b"again and ".repeat(800), half_noise, noise::<8_000>().to_vec()] {
            let frame = EncodedFrame::from_payload(MessageKind::Binary, &payload);
            let made = forms(&frame).into_iter().filter(|(at, _)| *at != frame.wire().as_ptr());
            let bytes: Vec<_> = made.map(|(_, bytes)| bytes).collect();
            assert!(bytes.len() <= 2, "{bytes:?}");
            assert!(bytes.iter().all(|bytes| *bytes < frame.wire_bytes()), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_short_or_gets_no_smaller_goes_as_it_is() {
        let short = EncodedFrame::from_payload(MessageKind::Text, &[b'a'; 255]);
        assert_eq!(short.wire_in(how(15)), short.wire());
        let noise = EncodedFrame::from_payload(MessageKind::Binary, &noise::<1_000>());
        assert_eq!(noise.wire_in(how(15)), noise.wire());
    }
}

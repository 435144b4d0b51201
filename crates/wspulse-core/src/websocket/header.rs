//! Frame headers (RFC 6455 §5.2).

use super::control::Control;
use super::error::ProtocolError;
use super::input::Input;
use super::rules::Rules;
use crate::encoded::MessageKind;

/// The longest header: two bytes, a 64-bit length and the mask.
const HEADER_BYTES_MAX: usize = 14;

/// The longest payload of a control frame (§5.5).
const CONTROL_BYTES_MAX: u64 = 125;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    /// The next part of the open message.
    Continuation,
    /// The first part of a message.
    Data(MessageKind),
    /// Not part of a message.
    Control(Control),
}

/// A frame's header, valid by itself; whether its frame may come at this place, and be this long,
/// is for the decoder to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) opcode: Opcode,
    pub(super) is_final: bool,
    /// RSV1 of a message's first frame (RFC 7692 §6).
    pub(super) is_compressed: bool,
    pub(super) payload_bytes: u64,
    pub(super) mask: [u8; 4],
}

impl Header {
    /// Reads the header that `bytes` start with, and says how long it is; `None` if they end
    /// within it. Each byte is judged as soon as it is there, so that the verdict does not depend
    /// on how the bytes were cut.
    #[inline]
    pub(super) fn read(bytes: &[u8], rules: Rules) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let is_final = first & 0x80 != 0;
        let (opcode, is_compressed) = read_opcode(first, rules.may_be_compressed)?;
        let Some((&second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        match (second & 0x80 != 0, rules.are_masked) {
            (true, true) | (false, false) => {}
            (false, true) => return Err(ProtocolError::NotMasked),
            (true, false) => return Err(ProtocolError::Masked),
        }
        let Some((payload_bytes, rest)) = read_payload_bytes(second & 0x7f, rest) else {
            return Ok(None);
        };
        if payload_bytes >> 63 != 0 {
            return Err(ProtocolError::LengthOverflow { len: payload_bytes });
        }
        if matches!(opcode, Opcode::Control(_)) && payload_bytes > CONTROL_BYTES_MAX {
            return Err(ProtocolError::ControlTooLong { len: payload_bytes });
        }
        // A mask of zeros changes nothing.
        let (mask, rest) = match rest.split_first_chunk() {
            Some((&mask, rest)) if rules.are_masked => (mask, rest),
            None if rules.are_masked => return Ok(None),
            Some(_) | None => ([0; 4], rest),
        };
        let header = Self { opcode, is_final, is_compressed, payload_bytes, mask };
        Ok(Some((header, bytes.len() - rest.len())))
    }
}

/// The header of most messages: of one frame, and short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShortHeader {
    pub(super) kind: MessageKind,
    /// Less than 126.
    pub(super) payload_bytes: u8,
    pub(super) mask: [u8; 4],
}

impl ShortHeader {
    pub(super) const BYTES: usize = 6;

    /// Reads the header that `bytes` start with, if it is a short one and all there. Any other is
    /// for [`Header::read`] to judge.
    #[inline]
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let &[first, second, ref mask @ ..] = bytes.first_chunk::<{ Self::BYTES }>()?;
        let kind = match first {
            0x81 => MessageKind::Text,
            0x82 => MessageKind::Binary,
            _ => return None,
        };
        let payload_bytes = second.checked_sub(0x80).filter(|&bytes| bytes < 126)?;
        Some(Self { kind, payload_bytes, mask: *mask })
    }
}

/// RSV1.
const COMPRESSED: u8 = 0b100;

/// What a frame is, and whether it begins a message that is compressed.
#[inline]
fn read_opcode(first: u8, may_be_compressed: bool) -> Result<(Opcode, bool), ProtocolError> {
    let bits = (first >> 4) & 0b111;
    let is_compressed = bits == COMPRESSED && may_be_compressed && matches!(first & 0x0f, 1 | 2);
    if bits != 0 && !is_compressed {
        return Err(ProtocolError::ReservedBits { bits });
    }
    let opcode = match first & 0x0f {
        0x0 => Opcode::Continuation,
        0x1 => Opcode::Data(MessageKind::Text),
        0x2 => Opcode::Data(MessageKind::Binary),
        0x8 => Opcode::Control(Control::Close),
        0x9 => Opcode::Control(Control::Ping),
        0xa => Opcode::Control(Control::Pong),
        opcode => return Err(ProtocolError::ReservedOpcode { opcode }),
    };
    if matches!(opcode, Opcode::Control(_)) && first & 0x80 == 0 {
        return Err(ProtocolError::FragmentedControl);
    }
    Ok((opcode, is_compressed))
}

/// Reads the length behind the 7-bit one, if there is one. A length in a longer form than it
/// needs is taken: it is unambiguous, and other servers take it too.
#[inline]
fn read_payload_bytes(short: u8, rest: &[u8]) -> Option<(u64, &[u8])> {
    match short {
        126 => {
            let (len, rest) = rest.split_first_chunk()?;
            Some((u64::from(u16::from_be_bytes(*len)), rest))
        }
        127 => {
            let (len, rest) = rest.split_first_chunk()?;
            Some((u64::from_be_bytes(*len), rest))
        }
        len => Some((u64::from(len), rest)),
    }
}

/// The beginning of a header whose end has not arrived; empty between two frames of a message.
#[derive(Debug, Default)]
pub(super) struct HeaderStart {
    bytes: [u8; HEADER_BYTES_MAX],
    len: usize,
}

impl HeaderStart {
    /// Takes from `input` what is missing, and no byte more.
    pub(super) fn complete(
        &mut self,
        input: &mut Input<'_>,
        rules: Rules,
    ) -> Result<Option<Header>, ProtocolError> {
        let more = input.rest();
        let more = &more[..more.len().min(HEADER_BYTES_MAX - self.len)];
        let end = self.len + more.len();
        self.bytes[self.len..end].copy_from_slice(more);
        if let Some((header, header_bytes)) = Header::read(&self.bytes[..end], rules)? {
            input.skip(header_bytes - self.len);
            Ok(Some(header))
        } else {
            input.skip(end - self.len);
            self.len = end;
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    const OF_CLIENTS: Rules = Rules { are_masked: true, may_be_compressed: false };
    const OF_SERVERS: Rules = Rules { are_masked: false, ..OF_CLIENTS };
    const DEFLATED: Rules = Rules { may_be_compressed: true, ..OF_CLIENTS };

    fn header_of(start: &[u8]) -> Result<Option<(Header, usize)>, ProtocolError> {
        Header::read(&[start, &MASK].concat(), OF_CLIENTS)
    }

    #[test]
    fn a_short_header_is_what_the_general_one_is() {
        let mut short_ones = 0;
        for (first, second) in (0..=u8::MAX).flat_map(|a| (0..=u8::MAX).map(move |b| (a, b))) {
            let bytes = [&[first, second][..], &MASK, b"payload"].concat();
            let Some(ShortHeader { kind, payload_bytes, mask }) = ShortHeader::read(&bytes) else {
                continue;
            };
            short_ones += 1;
            let header = Header {
                opcode: Opcode::Data(kind),
                is_final: true,
                is_compressed: false,
                payload_bytes: payload_bytes.into(),
                mask,
            };
            let read = Header::read(&bytes, DEFLATED);
            assert_eq!(read, Ok(Some((header, ShortHeader::BYTES))), "{first:#x} {second:#x}");
        }
        assert_eq!(short_ones, 2 * 126);
    }

    #[test]
    fn a_short_header_is_read_when_all_of_it_is_there() {
        let bytes = [0x81, 0x80, 1, 2, 3, 4];
        assert!(ShortHeader::read(&bytes).is_some());
        assert_eq!(ShortHeader::read(&bytes[..5]), None);
    }

    #[test]
    fn each_length_form_is_read() {
        for (start, payload_bytes) in [
            (&[0x82, 0x80][..], 0),
            (&[0x82, 0xfd], 125),
            (&[0x82, 0xfe, 1, 2], 258),
            (&[0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 2], 4_294_967_298),
        ] {
            let (header, header_bytes) = header_of(start).unwrap().unwrap();
            assert_eq!(header.payload_bytes, payload_bytes);
            assert_eq!(header.mask, MASK);
            assert_eq!(header_bytes, start.len() + MASK.len());
        }
    }

    #[test]
    fn a_length_in_a_longer_form_than_needed_is_accepted() {
        for start in
            [&[0x82, 0xfe, 0, 5][..], &[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 5], &[0x89, 0xfe, 0, 5]]
        {
            assert_eq!(header_of(start).unwrap().unwrap().0.payload_bytes, 5);
        }
    }

    #[test]
    fn a_header_that_is_cut_short_is_not_read_yet() {
        let whole = [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4];
        for end in 0..whole.len() {
            assert_eq!(Header::read(&whole[..end], OF_CLIENTS), Ok(None));
        }
    }

    #[test]
    fn a_length_of_2_to_the_63_is_refused_before_the_mask_arrives() {
        let len = 1 << 63;
        assert_eq!(
            Header::read(&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], OF_CLIENTS),
            Err(ProtocolError::LengthOverflow { len })
        );
    }

    #[test]
    fn a_violation_in_the_first_byte_is_seen_without_the_second() {
        for (first, error) in [
            (0xc1, ProtocolError::ReservedBits { bits: 0b100 }),
            (0xa1, ProtocolError::ReservedBits { bits: 0b010 }),
            (0x91, ProtocolError::ReservedBits { bits: 0b001 }),
            (0x83, ProtocolError::ReservedOpcode { opcode: 3 }),
            (0x8b, ProtocolError::ReservedOpcode { opcode: 11 }),
            (0x09, ProtocolError::FragmentedControl),
        ] {
            assert_eq!(Header::read(&[first], OF_CLIENTS), Err(error));
        }
    }

    #[test]
    fn of_the_reserved_bits_the_first_of_a_message_may_be_set_if_that_was_negotiated() {
        for (first, kind) in [(0xc1, MessageKind::Text), (0x42, MessageKind::Binary)] {
            let (header, _) = Header::read(&[first, 0x80, 1, 2, 3, 4], DEFLATED).unwrap().unwrap();
            assert_eq!((header.opcode, header.is_compressed), (Opcode::Data(kind), true));
        }
        for first in [0xc0, 0xc8, 0xc9, 0xca, 0xa1, 0xd1, 0xe1, 0xf2] {
            let bits = (first >> 4) & 0b111;
            let error = ProtocolError::ReservedBits { bits };
            assert_eq!(Header::read(&[first], DEFLATED), Err(error), "{first:#x}");
        }
    }

    #[test]
    fn an_unmasked_frame_is_refused_at_its_second_byte() {
        assert_eq!(Header::read(&[0x81, 0x05], OF_CLIENTS), Err(ProtocolError::NotMasked));
    }

    #[test]
    fn a_servers_frame_has_no_mask_and_is_refused_with_one_at_its_second_byte() {
        for (start, payload_bytes) in [
            (&[0x82, 5][..], 5),
            (&[0x82, 126, 1, 2], 258),
            (&[0x82, 127, 0, 0, 0, 1, 0, 0, 0, 2], 4_294_967_298),
        ] {
            let read = Header::read(&[start, &MASK].concat(), OF_SERVERS).unwrap();
            let (header, header_bytes) = read.unwrap();
            assert_eq!((header.payload_bytes, header.mask), (payload_bytes, [0; 4]));
            assert_eq!(header_bytes, start.len());
            for end in 0..start.len() {
                assert_eq!(Header::read(&start[..end], OF_SERVERS), Ok(None));
            }
        }
        assert_eq!(Header::read(&[0x81, 0x85], OF_SERVERS), Err(ProtocolError::Masked));
    }

    #[test]
    fn a_control_frame_over_125_bytes_is_refused_before_the_mask_arrives() {
        assert_eq!(
            Header::read(&[0x89, 0xfe, 0, 126], OF_CLIENTS),
            Err(ProtocolError::ControlTooLong { len: 126 })
        );
    }

    #[test]
    fn the_end_of_a_started_header_takes_nothing_of_the_payload() {
        let mut start = HeaderStart::default();
        let mut first = [0x81, 0x82, 1];
        assert_eq!(start.complete(&mut Input::new(&mut first), OF_CLIENTS), Ok(None));
        let mut second = [2, 3, 4, b'x', b'y'];
        let mut input = Input::new(&mut second);
        let header = start.complete(&mut input, OF_CLIENTS).unwrap().unwrap();
        assert_eq!((header.payload_bytes, header.mask), (2, MASK));
        assert_eq!(input.rest(), b"xy");
    }
}

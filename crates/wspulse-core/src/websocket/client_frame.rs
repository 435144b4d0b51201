//! The frames that a client sends.

use super::mask;
use crate::encoded::{self, MessageKind};

/// RSV1, of the first frame of a compressed message (RFC 7692 §6).
const COMPRESSED: u8 = 0x40;

/// The bit of a header's second byte that says that a mask follows (RFC 6455 §5.2).
const MASKED: u8 = 0x80;

/// What a client sends in one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientFrame {
    /// A whole message, as it is.
    Message(MessageKind),
    /// A whole message that is compressed by itself, as was agreed on.
    Compressed(MessageKind),
    /// A close code and a reason, or nothing. This payload and those below have at most 125 bytes.
    Close,
    /// Whatever it is to be answered with.
    Ping,
    /// The payload of a Ping.
    Pong,
}

impl ClientFrame {
    /// Appends the frame with its payload, masked (RFC 6455 §5.3). The mask is another one for each frame,
    /// and none that anybody can foretell.
    pub fn append(self, payload: &[u8], mask: [u8; 4], to: &mut Vec<u8>) {
        let (mut header, header_bytes) = encoded::header(self.first_byte(), payload.len());
        header[1] |= MASKED;
        to.reserve(header_bytes + mask.len() + payload.len());
        to.extend_from_slice(&header[..header_bytes]);
        to.extend_from_slice(&mask);
        let begin = to.len();
        to.extend_from_slice(payload);
        mask::unmask(&mut to[begin..], mask);
    }

    const fn first_byte(self) -> u8 {
        encoded::FINAL
            | match self {
                Self::Message(kind) => encoded::opcode(kind),
                Self::Compressed(kind) => COMPRESSED | encoded::opcode(kind),
                Self::Close => 0x8,
                Self::Ping => 0x9,
                Self::Pong => 0xa,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Decoder, Flow, Sink};
    use super::*;
    use crate::close::CloseFrame;
    use crate::codec::InboundMessage;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    #[derive(Debug, Default, PartialEq, Eq)]
    struct Heard(Vec<(&'static str, Vec<u8>)>);

    impl Sink for Heard {
        fn message(&mut self, message: InboundMessage<'_>) -> Flow {
            let kind = match message.kind() {
                MessageKind::Text => "text",
                MessageKind::Binary => "binary",
            };
            self.0.push((kind, message.into_bytes().to_vec()));
            Flow::Continue
        }

        fn ping(&mut self, payload: &[u8]) {
            self.0.push(("ping", payload.to_vec()));
        }

        fn pong(&mut self, payload: &[u8]) {
            self.0.push(("pong", payload.to_vec()));
        }

        fn close(&mut self, frame: Option<CloseFrame>) {
            assert_eq!(frame, None);
            self.0.push(("close", Vec::new()));
        }
    }

    #[test]
    fn each_frame_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        for len in [0, 5, 125, 126, 65_535, 65_536] {
            ClientFrame::Message(MessageKind::Text).append(&vec![b'a'; len], MASK, &mut bytes);
        }
        ClientFrame::Message(MessageKind::Binary).append(&[0xff], MASK, &mut bytes);
        ClientFrame::Ping.append(b"1", MASK, &mut bytes);
        ClientFrame::Pong.append(b"22", MASK, &mut bytes);
        ClientFrame::Close.append(b"", MASK, &mut bytes);
        let mut heard = Heard::default();
        Decoder::new(100_000).feed(&mut bytes, &mut heard).unwrap();
        let texts = [0, 5, 125, 126, 65_535, 65_536].map(|len| ("text", vec![b'a'; len]));
        let others = [
            ("binary", vec![0xff]),
            ("ping", b"1".to_vec()),
            ("pong", b"22".to_vec()),
            ("close", vec![]),
        ];
        assert_eq!(heard.0, [&texts[..], &others].concat());
    }

    #[test]
    fn a_compressed_message_says_so_in_its_first_frame() {
        let mut bytes = Vec::new();
        ClientFrame::Compressed(MessageKind::Text).append(b"x", MASK, &mut bytes);
        assert_eq!(bytes, [0xc1, 0x81, 1, 2, 3, 4, b'x' ^ 1]);
    }
}

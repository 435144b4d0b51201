//! Messages that come compressed (RFC 7692), as far as a load generator looks into them.

use flate2::{Decompress, FlushDecompress};
use serde::Deserialize;

/// Which extensions a client offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Offer {
    #[default]
    Nothing,
    /// Compression, as browsers do.
    Deflate,
}

impl Offer {
    /// The line of a client's request.
    pub(super) const fn line(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Deflate => {
                "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
            }
        }
    }
}

/// What a client does about messages that come compressed.
#[derive(Debug)]
pub(super) enum Compressed {
    /// Nobody has agreed on any.
    Unexpected,
    /// It reads them.
    Inflated(Box<Inflater>),
    /// It counts them.
    Counted,
}

/// Inflates what one server sends to one client.
#[derive(Debug)]
pub(super) struct Inflater {
    stream: Decompress,
    takes_context_over: bool,
    message: Vec<u8>,
}

/// What every compressed message ends in, so that it is left out (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// More than any message of a scenario.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;

impl Compressed {
    /// By the head of the server's response.
    pub(super) fn agreed(offer: Offer, head: &[u8]) -> Result<Self, String> {
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let answer = head.lines().find_map(|line| line.strip_prefix("sec-websocket-extensions:"));
        match (offer, answer) {
            (Offer::Nothing, None) => Ok(Self::Unexpected),
            (Offer::Deflate, Some(answer)) if answer.contains("permessage-deflate") => {
                Ok(Self::Inflated(Box::new(Inflater {
                    stream: Decompress::new(false),
                    takes_context_over: !answer.contains("server_no_context_takeover"),
                    message: Vec::new(),
                })))
            }
            (Offer::Nothing | Offer::Deflate, _) => {
                Err(format!("{offer:?} was answered {answer:?}"))
            }
        }
    }
}

impl Inflater {
    pub(super) fn inflate(&mut self, compressed: &[u8]) -> Result<&[u8], String> {
        if !self.takes_context_over {
            self.stream.reset(false);
        }
        self.message.clear();
        for mut input in [compressed, &TAIL] {
            while !input.is_empty() || self.message.len() == self.message.capacity() {
                if self.message.len() > MESSAGE_BYTES_MAX {
                    return Err("a message that grows without an end".to_owned());
                }
                self.message.reserve(compressed.len().max(1024));
                let before = self.stream.total_in();
                self.stream
                    .decompress_vec(input, &mut self.message, FlushDecompress::Sync)
                    .map_err(|error| format!("a message that cannot be inflated: {error}"))?;
                let read = usize::try_from(self.stream.total_in() - before).unwrap_or(usize::MAX);
                input = input.get(read..).unwrap_or_default();
            }
        }
        Ok(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    fn inflater(answer: &str) -> Box<Inflater> {
        let head =
            format!("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Extensions: {answer}");
        match Compressed::agreed(Offer::Deflate, head.as_bytes()) {
            Ok(Compressed::Inflated(inflater)) => inflater,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_are_read_with_the_context_of_those_before_where_the_server_keeps_it() {
        let messages = ["again and again and again", "and again and again"].map(|it| it.repeat(99));
        let mut deflater = Compress::new(Compression::default(), false);
        let compressed = messages.each_ref().map(|message| {
            let mut compressed = Vec::with_capacity(10_000);
            deflater
                .compress_vec(message.as_bytes(), &mut compressed, FlushCompress::Sync)
                .expect("it can be compressed");
            compressed.strip_suffix(&TAIL).expect("all of it").to_vec()
        });
        let mut keeping = inflater("permessage-deflate");
        for (message, compressed) in messages.iter().zip(&compressed) {
            assert_eq!(keeping.inflate(compressed), Ok(message.as_bytes()));
        }
        let mut forgetting = inflater("permessage-deflate; server_no_context_takeover");
        assert_eq!(forgetting.inflate(&compressed[0]), Ok(messages[0].as_bytes()));
        assert_ne!(forgetting.inflate(&compressed[1]), Ok(messages[1].as_bytes()));
    }

    #[test]
    fn a_server_answers_what_was_offered_and_nothing_else() {
        let head =
            b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Extensions: permessage-deflate";
        assert!(Compressed::agreed(Offer::Nothing, head).is_err());
        assert!(Compressed::agreed(Offer::Deflate, b"HTTP/1.1 101 Switching Protocols").is_err());
    }
}

//! A client that offers extensions, and knows what comes compressed.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use wspulse::codec::{Codec, InboundMessage, JsonCodec};
use wspulse::testing::request_parts;
use wspulse::{Frame, MessageKind, Server};
use wspulse_core::deflate::{Level, WindowBits, compress, inflate};

pub(crate) const DEFLATE: &str = "permessage-deflate; client_max_window_bits";

/// More than any message of these tests.
const BYTES_MAX: usize = 1_000_000;

pub(crate) struct Offering<S = DuplexStream> {
    stream: S,
    /// The server's answer to its offer.
    pub(crate) answer: Option<String>,
}

/// A frame, and how it came.
pub(crate) struct Heard {
    pub(crate) frame: Frame,
    pub(crate) is_compressed: bool,
    /// Of its payload.
    pub(crate) wire_bytes: usize,
    /// Of its payload once it is inflated.
    pub(crate) plain_bytes: usize,
}

/// A frame of the protocol.
struct Raw {
    first: u8,
    payload: Vec<u8>,
}

impl Offering {
    pub(crate) async fn connect(server: &Server, id: &str, offer: &str) -> Self {
        Self::connect_with(server, id, &[("sec-websocket-extensions", offer)]).await
    }

    pub(crate) async fn connect_with(
        server: &Server,
        id: &str,
        headers: &[(&'static str, &str)],
    ) -> Self {
        let mut request = request_parts(&format!("/ws?id={id}"));
        for (name, value) in headers {
            request.headers.insert(*name, value.parse().expect("a value"));
        }
        let handshake = server.handshake(request).expect("a valid handshake");
        let accepted = handshake.connect().await.expect("admitted");
        let answer = accepted.response().headers().get("sec-websocket-extensions");
        let answer = answer.map(|answer| answer.to_str().expect("ASCII").to_owned());
        let (stream, theirs) = duplex(1024 * 1024);
        accepted.attach(theirs, &[]);
        Self::over(stream, answer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Offering<S> {
    /// Once the handshake was made, with the server's answer to the offer.
    pub(crate) const fn over(stream: S, answer: Option<String>) -> Self {
        Self { stream, answer }
    }

    /// Sends a frame compressed, whatever its size, and tells the bytes of its payload.
    pub(crate) async fn send_compressed(&mut self, frame: &Frame) -> usize {
        let mut text = Vec::new();
        JsonCodec.encode(frame, &mut text).expect("it can be encoded");
        if let Some(compressed) = compress(&text, WindowBits::MAX, Level::default()) {
            self.write(0xc1, &compressed).await;
            return compressed.len();
        }
        self.send_stored(&text).await
    }

    /// Sends a text in one stored block (RFC 7692 §7.2.3.3), and tells the bytes of that.
    pub(crate) async fn send_stored(&mut self, text: &[u8]) -> usize {
        let len = u16::try_from(text.len()).expect("a short one");
        let block = [&[0][..], &len.to_le_bytes(), &(!len).to_le_bytes(), text, &[0]];
        let block = block.concat();
        self.write(0xc1, &block).await;
        block.len()
    }

    pub(crate) async fn send_raw_compressed(&mut self, payload: &[u8]) {
        let compressed = compress(payload, WindowBits::MAX, Level::default()).expect("it repeats");
        self.write(0xc1, &compressed).await;
    }

    pub(crate) async fn send_garbage(&mut self) {
        self.write(0xc1, &[0x07; 8]).await;
    }

    async fn write(&mut self, first: u8, payload: &[u8]) {
        let len = u16::try_from(payload.len()).expect("no longer one here").to_be_bytes();
        // A mask of zeros.
        let header = [first, 0xfe, len[0], len[1], 0, 0, 0, 0];
        self.stream.write_all(&[&header, payload].concat()).await.expect("the server reads");
    }

    async fn read(&mut self) -> Raw {
        let first = self.stream.read_u8().await.expect("a frame");
        let len = match self.stream.read_u8().await.expect("its length") {
            126 => usize::from(self.stream.read_u16().await.expect("its length")),
            len => usize::from(len),
        };
        let mut payload = vec![0; len];
        self.stream.read_exact(&mut payload).await.expect("its payload");
        Raw { first, payload }
    }

    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            let Raw { first, payload } = self.read().await;
            // A Ping.
            if first == 0x89 {
                continue;
            }
            let (is_compressed, wire_bytes) = (first == 0xc1, payload.len());
            assert!(is_compressed || first == 0x81, "{first:#x}");
            let text = if is_compressed {
                let mut text = Vec::new();
                inflate(&payload, BYTES_MAX, &mut text).expect("it is compressed");
                text
            } else {
                payload
            };
            let plain_bytes = text.len();
            let message = InboundMessage::owned(MessageKind::Text, text.into());
            let frame = JsonCodec.decode(message).expect("a frame");
            return Heard { frame, is_compressed, wire_bytes, plain_bytes };
        }
    }

    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            let Raw { first, payload } = self.read().await;
            if first == 0x88 {
                return u16::from_be_bytes([payload[0], payload[1]]);
            }
        }
    }
}

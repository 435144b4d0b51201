//! A client of HTTP/2 that writes its frames by hand, whatever they are.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, split};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wspulse::testing::Dialler;

/// RFC 9113 §3.4.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;

pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame that has come.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) struct Raw {
    writing: WriteHalf<DuplexStream>,
    /// All that comes is read at once: the server never waits for this client.
    frames: mpsc::UnboundedReceiver<Frame>,
    reading: JoinHandle<Option<()>>,
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("a short one").to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Fields as literals that nobody indexes (RFC 7541 §6.2.2).
pub(crate) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            write_len(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// RFC 7541 §5.1, with a prefix of 7 bits.
fn write_len(block: &mut Vec<u8>, len: usize) {
    if len < 127 {
        block.push(u8::try_from(len).expect("it is short"));
        return;
    }
    block.push(127);
    let mut rest = len - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128 + 128).expect("a byte"));
        rest /= 128;
    }
    block.push(u8::try_from(rest).expect("a byte"));
}

/// A request, whose body may follow.
pub(crate) fn request(stream: u32, method: &str, path: &str) -> Vec<u8> {
    let head =
        [(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path)];
    frame(HEADERS, END_HEADERS, stream, &fields(&head))
}

/// A request for a WebSocket.
pub(crate) fn websocket(stream: u32, path: &str) -> Vec<u8> {
    let head = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", path),
        ("sec-websocket-version", "13"),
    ];
    frame(HEADERS, END_HEADERS, stream, &fields(&head))
}

impl Raw {
    /// Connects and says the preface, with settings that ask for nothing.
    pub(crate) async fn connect(dialler: &Dialler) -> Self {
        Self::over(dialler.dial()).await
    }

    /// From this address.
    pub(crate) async fn connect_from(dialler: &Dialler, address: &str) -> Self {
        Self::over(dialler.dial_from(address)).await
    }

    /// With a stream in which more was said than a preface.
    pub(crate) fn go_on(stream: DuplexStream) -> Self {
        let (reading, writing) = split(stream);
        let (tell, frames) = mpsc::unbounded_channel();
        let reading = tokio::spawn(read_frames(reading, tell));
        Self { writing, frames, reading }
    }

    async fn over(stream: DuplexStream) -> Self {
        let mut raw = Self::go_on(stream);
        raw.write(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
        raw
    }

    /// Ends the connection without a word.
    pub(crate) async fn hang_up(self) {
        self.reading.abort();
        let _ = self.reading.await;
    }

    /// Has nothing more to say.
    pub(crate) async fn shut_down(&mut self) {
        let _ = self.writing.shutdown().await;
    }

    /// It fails once the server has ended the connection, as it may at any time.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let _ = self.writing.write_all(bytes).await;
    }

    /// The next frame of this kind, others passed over.
    pub(crate) async fn next(&mut self, kind: u8) -> Frame {
        self.next_of(&[kind]).await
    }

    /// The next frame of one of these kinds, others passed over.
    pub(crate) async fn next_of(&mut self, kinds: &[u8]) -> Frame {
        loop {
            let frame = self.frames.recv().await.expect("it goes on");
            if kinds.contains(&frame.kind) {
                return frame;
            }
        }
    }

    /// Passes over all that comes until the end of the connection: the reason of its last GOAWAY, if
    /// there was one, and what it says beside.
    pub(crate) async fn ended(&mut self) -> Option<(u32, String)> {
        let mut reason = None;
        while let Some(frame) = self.frames.recv().await {
            if frame.kind == GOAWAY {
                let code = frame.payload[4..8].try_into().expect("four bytes");
                let said = String::from_utf8_lossy(&frame.payload[8..]).into_owned();
                reason = Some((u32::from_be_bytes(code), said));
            }
        }
        reason
    }

    /// Whether the server has ended the connection.
    pub(crate) fn has_ended(&self) -> bool {
        self.reading.is_finished()
    }

    /// The frames that have come so far.
    pub(crate) fn so_far(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.frames.try_recv().ok()).collect()
    }
}

async fn read_frames(
    mut stream: ReadHalf<DuplexStream>,
    tell: mpsc::UnboundedSender<Frame>,
) -> Option<()> {
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header).await.ok()?;
        let [high, middle, low, kind, flags, id @ ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
        stream.read_exact(&mut payload).await.ok()?;
        tell.send(Frame { kind, flags, stream: u32::from_be_bytes(id), payload }).ok()?;
    }
}

//! What a server writes, with its compressed messages as they are.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wspulse_core::deflate::inflate;

/// The first frame of a message says by it that the message is compressed (RFC 7692 §6).
const RSV1: u8 = 0x40;
/// A text or a binary message in one frame.
const WHOLE: [u8; 2] = [0x81, 0x82];

/// More than any server here sends in a message.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Passes a server's frames on, up to the last whole one; of those that are compressed what they hold.
///
/// # Panics
///
/// If a compressed frame is none that a server may send: no whole message, or longer than as it is.
pub(crate) async fn pass_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    loop {
        let (first, len) = (from.read_u8().await?, from.read_u8().await?);
        let bytes = match len {
            126 => u64::from(from.read_u16().await?),
            127 => from.read_u64().await?,
            len => u64::from(len),
        };
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        assert!(len <= 127 && bytes <= MESSAGE_BYTES_MAX, "{first:#x} {len} {bytes}");
        let mut payload = vec![0; bytes];
        from.read_exact(&mut payload).await?;
        if first & RSV1 == 0 {
            write(&mut to, first, &payload).await?;
            continue;
        }
        assert!(WHOLE.contains(&(first & !RSV1)), "{first:#x}");
        let mut inflated = Vec::new();
        inflate(&payload, MESSAGE_BYTES_MAX, &mut inflated).expect("a server's message");
        assert!(payload.len() < inflated.len(), "it goes as it is if that is shorter");
        write(&mut to, first & !RSV1, &inflated).await?;
    }
}

async fn write(to: &mut (impl AsyncWrite + Unpin), first: u8, payload: &[u8]) -> io::Result<()> {
    to.write_u8(first).await?;
    if let Some(len) = u8::try_from(payload.len()).ok().filter(|len| *len < 126) {
        to.write_u8(len).await?;
    } else if let Ok(len) = u16::try_from(payload.len()) {
        to.write_u8(126).await?;
        to.write_u16(len).await?;
    } else {
        to.write_u8(127).await?;
        to.write_u64(payload.len() as u64).await?;
    }
    to.write_all(payload).await
}

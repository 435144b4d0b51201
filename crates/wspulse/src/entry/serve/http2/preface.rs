//! How a connection of HTTP/2 begins (RFC 9113 §3.4).

use std::future::poll_fn;
use std::pin::Pin;

use tokio::io::AsyncRead;
use tokio_util::sync::WaitForCancellationFuture;

use crate::entry::serve::http::{End, poll_first};
use crate::ground::running_time::RunningTimer;
use crate::wire::transport::FirstRead;

/// No request of HTTP/1.1 begins so.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether all of it has come.
pub(in crate::entry::serve) fn has_come(first: &FirstRead) -> bool {
    first.bytes().starts_with(PREFACE)
}

/// Whether what has come may become it, such as the `P` of a `POST`.
pub(in crate::entry::serve) fn may_have_begun(first: Option<&FirstRead>) -> bool {
    let bytes = first.map(FirstRead::bytes).unwrap_or_default();
    !bytes.is_empty() && bytes.len() < PREFACE.len() && PREFACE.starts_with(bytes)
}

/// Reads on until it has come, or cannot come any more.
pub(in crate::entry::serve) async fn rest<IO: AsyncRead + Unpin>(
    mut first: Option<FirstRead>,
    stream: &mut IO,
    mut shutdown: Pin<&mut WaitForCancellationFuture<'_>>,
    head_timer: &mut RunningTimer,
) -> Result<Option<FirstRead>, End> {
    while may_have_begun(first.as_ref()) {
        let more = poll_fn(|cx| poll_first(stream, shutdown.as_mut(), head_timer, cx)).await?;
        // Whoever reads next hears of the end, or of a shutdown, again.
        let Some(more) = more.filter(|more| !more.bytes().is_empty()) else { break };
        first = first.map(|first| first.and(&more));
    }
    Ok(first)
}

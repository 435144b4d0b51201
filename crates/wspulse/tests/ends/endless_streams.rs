//! Kind of A1: a stream that takes no part in tokio's budget, and never says Pending, is read away
//! in the farewell in one poll without end: its deadline is never looked at, and the thread hangs.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::sleep;
use wspulse::testing::request_parts;
use wspulse::{Admission, Server};

struct Endless;
impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Pongs without a payload.
        while buf.remaining() >= 6 {
            buf.put_slice(&[0x8a, 0x80, 0, 0, 0, 0]);
        }
        Poll::Ready(Ok(()))
    }
}
impl AsyncWrite for Endless {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_session_with_such_a_stream_can_be_closed_and_others_go_on() {
    let (tell, told) = std::sync::mpsc::channel();
    // A thread of its own, which may hang for ever.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
                .check_origin(|_| true)
                .write_wait(Duration::from_millis(500))
                .build()
                .unwrap();
            server
                .handshake(request_parts("/"))
                .unwrap()
                .connect()
                .await
                .unwrap()
                .attach(Endless, &[]);
            sleep(Duration::from_millis(50)).await;
            let _ = tell.send("connected");
            server.connection("ann").unwrap().close();
            sleep(Duration::from_millis(50)).await;
            let _ = tell.send("others go on");
        });
    });
    assert_eq!(told.recv_timeout(Duration::from_secs(5)), Ok("connected"));
    assert_eq!(told.recv_timeout(Duration::from_secs(5)), Ok("others go on"));
}

//! A network that can be cut, for the page's button. No application needs this file.
//!
//! Browsers cannot drop a TCP connection, so this end does: the stream of a client that is cut
//! fails, as if the cable had been pulled, and is dropped with no WebSocket close frame. While the
//! cut lasts the client's attempts to reconnect are answered 503.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::extract::ConnectInfo;
use axum::extract::connect_info::Connected;
use axum::http::StatusCode;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};
use wspulse::{ConnectRequest, Rejection};

/// The cables of all clients, by the ids of their connections.
#[derive(Default)]
pub(crate) struct Network {
    cables: Mutex<HashMap<String, Cable>>,
}

struct Cable {
    switch: CancellationToken,
    cut_until: Option<Instant>,
}

impl Network {
    /// Notes which stream a client has come by, unless its network is cut.
    pub(crate) fn connect(&self, id: &str, request: &ConnectRequest) -> Result<(), Rejection> {
        let Some(ConnectInfo(Switch(switch))) = request.extensions().get() else {
            return Ok(()); // It came through some other listener: there is nothing to cut.
        };
        let mut cables = self.cables();
        cables.retain(|_, cable| cable.is_in_use());
        if cables.get(id).is_some_and(Cable::is_cut) {
            return Err(Rejection::with_status(StatusCode::SERVICE_UNAVAILABLE, "network is cut"));
        }
        cables.insert(id.to_owned(), Cable { switch: switch.clone(), cut_until: None });
        Ok(())
    }

    pub(crate) fn cut(&self, id: &str, duration: Duration) {
        if let Some(cable) = self.cables().get_mut(id) {
            cable.cut_until = Some(Instant::now() + duration);
            cable.switch.cancel();
        }
    }

    fn cables(&self) -> MutexGuard<'_, HashMap<String, Cable>> {
        self.cables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cable {
    fn is_cut(&self) -> bool {
        self.cut_until.is_some_and(|until| Instant::now() < until)
    }

    fn is_in_use(&self) -> bool {
        self.is_cut() || !self.switch.is_cancelled()
    }
}

/// A listener whose streams can be cut.
pub(crate) struct CuttableListener(pub(crate) TcpListener);

impl Listener for CuttableListener {
    type Io = CuttableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CuttableStream, SocketAddr) {
        let (stream, addr) = Listener::accept(&mut self.0).await;
        (CuttableStream::new(stream), addr)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// What cuts a stream; axum puts it into the extensions of the requests that come over it.
#[derive(Clone)]
pub(crate) struct Switch(CancellationToken);

impl Connected<IncomingStream<'_, CuttableListener>> for Switch {
    fn connect_info(incoming: IncomingStream<'_, CuttableListener>) -> Self {
        incoming.io().switch.clone()
    }
}

pub(crate) struct CuttableStream {
    stream: TcpStream,
    switch: Switch,
    is_cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Tells the network that this stream is gone.
    _gone: DropGuard,
}

impl CuttableStream {
    fn new(stream: TcpStream) -> Self {
        let token = CancellationToken::new();
        Self {
            stream,
            switch: Switch(token.clone()),
            is_cut: Box::pin(token.clone().cancelled_owned()),
            _gone: token.drop_guard(),
        }
    }

    /// Fails once the stream is cut, and has the task woken when that happens.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.is_cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for CuttableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

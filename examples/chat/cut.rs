//! A network that can be cut, for the page's button. No application needs this file.
//!
//! Browsers cannot drop a TCP connection, so this end does: the stream of a client that is cut
//! fails, as if the cable had been pulled, and is dropped with no WebSocket close frame. While the
//! cut lasts the client's attempts to reconnect are answered 503.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};
use wspulse::serve::Listener;
use wspulse::{ConnectRequest, Rejection};

/// The cables of all clients.
#[derive(Default)]
pub(crate) struct Network {
    cables: Mutex<Cables>,
}

#[derive(Default)]
struct Cables {
    /// What cuts the streams that are open, by where they come from.
    switches: HashMap<SocketAddr, CancellationToken>,
    /// By the ids of connections.
    by_id: HashMap<String, Cable>,
}

struct Cable {
    switch: CancellationToken,
    cut_until: Option<Instant>,
}

impl Network {
    /// Notes which stream a client has come by, unless its network is cut.
    pub(crate) fn connect(&self, id: &str, request: &ConnectRequest) -> Result<(), Rejection> {
        let mut cables = self.cables();
        cables.by_id.retain(|_, cable| cable.is_in_use());
        if cables.by_id.get(id).is_some_and(Cable::is_cut) {
            return Err(Rejection::with_status(StatusCode::SERVICE_UNAVAILABLE, "network is cut"));
        }
        let switch = request.peer_addr().and_then(|address| cables.switches.get(&address).cloned());
        if let Some(switch) = switch {
            cables.by_id.insert(id.to_owned(), Cable { switch, cut_until: None });
        } // else it came through some other listener: there is nothing to cut.
        Ok(())
    }

    pub(crate) fn cut(&self, id: &str, duration: Duration) {
        if let Some(cable) = self.cables().by_id.get_mut(id) {
            cable.cut_until = Some(Instant::now() + duration);
            cable.switch.cancel();
        }
    }

    fn lay(&self, address: SocketAddr, switch: CancellationToken) {
        let mut cables = self.cables();
        cables.switches.retain(|_, switch| !switch.is_cancelled());
        cables.switches.insert(address, switch);
    }

    fn cables(&self) -> MutexGuard<'_, Cables> {
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
pub(crate) struct CuttableListener {
    pub(crate) listener: TcpListener,
    pub(crate) network: Arc<Network>,
}

impl Listener for CuttableListener {
    type Stream = CuttableStream;

    async fn accept(&mut self) -> io::Result<(CuttableStream, Option<SocketAddr>)> {
        let (stream, address) = self.listener.accept().await?;
        let switch = CancellationToken::new();
        self.network.lay(address, switch.clone());
        Ok((CuttableStream::new(stream, switch), Some(address)))
    }

    fn tcp_stream(stream: &CuttableStream) -> Option<&TcpStream> {
        Some(&stream.stream)
    }
}

pub(crate) struct CuttableStream {
    stream: TcpStream,
    is_cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Tells the network that this stream is gone.
    _gone: DropGuard,
}

impl CuttableStream {
    fn new(stream: TcpStream, switch: CancellationToken) -> Self {
        Self {
            stream,
            is_cut: Box::pin(switch.clone().cancelled_owned()),
            _gone: switch.drop_guard(),
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

//! The way to the server: TCP from one of several local addresses, which can be cut.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use wspulse_client::Address;

use crate::limits::Hits;

/// How all clients get to the server.
#[derive(Debug)]
pub(crate) struct Road {
    /// Where the server is, if its name does not say it.
    server: Option<SocketAddr>,
    sources: Vec<IpAddr>,
    /// Whose turn it is.
    next: AtomicUsize,
    /// Names are looked up once: it is the server that is measured.
    addresses: Mutex<Vec<(Address, Vec<SocketAddr>)>>,
    pub(crate) hits: Hits,
}

/// Of one client: what cuts its connection.
#[derive(Debug, Default)]
pub(crate) struct Scissors(Mutex<Option<Arc<Cut>>>);

#[derive(Debug, Default)]
struct Cut {
    is_cut: AtomicBool,
    reader: AtomicWaker,
}

/// A connection that can be cut.
#[derive(Debug)]
pub(crate) struct Line {
    stream: TcpStream,
    cut: Arc<Cut>,
}

impl Road {
    pub(crate) fn new(server: Option<SocketAddr>, sources: Vec<IpAddr>) -> Self {
        Self {
            server,
            sources,
            next: AtomicUsize::new(0),
            addresses: Mutex::default(),
            hits: Hits::default(),
        }
    }

    /// Opens a connection for whoever has these scissors.
    pub(crate) async fn open(&self, to: Address, scissors: &Scissors) -> io::Result<Line> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in self.look_up(to).await? {
            match self.connect(address).await {
                Ok(stream) => {
                    let cut = Arc::new(Cut::default());
                    *scissors.0.lock() = Some(Arc::clone(&cut));
                    return Ok(Line { stream, cut });
                }
                Err(error) => {
                    self.hits.note(&error);
                    last = error;
                }
            }
        }
        Err(last)
    }

    async fn look_up(&self, to: Address) -> io::Result<Vec<SocketAddr>> {
        if let Some(server) = self.server {
            return Ok(vec![server]);
        }
        let known = || {
            let addresses = self.addresses.lock();
            addresses.iter().find(|(of, _)| *of == to).map(|(_, found)| found.clone())
        };
        if let Some(found) = known() {
            return Ok(found);
        }
        let found: Vec<_> = tokio::net::lookup_host((to.host.as_str(), to.port)).await?.collect();
        // Several clients may look up the same name at first; one answer is kept.
        if known().is_none() {
            self.addresses.lock().push((to, found.clone()));
        }
        Ok(found)
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if !self.sources.is_empty() {
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            socket.bind(SocketAddr::new(self.sources[turn % self.sources.len()], 0))?;
        }
        socket.set_nodelay(true)?;
        socket.connect(to).await
    }
}

impl Scissors {
    /// Cuts the connection, if there is one that is not cut already.
    pub(crate) fn cut(&self) -> bool {
        let Some(cut) = self.0.lock().take() else { return false };
        // Whoever gave the connection up holds the other end no more.
        let is_held = Arc::strong_count(&cut) > 1;
        cut.is_cut.store(true, Ordering::Release);
        cut.reader.wake();
        is_held
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.cut.reader.register(cx.waker());
        if self.cut.is_cut.load(Ordering::Acquire) {
            // So that the server gets a reset, and no port has to wait.
            let _ = self.stream.set_zero_linger();
            let what = "cut by wspulse-load";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, what)));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

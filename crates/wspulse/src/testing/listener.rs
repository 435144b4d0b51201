//! A listener in memory.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio::sync::mpsc;

use super::MEMORY_BYTES;
use crate::entry::serve::Listener;

type Arrival<S> = io::Result<(S, Option<SocketAddr>)>;

/// A [`Listener`] that accepts what its [`Dialler`] gives it. [`TestServer`](super::TestServer) has
/// one; on its own it is for tests of `wspulse::serve` and its options.
#[derive(Debug)]
pub struct MemoryListener<S = DuplexStream> {
    arrivals: mpsc::UnboundedReceiver<Arrival<S>>,
}

/// The clients' side of a [`MemoryListener`].
#[derive(Debug)]
pub struct Dialler<S = DuplexStream> {
    arrivals: mpsc::UnboundedSender<Arrival<S>>,
}

/// A listener in memory, and who dials it.
pub fn memory_listener<S>() -> (Dialler<S>, MemoryListener<S>) {
    let (arrivals, receiver) = mpsc::unbounded_channel();
    (Dialler { arrivals }, MemoryListener { arrivals: receiver })
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Listener for MemoryListener<S> {
    type Stream = S;

    async fn accept(&mut self) -> Arrival<S> {
        match self.arrivals.recv().await {
            Some(arrival) => arrival,
            None => std::future::pending().await,
        }
    }
}

impl<S> Dialler<S> {
    /// Connects by a stream of your own, from an address or from none in particular.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` if the listener has gone.
    pub fn connect(&self, stream: S, address: Option<SocketAddr>) -> io::Result<()> {
        let arrival = Ok((stream, address));
        self.arrivals.send(arrival).map_err(|_| io::ErrorKind::ConnectionRefused.into())
    }

    /// Has the next accept fail.
    ///
    /// # Panics
    ///
    /// If the listener has gone.
    #[track_caller]
    pub fn fail(&self, error: io::Error) {
        assert!(self.arrivals.send(Err(error)).is_ok(), "the listener has gone");
    }
}

impl Dialler {
    /// Connects from no address in particular.
    ///
    /// # Panics
    ///
    /// If the listener has gone.
    #[track_caller]
    pub fn dial(&self) -> DuplexStream {
        self.dial_with_capacity(MEMORY_BYTES)
    }

    /// Connects over a stream that holds so many bytes each way before its writer waits.
    ///
    /// # Panics
    ///
    /// If the listener has gone.
    #[track_caller]
    pub fn dial_with_capacity(&self, bytes: usize) -> DuplexStream {
        let (ours, theirs) = duplex(bytes);
        self.connect(theirs, None).expect("the listener is there");
        ours
    }

    /// Connects from an address, as `192.0.2.1:50000`.
    ///
    /// # Panics
    ///
    /// If it is no address, or the listener has gone.
    #[track_caller]
    pub fn dial_from(&self, address: &str) -> DuplexStream {
        let (ours, theirs) = duplex(MEMORY_BYTES);
        let address = address.parse().expect("an address and a port");
        self.connect(theirs, Some(address)).expect("the listener is there");
        ours
    }
}

impl<S> Clone for Dialler<S> {
    fn clone(&self) -> Self {
        Self { arrivals: self.arrivals.clone() }
    }
}

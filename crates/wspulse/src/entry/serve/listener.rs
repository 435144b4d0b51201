//! What accepts connections.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// What [`serve`](crate::serve()) accepts connections from: a [`TcpListener`], or one of your own
/// around it, whose streams are wrapped, or which is not TCP at all.
///
/// Streams other than [`TcpStream`] are held in a box each, once they are WebSockets.
///
/// ```
/// use std::io;
/// use std::net::SocketAddr;
/// use tokio::net::{UnixListener, UnixStream};
/// use wspulse::serve::Listener;
///
/// struct Local(UnixListener);
///
/// impl Listener for Local {
///     type Stream = UnixStream;
///
///     async fn accept(&mut self) -> io::Result<(UnixStream, Option<SocketAddr>)> {
///         let (stream, _) = self.0.accept().await?;
///         Ok((stream, None))
///     }
/// }
/// ```
pub trait Listener: Send + 'static {
    /// The byte stream of a connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection. The address is `None` where there is none that tells
    /// clients apart; such clients are not limited by their address.
    ///
    /// It must not wait for what a client does, such as a TLS handshake: all others would wait
    /// with it. Let the stream do that when it is first read.
    ///
    /// # Errors
    ///
    /// Whatever kept a connection from being accepted. After a while, from 1 ms to 500 ms if it
    /// goes on, it is called again.
    ///
    /// # Cancel safety
    ///
    /// No connection may be lost if the future is dropped.
    fn accept(
        &mut self,
    ) -> impl Future<Output = io::Result<(Self::Stream, Option<SocketAddr>)>> + Send;

    /// The TCP socket of a stream, for the options of sockets; `None`, as it is by default, if
    /// they are not to be set.
    fn tcp_stream(stream: &Self::Stream) -> Option<&TcpStream> {
        let _ = stream;
        None
    }

    /// The TCP listener behind this one, for options that accepted sockets inherit; `None`, as it
    /// is by default, if they are to be set on each stream.
    fn tcp_listener(&self) -> Option<&TcpListener> {
        None
    }

    /// Has the connections that are accepted from now on be told that HTTP/2 is spoken, where they ask
    /// before they speak, as by TLS's ALPN. By default there is nothing to tell. A listener around
    /// another one passes it on.
    #[cfg(feature = "http2")]
    fn offer_http2(&mut self) {}
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        let (stream, address) = Self::accept(self).await?;
        Ok((stream, Some(address)))
    }

    fn tcp_stream(stream: &TcpStream) -> Option<&TcpStream> {
        Some(stream)
    }

    fn tcp_listener(&self) -> Option<&TcpListener> {
        Some(self)
    }
}

//! TLS around a listener, with rustls (feature `rustls`).
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use wspulse::serve::tls::TlsListener;
//! use wspulse::serve::tls::rustls::ServerConfig;
//! use wspulse::serve::tls::rustls::pki_types::pem::PemObject;
//! use wspulse::serve::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
//!
//! # async fn run(server: wspulse::Server) -> Result<(), Box<dyn std::error::Error>> {
//! let chain = CertificateDer::pem_file_iter("chain.pem")?.collect::<Result<Vec<_>, _>>()?;
//! let key = PrivateKeyDer::from_pem_file("key.pem")?;
//! // Panics if the process has no provider of cryptography: see below.
//! let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
//!
//! let listener = tokio::net::TcpListener::bind("0.0.0.0:443").await?;
//! let listener = TlsListener::new(listener, Arc::new(config));
//! let certificates = listener.config(); // `certificates.replace(…)` when they are renewed
//! wspulse::serve(listener, server).await?;
//! # drop(certificates);
//! # Ok(())
//! # }
//! ```
//!
//! # Cryptography
//!
//! The feature brings none: rustls takes it from a provider that the application chooses. A
//! dependency is enough if it is the only one that brings a provider:
//!
//! ```toml
//! tokio-rustls = { version = "0.26", default-features = false, features = ["ring"] }
//! ```
//!
//! `aws_lc_rs` is the other one that rustls knows; `tls12` lets older clients in. With none of them,
//! or with both, `ServerConfig::builder` panics: "Could not automatically determine the process-level
//! `CryptoProvider`". Where both are there, since other dependencies bring one, begin `main` with
//! `rustls::crypto::ring::default_provider().install_default()`, by the [`rustls`] of this module,
//! or give a provider to `ServerConfig::builder_with_provider`.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::RwLock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
pub use tokio_rustls::rustls;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream as Established;
use tokio_rustls::{Accept, TlsAcceptor};

use super::Listener;

/// RFC 7301 §6.
const HTTP_1: &[u8] = b"http/1.1";
/// RFC 9113 §3.2.
#[cfg(feature = "http2")]
const HTTP_2: &[u8] = b"h2";

/// A listener whose connections are encrypted.
///
/// It accepts as the listener inside does, and waits for no client: a TLS handshake runs on its
/// connection's task, and its time counts against
/// [`handshake_timeout`](super::Serve::handshake_timeout), which bounds it together with the
/// request's head. A client that fails it loses its connection, with a line in the log at DEBUG.
///
/// ALPN offers what is served, whatever the configuration says: `http/1.1`, and `h2` before it with
/// `Serve::http2` (feature `http2`). A client that insists on another protocol is refused in its
/// handshake; one without ALPN is served.
///
/// An encrypted connection costs more memory than a plain one, since rustls keeps its keys and
/// buffers for it.
pub struct TlsListener<L> {
    listener: L,
    config: TlsConfig,
}

impl<L> TlsListener<L> {
    /// Encrypts what a listener accepts.
    pub fn new(listener: L, config: Arc<ServerConfig>) -> Self {
        let mut offered = Offered { config, protocols: &[HTTP_1] };
        offered.offer();
        let current = Arc::new(RwLock::new(offered));
        Self { listener, config: TlsConfig { current } }
    }

    /// A handle to exchange the configuration while connections are served.
    pub fn config(&self) -> TlsConfig {
        self.config.clone()
    }
}

/// The configuration of a [`TlsListener`]: a handle that is cheap to clone.
#[derive(Clone)]
pub struct TlsConfig {
    current: Arc<RwLock<Offered>>,
}

/// A configuration whose ALPN offers these protocols.
struct Offered {
    config: Arc<ServerConfig>,
    protocols: &'static [&'static [u8]],
}

impl TlsConfig {
    /// Has connections that are accepted from now on use this configuration, such as one with
    /// renewed certificates. Those that exist go on with theirs.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        let current = &mut *self.current.write();
        current.config = config;
        current.offer();
    }
}

impl Offered {
    fn offer(&mut self) {
        if self.config.alpn_protocols != self.protocols {
            let protocols = self.protocols.iter().map(|protocol| protocol.to_vec());
            Arc::make_mut(&mut self.config).alpn_protocols = protocols.collect();
        }
    }
}

impl<L: Listener> Listener for TlsListener<L> {
    type Stream = TlsStream<L::Stream>;

    async fn accept(&mut self) -> io::Result<(Self::Stream, Option<SocketAddr>)> {
        let (stream, address) = self.listener.accept().await?;
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config.current.read().config));
        Ok((TlsStream { state: State::Handshaking(acceptor.accept(stream)) }, address))
    }

    fn tcp_stream(stream: &Self::Stream) -> Option<&TcpStream> {
        match &stream.state {
            State::Handshaking(accept) => accept.get_ref().and_then(L::tcp_stream),
            State::Established(stream) => L::tcp_stream(stream.get_ref().0),
            State::Failed => None,
        }
    }

    fn tcp_listener(&self) -> Option<&TcpListener> {
        self.listener.tcp_listener()
    }

    #[cfg(feature = "http2")]
    fn offer_http2(&mut self) {
        self.listener.offer_http2();
        let current = &mut *self.config.current.write();
        current.protocols = &[HTTP_2, HTTP_1];
        current.offer();
    }
}

/// A server's side of an encrypted connection. Its handshake runs when it is first read or written.
pub struct TlsStream<IO> {
    state: State<IO>,
}

enum State<IO> {
    Handshaking(Accept<IO>),
    Established(Established<IO>),
    /// The error was told to whoever polled first.
    Failed,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> TlsStream<IO> {
    /// The encrypted stream, once its handshake is over.
    fn poll_established(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Pin<&mut Established<IO>>>> {
        if let State::Handshaking(accept) = &mut self.state {
            match ready!(Pin::new(accept).poll(cx)) {
                Ok(stream) => self.state = State::Established(stream),
                Err(error) => {
                    self.state = State::Failed;
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(match &mut self.state {
            State::Established(stream) => Ok(Pin::new(stream)),
            State::Handshaking(_) | State::Failed => Err(io::ErrorKind::NotConnected.into()),
        })
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.get_mut().poll_established(cx))?.poll_read(cx, buf)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().poll_established(cx))?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().poll_established(cx))?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.get_mut().poll_established(cx))?.poll_flush(cx)
    }

    /// Says the end of the data (RFC 8446 §6.1), then that of the stream. There is nothing to say
    /// while the handshake runs.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().state {
            State::Established(stream) => Pin::new(stream).poll_shutdown(cx),
            State::Handshaking(_) | State::Failed => Poll::Ready(Ok(())),
        }
    }
}

impl<L> fmt::Debug for TlsListener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsListener").finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig").finish_non_exhaustive()
    }
}

impl<IO> fmt::Debug for TlsStream<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Handshaking(_) => "handshaking",
            State::Established(_) => "established",
            State::Failed => "failed",
        };
        f.debug_struct("TlsStream").field("state", &state).finish()
    }
}

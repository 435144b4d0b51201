//! From a destination to a stream of bytes: by TCP, through proxies, by the application's own way.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tower_service::Service;

use super::SocketOptions;
use super::handshake::{Opened, shake_hands};
use super::stream::{Address, BoxedStream};
#[cfg(feature = "rustls")]
use super::tls::Tls;
use crate::event::Cause;
use crate::target::Destination;

/// By which proxy a client connects.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Proxy {
    /// By that of the environment, as curl does: `HTTPS_PROXY` for `wss://`, `http_proxy` for
    /// `ws://`, else `ALL_PROXY`; by none for the hosts in `NO_PROXY`. Read when the client is
    /// made.
    #[default]
    Environment,
    /// By none.
    None,
    /// By this one: `http://[user:password@]host:port`, or `socks5://`.
    Url(String),
}

/// The way of the application's own.
pub(crate) type Connector = Arc<
    dyn Fn(Address) -> Pin<Box<dyn Future<Output = io::Result<BoxedStream>> + Send>> + Send + Sync,
>;

/// What decides on a proxy for each destination.
#[derive(Debug)]
pub(crate) struct Proxies(Option<Matcher>);

impl Proxies {
    pub(crate) fn new(proxy: &Proxy) -> Self {
        Self(match proxy {
            Proxy::Environment => Some(Matcher::from_env()),
            Proxy::None => None,
            Proxy::Url(url) => Some(Matcher::builder().all(url.as_str()).build()),
        })
    }

    fn of(&self, destination: &Destination) -> Option<Intercept> {
        let scheme = if destination.is_tls { "https" } else { "http" };
        self.0.as_ref()?.intercept(&uri(scheme, destination)?)
    }
}

/// Whatever opens transports.
pub(crate) struct Dialer {
    pub(crate) proxies: Proxies,
    pub(crate) connector: Option<Connector>,
    #[cfg(feature = "rustls")]
    pub(crate) tls: Tls,
    pub(crate) options: SocketOptions,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("proxies", &self.proxies).finish_non_exhaustive()
    }
}

impl Dialer {
    /// Opens a WebSocket.
    pub(crate) async fn open(
        &self,
        destination: &Destination,
        offers: &[String],
    ) -> Result<Opened, Cause> {
        let stream = match &self.connector {
            Some(connector) => {
                let host = destination.host().to_owned();
                let address = Address { host, port: destination.port };
                connector(address).await.map_err(Cause::unreachable)?
            }
            None => self.reach(destination).await?,
        };
        let stream = self.secure(stream, destination).await?;
        shake_hands(stream, destination, offers, &self.options).await
    }

    async fn reach(&self, destination: &Destination) -> Result<BoxedStream, Cause> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let uri = uri("http", destination).ok_or(Unusable)?;
        let Some(proxy) = self.proxies.of(destination) else {
            return connect(tcp, uri).await;
        };
        match proxy.uri().scheme_str() {
            Some("http") => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
                if let Some(auth) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(auth.clone());
                }
                connect(tunnel, uri).await
            }
            Some("socks5" | "socks5h") => {
                let mut socks = SocksV5::new(proxy.uri().clone(), tcp);
                if let Some((user, password)) = proxy.raw_auth() {
                    socks = socks.with_auth(user.to_owned(), password.to_owned());
                }
                connect(socks, uri).await
            }
            Some(_) | None => Err(Cause::unreachable(UnknownProxy)),
        }
    }

    #[cfg(feature = "rustls")]
    async fn secure(
        &self,
        stream: BoxedStream,
        destination: &Destination,
    ) -> Result<BoxedStream, Cause> {
        if !destination.is_tls {
            return Ok(stream);
        }
        self.tls.connect(stream, destination.host()).await.map_err(Cause::unreachable)
    }

    /// Without TLS there are no targets that want it.
    #[cfg(not(feature = "rustls"))]
    #[expect(clippy::unused_async, reason = "it is with TLS")]
    async fn secure(
        &self,
        stream: BoxedStream,
        _destination: &Destination,
    ) -> Result<BoxedStream, Cause> {
        Ok(stream)
    }
}

async fn connect<C, S>(mut connector: C, uri: Uri) -> Result<BoxedStream, Cause>
where
    C: Service<Uri, Response = TokioIo<S>>,
    C::Error: Error + Send + Sync + 'static,
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let failed = |error: C::Error| Cause::unreachable(ConnectError(error.into()));
    std::future::poll_fn(|cx| connector.poll_ready(cx)).await.map_err(failed)?;
    let stream = connector.call(uri).await.map_err(failed)?;
    Ok(BoxedStream::new(stream.into_inner()))
}

/// The destination as a URL with its port, which no default is right for.
fn uri(scheme: &str, destination: &Destination) -> Option<Uri> {
    let authority = format!("{}:{}", destination.authority.host(), destination.port);
    Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build().ok()
}

/// What hyper-util's connectors fail with, whose texts leave their causes out.
#[derive(Debug)]
struct ConnectError(Box<dyn Error + Send + Sync>);

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let causes = std::iter::successors(self.0.source(), |error| (*error).source());
        causes.into_iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the host is none")]
struct Unusable;

impl From<Unusable> for Cause {
    fn from(unusable: Unusable) -> Self {
        Self::unreachable(unusable)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the proxy must be one of http:// or socks5://")]
struct UnknownProxy;

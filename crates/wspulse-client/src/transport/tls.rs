//! TLS around a stream, by rustls.

use std::io;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::stream::BoxedStream;
use crate::error::ConfigError;

/// Whom a client trusts to say who a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Roots {
    /// Mozilla's list, as of the version of the crate `webpki-roots`.
    #[default]
    Webpki,
    /// The platform's own list.
    #[cfg(feature = "native-roots")]
    Native,
}

#[derive(Clone)]
pub(crate) struct Tls(TlsConnector);

impl Tls {
    pub(crate) fn with_config(config: Arc<ClientConfig>) -> Self {
        Self(config.into())
    }

    pub(crate) fn with_roots(roots: Roots) -> Result<Self, ConfigError> {
        // The application's choice of cryptography, if it has made one for its process.
        let provider = CryptoProvider::get_default().cloned();
        let provider = provider.unwrap_or_else(|| Arc::new(ring::default_provider()));
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ConfigError::Tls(error.into()))?
            .with_root_certificates(roots.load()?)
            .with_no_client_auth();
        // A server that prefers HTTP/2 must not choose it: there is no upgrade in it.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self::with_config(Arc::new(config)))
    }

    pub(crate) async fn connect(&self, stream: BoxedStream, host: &str) -> io::Result<BoxedStream> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(BoxedStream::new(self.0.connect(name, stream).await?))
    }
}

impl Roots {
    #[cfg_attr(
        not(feature = "native-roots"),
        expect(clippy::unnecessary_wraps, reason = "the platform's list may fail")
    )]
    fn load(self) -> Result<RootCertStore, ConfigError> {
        match self {
            Self::Webpki => Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }),
            #[cfg(feature = "native-roots")]
            Self::Native => {
                let mut store = RootCertStore::empty();
                let found = rustls_native_certs::load_native_certs();
                let (added, _) = store.add_parsable_certificates(found.certs);
                match found.errors.into_iter().next() {
                    Some(error) if added == 0 => Err(ConfigError::Tls(error.into())),
                    Some(_) | None => Ok(store),
                }
            }
        }
    }
}

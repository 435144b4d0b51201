//! Two certificates with their keys, and both ends of TLS with them.

use std::sync::Arc;

use wspulse::serve::tls::rustls::pki_types::pem::PemObject as _;
use wspulse::serve::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use wspulse::serve::tls::rustls::{ClientConfig, RootCertStore, ServerConfig};

/// A certificate and its key, as PEM.
pub(crate) type Pair = (&'static [u8], &'static [u8]);

/// Of `old.example`.
pub(crate) const OLD: Pair =
    (include_bytes!("../certificates/old.pem"), include_bytes!("../certificates/old.key"));

/// Of `new.example`.
pub(crate) const NEW: Pair =
    (include_bytes!("../certificates/new.pem"), include_bytes!("../certificates/new.key"));

/// A server with this certificate.
pub(crate) fn server_config((certificate, key): Pair) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_slice(certificate).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(key).expect("a key");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they belong together");
    Arc::new(config)
}

/// A client that trusts this certificate alone.
pub(crate) fn client_config((certificate, _): Pair) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(certificate).expect("a certificate");
    roots.add(certificate).expect("one that can be a root");
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

//! TLS by rustls, without a proxy in front, certificates that are renewed while it serves, and HTTP/2,
//! in which a browser opens its WebSockets beside the page.
//!
//! ```text
//! cargo run -p example-tls [-- 127.0.0.1:3000 [chain.pem key.pem]]
//! kill -HUP …    # reads both files again
//! ```
//!
//! Without files it makes a certificate of its own for `localhost`. A browser warns of it, as of any
//! that nobody has signed.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use tokio::net::TcpListener;
use wspulse::http::Version;
use wspulse::serve::Http2;
use wspulse::serve::tls::rustls::ServerConfig;
use wspulse::serve::tls::rustls::pki_types::pem::PemObject as _;
use wspulse::serve::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use wspulse::serve::tls::{TlsConfig, TlsListener};
use wspulse::{Admission, ConfigError, Frame, Rejection, Server, origin};

/// Where the certificate is, the server's own first and then those that vouch for it, and its key.
struct Files {
    chain: PathBuf,
    key: PathBuf,
}

impl Files {
    fn read(&self) -> Result<ServerConfig, Box<dyn Error + Send + Sync>> {
        let chain = CertificateDer::pem_file_iter(&self.chain)?.collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_file(&self.key)?;
        Ok(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?)
    }

    /// Who connects from now on gets the new certificate. If it is no good, the old one stays.
    fn renew(&self, config: &TlsConfig) {
        match self.read() {
            Ok(renewed) => config.replace(Arc::new(renewed)),
            Err(error) => eprintln!("{}: {error}", self.chain.display()),
        }
    }
}

/// For the first try: nobody has signed it, so nobody trusts it.
fn self_signed() -> Result<ServerConfig, Box<dyn Error>> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names)?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = ServerConfig::builder().with_no_client_auth();
    Ok(config.with_single_cert(vec![made.cert.into()], key)?)
}

/// Everybody is in one room, and hears what is said there.
fn room_server() -> Result<Server, ConfigError> {
    Server::builder_sync(|request| {
        let user = request.query("user").ok_or_else(Rejection::unauthorized)?;
        Ok(Admission::room("lobby").user(&*user).data(request.version()))
    })
    .on_connect(|conn| {
        let version = conn.data::<Version>().map(|version| format!("{version:?}"));
        if let Ok(frame) = Frame::new("version").json(&version) {
            let _ = conn.send(frame);
        }
    })
    .on_message(|conn, frame| {
        // An event of ours and no id: as it came, it could pass for one of the server's own frames.
        let _ = conn.room().broadcast(frame.with_event("said").with_id(""));
    })
    .check_origin(origin::same_origin())
    .max_message_size(16 * 1024)
    .build()
}

fn app(server: Server) -> Router {
    Router::new().route("/", get(Html(include_str!("index.html")))).route_service("/ws", server)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let files = match (arguments.next(), arguments.next()) {
        (Some(chain), Some(key)) => Some(Files { chain: chain.into(), key: key.into() }),
        (Some(_), None) => return Err("the key's file is missing behind the certificate's".into()),
        (None, _) => None,
    };
    let config = match &files {
        Some(files) => {
            files.read().map_err(|error| format!("{}: {error}", files.chain.display()))?
        }
        None => self_signed()?,
    };
    let listener = TcpListener::bind(address).await?;
    println!("open https://{}/", listener.local_addr()?);
    let listener = TlsListener::new(listener, Arc::new(config));
    #[cfg(unix)]
    if let Some(files) = files {
        let config = listener.config();
        let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                files.renew(&config);
            }
        });
    }
    // ALPN offers it to whoever connects; HTTP/1.1 is there for all others.
    Ok(wspulse::serve(listener, app(room_server()?)).http2(Http2::new()).await?)
}

#[cfg(test)]
mod tests;

//! The client of NATS, as this crate uses it. No other module knows `async-nats`, whose versions are 0.x.

mod settings;

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{
    ConnectError, ConnectErrorKind, ConnectOptions, Event, HeaderMap, HeaderValue, ServerError,
    StatusCode, rustls,
};
use bytes::Bytes;
use futures_util::Stream;
use rand::RngExt;

pub(crate) use settings::{Address, Login, Settings, Tls};

/// How often the server is asked whether it is there; the third Ping without an answer ends a
/// connection.
const PING_INTERVAL: Duration = Duration::from_secs(1);

/// How long a server has for TCP, TLS and its greeting, before the next one is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long after a failed attempt the next one is made: doubled each time, and each time something
/// between half of it and all of it, so that the nodes of a cluster do not come back all at once.
const RECONNECT_DELAY: Duration = Duration::from_millis(20);
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(2);

/// How many messages may wait inside of the client, which keeps them over an interruption and says
/// them when it is too late: as few as a fast stream of messages takes.
const CLIENT_CAPACITY: usize = 256;

/// How many messages of one subscription may wait to be read. Reading them waits for nothing, so this
/// is for a thread that had no turn: at half a million a second, some 30 ms of it.
const SUBSCRIPTION_CAPACITY: usize = 16_384;

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum ConnectFailed {
    /// There may be one later.
    NotThere(ConnectError),
    /// The server does not let this client in.
    Refused(ConnectError),
    /// The two have no TLS in common, or do not trust each other.
    NoTls(ConnectError),
}

/// Something has happened to the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Happened {
    /// It is there, or gone: look.
    Changed,
    /// The server is about to end.
    LameDuck,
    /// Messages came too fast, and some were lost.
    Slow,
    /// The server forbids something.
    Forbidden(String),
}

/// A message to be published.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) subject: String,
    pub(crate) reply: Option<String>,
    pub(crate) headers: Headers,
    pub(crate) payload: Bytes,
}

/// What is said beside a payload: nearly always nothing.
pub(crate) type Headers = Vec<(&'static str, String)>;

/// A message that has come.
#[derive(Debug)]
pub(crate) struct Received(async_nats::Message);

impl Received {
    pub(crate) fn subject(&self) -> &str {
        &self.0.subject
    }

    pub(crate) fn reply(&self) -> Option<&str> {
        self.0.reply.as_deref()
    }

    /// Whether it is no message, but the server's word that there is nobody.
    pub(crate) fn is_nobody(&self) -> bool {
        self.0.status == Some(StatusCode::NO_RESPONDERS)
    }

    /// What the server says with it, such as 404, if it is no plain message.
    pub(crate) fn status(&self) -> Option<u16> {
        self.0.status.map(|status| status.as_u16())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.as_ref()?.get(name).map(HeaderValue::as_str)
    }

    pub(crate) fn into_payload(self) -> Bytes {
        self.0.payload
    }
}

/// What comes on a subject. Dropped, it is unsubscribed from.
#[derive(Debug)]
pub(crate) struct Subscription(async_nats::Subscriber);

impl Stream for Subscription {
    type Item = Received;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Received>> {
        Pin::new(&mut self.0).poll_next(cx).map(|message| message.map(Received))
    }
}

/// The client has ended.
#[derive(Debug)]
pub(crate) struct Ended;

/// A connection to a server, or the search for one.
#[derive(Debug, Clone)]
pub(crate) struct Client(async_nats::Client);

impl Client {
    /// Connects, or begins to try for as long as it takes if no server is there. What happens later
    /// is told to `hear`, from a task of the client's.
    pub(crate) async fn connect(
        settings: &Settings,
        hear: impl Fn(Happened) + Send + Sync + 'static,
    ) -> Result<Self, ConnectFailed> {
        let options = options(settings, Arc::new(hear))?;
        let servers: Vec<_> = settings.servers.iter().map(|server| server.0.clone()).collect();
        match options.clone().connect(&servers[..]).await {
            Ok(client) => Ok(Self(client)),
            Err(error) => match judged(error) {
                ConnectFailed::NotThere(_) => {
                    let trying = options.retry_on_initial_connect().connect(&servers[..]);
                    trying.await.map(Self).map_err(judged)
                }
                failed @ (ConnectFailed::Refused(_) | ConnectFailed::NoTls(_)) => Err(failed),
            },
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        match self.0.connection_state() {
            State::Connected => true,
            State::Pending | State::Disconnected => false,
        }
    }

    /// How many connections there were so far.
    pub(crate) fn connections(&self) -> u64 {
        self.0.statistics().connects.load(Ordering::Relaxed)
    }

    /// The largest message of the server, or what most have.
    pub(crate) fn payload_bytes_max(&self) -> usize {
        self.0.max_payload()
    }

    /// Hands a message on; waits for as long as the client takes nothing.
    pub(crate) async fn publish(&self, message: Message) -> Result<(), Box<dyn Error>> {
        let Message { subject, reply, headers, payload } = message;
        match reply {
            Some(reply) if !headers.is_empty() => {
                let mut all = HeaderMap::new();
                for (name, value) in headers {
                    all.insert(name, value);
                }
                self.0.publish_with_reply_and_headers(subject, reply, all, payload).await?;
            }
            Some(reply) => self.0.publish_with_reply(subject, reply, payload).await?,
            None => self.0.publish(subject, payload).await?,
        }
        Ok(())
    }

    /// Subscribes, sometime: [`publish`](Self::publish) comes behind it.
    pub(crate) async fn subscribe(&self, subject: String) -> Result<Subscription, Ended> {
        self.0.subscribe(subject).await.map(Subscription).map_err(|_| Ended)
    }

    /// Waits until the socket has taken what was handed on before.
    pub(crate) async fn flush(&self) {
        let _ = self.0.flush().await;
    }

    /// Leaves the server for another one.
    pub(crate) async fn reconnect(&self) {
        let _ = self.0.force_reconnect().await;
    }

    /// Ends the connection, after what was handed on before.
    pub(crate) async fn end(&self) {
        let _ = self.0.drain().await;
    }
}

#[cfg_attr(
    not(feature = "nkeys"),
    expect(clippy::unnecessary_wraps, reason = "only the text of credentials can be wrong")
)]
fn options(
    settings: &Settings,
    hear: Arc<impl Fn(Happened) + Send + Sync + 'static>,
) -> Result<ConnectOptions, ConnectFailed> {
    let mut options = ConnectOptions::new()
        .name(&settings.name)
        .no_echo()
        .ping_interval(PING_INTERVAL)
        .connection_timeout(CONNECT_TIMEOUT)
        .client_capacity(CLIENT_CAPACITY)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .reconnect_delay_callback(delay)
        .require_tls(settings.tls == Tls::Required)
        .event_callback(move |event| {
            if let Some(happened) = happened(event) {
                hear(happened);
            }
            std::future::ready(())
        });
    if settings.tls == Tls::AsTheServerSays && settings.servers.iter().all(Address::is_loopback) {
        // A server's word must not lead to others over the network, in plain text.
        options = options.ignore_discovered_servers();
    }
    if let Some(path) = &settings.root_certificates {
        options = options.add_root_certificates(path.clone());
    }
    if let Some((certificate, key)) = &settings.client_certificate {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(match settings.login.clone() {
        Login::Nobody => options,
        Login::User { name, password } => options.user_and_password(name, password),
        Login::Token(token) => options.token(token),
        #[cfg(feature = "nkeys")]
        Login::Nkey { seed } => options.nkey(seed),
        #[cfg(feature = "nkeys")]
        Login::Credentials { text } => options.credentials(&text).map_err(|error| {
            let kind = ConnectErrorKind::Authentication;
            ConnectFailed::Refused(ConnectError::with_source(kind, error))
        })?,
    })
}

/// How long to wait before an attempt, of which there were so many in a row, this one included.
fn delay(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    let longest = RECONNECT_DELAY.saturating_mul(1 << doublings).min(RECONNECT_DELAY_MAX);
    rand::rng().random_range(longest / 2..=longest)
}

fn happened(event: Event) -> Option<Happened> {
    match event {
        Event::Connected | Event::Disconnected | Event::Closed => Some(Happened::Changed),
        Event::LameDuckMode => Some(Happened::LameDuck),
        Event::SlowConsumer(_) => Some(Happened::Slow),
        Event::ServerError(ServerError::Other(text)) if text.contains("Permissions Violation") => {
            Some(Happened::Forbidden(text))
        }
        Event::ServerError(_) | Event::ClientError(_) | Event::Draining => None,
    }
}

fn judged(error: ConnectError) -> ConnectFailed {
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            ConnectFailed::Refused(error)
        }
        ConnectErrorKind::Tls => ConnectFailed::NoTls(error),
        ConnectErrorKind::Io
        | ConnectErrorKind::Dns
        | ConnectErrorKind::TimedOut
        | ConnectErrorKind::ServerParse
        | ConnectErrorKind::MaxReconnects => {
            if is_of_tls(&error) {
                ConnectFailed::NoTls(error)
            } else {
                ConnectFailed::NotThere(error)
            }
        }
    }
}

/// Whether rustls is at the bottom of it, which an I/O error hides.
fn is_of_tls(error: &ConnectError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let inner = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if inner.is_some() || error.is::<rustls::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_20_ms_to_2_s_apart_with_jitter() {
        for attempt in 0..100 {
            let delay = delay(attempt);
            assert!(delay >= RECONNECT_DELAY / 2 && delay <= RECONNECT_DELAY_MAX, "{delay:?}");
        }
        assert!(delay(1) <= RECONNECT_DELAY);
        assert!(delay(usize::MAX) >= RECONNECT_DELAY_MAX / 2);
        let distinct: std::collections::HashSet<_> = (0..50).map(|_| delay(8)).collect();
        assert!(distinct.len() > 1, "all nodes would come back at once");
    }
}

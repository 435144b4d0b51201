//! `ClientBuilder`: the options and callbacks, as methods.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use wspulse_core::Frame;
use wspulse_core::codec::{Codec, DecodeError, JsonCodec};

use crate::callbacks::Callbacks;
use crate::client::{Client, Messages, handles};
use crate::driver::{Driver, Source};
use crate::error::ConfigError;
use crate::event::{Cause, EndCause, Event, SessionStart};
use crate::inbox::Inbox;
use crate::options::Options;
use crate::session::{Session, Sessions};
use crate::shared::{Replies, Shared, Status, now};
use crate::target::Target;
use crate::transport::{Address, BoxedStream, ByteStream, Connector, Dialer, Proxies, Proxy};
#[cfg(feature = "rustls")]
use crate::transport::{Roots, Tls};

/// A client that is being described. [`connect`](Self::connect) starts it.
///
/// The callbacks (`on_*`) are called on the client's task, in order with each other; the events
/// they are for are not in [`Messages`]. They must return at once: nothing is read meanwhile. If
/// they are all that you need, drop the [`Messages`]; one that is kept must be read.
#[must_use = "a client that is not started does nothing"]
pub struct ClientBuilder {
    from: From,
    options: Options,
    codec: Arc<dyn Codec>,
    callbacks: Callbacks,
    proxy: Proxy,
    connector: Option<Connector>,
    #[cfg(feature = "rustls")]
    trust: Trust,
}

enum From {
    Fixed(Target),
    Renewed(Source),
}

#[cfg(feature = "rustls")]
enum Trust {
    Roots(Roots),
    Config(Arc<tokio_rustls::rustls::ClientConfig>),
}

impl ClientBuilder {
    pub(crate) fn fixed(target: Target) -> Self {
        Self::new(From::Fixed(target))
    }

    pub(crate) fn renewed(target: crate::driver::Renew) -> Self {
        Self::new(From::Renewed(Source::Renewed(target)))
    }

    fn new(from: From) -> Self {
        Self {
            from,
            options: Options::default(),
            codec: Arc::new(JsonCodec),
            callbacks: Callbacks::default(),
            proxy: Proxy::default(),
            connector: None,
            #[cfg(feature = "rustls")]
            trust: Trust::Roots(Roots::default()),
        }
    }

    /// Starts the client, which makes its first attempt to connect at once.
    ///
    /// An attempt that fails is an [`Event`], not an error: frames may be sent at once, and wait.
    /// [`Client::connected`] waits for the first connection.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if an option is out of its bounds, or the target is none.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time and I/O enabled.
    pub fn connect(self) -> Result<(Client, Messages), ConfigError> {
        self.options.check()?;
        let source = match self.from {
            From::Fixed(target) => Source::Fixed(target.check()?),
            From::Renewed(source) => source,
        };
        let dialer = Dialer {
            proxies: Proxies::new(&self.proxy),
            connector: self.connector,
            #[cfg(feature = "rustls")]
            tls: match self.trust {
                Trust::Roots(roots) => Tls::with_roots(roots)?,
                Trust::Config(config) => Tls::with_config(config),
            },
            options: self.options.socket,
        };
        // Random enough for delays and ids, and no dependency more.
        let seed = RandomState::new().build_hasher().finish();
        let backoff = self.options.backoff(seed);
        let Options { mut session, inbox_events_max, reply_event, error_event, .. } = self.options;
        session.codec = match session.sessions {
            Sessions::Prefer => checked_name(&*self.codec)?,
            Sessions::Never => None,
            Sessions::Require => {
                let rule = "sessions that are required take a codec that has a name";
                let missing = ConfigError::Option { option: "codec", rule };
                Some(checked_name(&*self.codec)?.ok_or(missing)?)
            }
        };
        let shared = Arc::new(Shared {
            session: Session::new(session, backoff, now()).into(),
            changed: Notify::new(),
            inbox: Inbox::new(inbox_events_max),
            replies: Replies::new(reply_event, error_event, seed),
            status: watch::Sender::new(Status::default()),
            codec: self.codec,
        });
        let driver = Driver::new(shared.clone(), source, dialer, self.callbacks);
        // It ends when the session does, at the latest when the last handle is dropped;
        // `Client::close` waits for it.
        tokio::spawn(driver.drive());
        Ok(handles(shared))
    }

    /// How frames become messages; [`JsonCodec`] by default. The protocol is offered with the codec's
    /// [name](Codec::name); with one that has none all connections are plain ones.
    pub fn codec(mut self, codec: impl Codec) -> Self {
        self.codec = Arc::new(codec);
        self
    }

    /// Whether to speak `wspulse.1`. With servers that do, by default.
    pub fn sessions(mut self, sessions: Sessions) -> Self {
        self.options.session.sessions = sessions;
        self
    }

    /// How long an attempt to connect may take, up to the server's `hello`. 15 s by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.session.connect_timeout = timeout;
        self
    }

    /// How long to wait between attempts: a random time between 0 and a bound, which is `base`
    /// first, doubles from attempt to attempt up to `max`, and begins anew once the client was
    /// connected. 500 ms and 30 s by default.
    pub fn backoff(mut self, base: Duration, max: Duration) -> Self {
        (self.options.backoff_base, self.options.backoff_max) = (base, max);
        self
    }

    /// How many attempts in a row may fail, after the first connection was lost or could not be
    /// made, before the client ends. Unlimited by default; 0 never reconnects.
    pub fn attempts_max(mut self, attempts: u32) -> Self {
        self.options.attempts_max = Some(attempts);
        self
    }

    /// Which HTTP statuses end the client, instead of another attempt. By default those from 400 to
    /// 499 but 408, 425 and 429.
    pub fn final_answers(mut self, is_final: impl Fn(u16) -> bool + Send + Sync + 'static) -> Self {
        self.options.session.is_final_answer = Arc::new(is_final);
        self
    }

    /// After so long without a sign of life the client asks its server for one; at half the time
    /// that the server itself goes by, if that is less. 30 s by default.
    pub fn silence(mut self, silence: Duration) -> Self {
        self.options.session.silence = Some(silence);
        self
    }

    /// Never asks. A connection that dies without a word is noticed by writing alone, if at all.
    pub fn endless_silence(mut self) -> Self {
        self.options.session.silence = None;
        self
    }

    /// How long the server has to give a sign of life when it is asked. 5 s by default.
    pub fn probe_timeout(mut self, timeout: Duration) -> Self {
        self.options.session.probe_timeout = timeout;
        self
    }

    /// How many frames may wait to be handled. 1,024 by default.
    pub fn outbox_messages_max(mut self, messages: usize) -> Self {
        self.options.session.outbox_messages_max = messages;
        self
    }

    /// How many bytes of encoded frames may wait to be handled. 1 MiB by default.
    pub fn outbox_bytes_max(mut self, bytes: usize) -> Self {
        self.options.session.outbox_bytes_max = bytes;
        self
    }

    /// How many events may wait in [`Messages`] before the client stops reading. 256 by default.
    pub fn inbox_events_max(mut self, events: usize) -> Self {
        self.options.inbox_events_max = events;
        self
    }

    /// The longest message to take from the server, in bytes, and inflated if it comes compressed. 16 MiB by
    /// default; what is above 4 GiB - 1 counts as that.
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.options.socket.message_bytes_max = bytes;
        self
    }

    /// How many bytes are read at a time. Each connection has a buffer of this size: a process with
    /// thousands of clients wants a small one. 128 KiB by default.
    pub fn read_buffer_bytes(mut self, bytes: usize) -> Self {
        self.options.socket.read_buffer_bytes = bytes;
        self
    }

    /// Offers permessage-deflate (RFC 7692) to servers, each message by itself: with those that accept it,
    /// messages of both directions are compressed. With others, and without this, they go as they are.
    ///
    /// What holds a secret beside something that others can choose, in one message, should not be
    /// compressed: by how much shorter it gets, they could guess the secret.
    #[cfg(feature = "compression")]
    pub fn compression(mut self, compression: crate::Compression) -> Self {
        self.options.socket.compressing = Some(compression);
        self
    }

    /// The event of replies to requests. `reply` by default.
    pub fn reply_event(mut self, event: impl Into<String>) -> Self {
        self.options.reply_event = event.into();
        self
    }

    /// The event of replies that are errors. `error` by default.
    pub fn error_event(mut self, event: impl Into<String>) -> Self {
        self.options.error_event = event.into();
        self
    }

    /// By which proxy to connect. By that of the environment by default.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// Opens the stream of bytes below the handshake in the application's own way instead of by
    /// TCP and proxies: a Unix socket, or memory in a test. TLS is still put on top for `wss://`.
    pub fn connector<F, Fut, S>(mut self, connector: F) -> Self
    where
        F: Fn(Address) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<S>> + Send + 'static,
        S: ByteStream,
    {
        self.connector = Some(Arc::new(move |address| {
            let connecting = connector(address);
            Box::pin(async move { connecting.await.map(BoxedStream::new) })
        }));
        self
    }

    /// Whom to trust to say who a server is. Mozilla's list by default.
    #[cfg(feature = "rustls")]
    pub fn roots(mut self, roots: Roots) -> Self {
        self.trust = Trust::Roots(roots);
        self
    }

    /// All that rustls can be told, such as certificates of the client's own. Leave `http/1.1` the
    /// only protocol in `alpn_protocols`, if there is one.
    #[cfg(feature = "rustls")]
    pub fn tls_config(mut self, config: Arc<tokio_rustls::rustls::ClientConfig>) -> Self {
        self.trust = Trust::Config(config);
        self
    }

    /// Called with each frame that comes, but for replies to requests.
    pub fn on_message(mut self, mut callback: impl FnMut(Frame) + Send + 'static) -> Self {
        self.callbacks.add(move |event| {
            let Event::Message(frame) = event else { return Some(event) };
            callback(frame);
            None
        });
        self
    }

    /// Called when the client is connected, with how many messages follow that were missed.
    pub fn on_session(
        mut self,
        mut callback: impl FnMut(SessionStart, u64) + Send + 'static,
    ) -> Self {
        self.callbacks.add(move |event| {
            let Event::Session { session, replay, .. } = event else { return Some(event) };
            callback(session, replay);
            None
        });
        self
    }

    /// Called when the connection is lost.
    pub fn on_disconnected(mut self, mut callback: impl FnMut(Cause) + Send + 'static) -> Self {
        self.callbacks.add(move |event| {
            let Event::Disconnected { cause } = event else { return Some(event) };
            callback(cause);
            None
        });
        self
    }

    /// Called before the client waits for its next attempt, with its number, the time, and why
    /// there is no connection.
    pub fn on_reconnecting(
        mut self,
        mut callback: impl FnMut(u32, Duration, Cause) + Send + 'static,
    ) -> Self {
        self.callbacks.add(move |event| {
            let Event::Reconnecting { attempt, delay, cause } = event else { return Some(event) };
            callback(attempt, delay, cause);
            None
        });
        self
    }

    /// Called with each posted frame of which nothing more will be known.
    pub fn on_lost(mut self, mut callback: impl FnMut(Frame) + Send + 'static) -> Self {
        self.callbacks.add(move |event| {
            let Event::Lost(frame) = event else { return Some(event) };
            callback(frame);
            None
        });
        self
    }

    /// Called with each posted frame that will not be sent.
    pub fn on_unsent(mut self, mut callback: impl FnMut(Frame) + Send + 'static) -> Self {
        self.callbacks.add(move |event| {
            let Event::Unsent { frame } = event else { return Some(event) };
            callback(frame);
            None
        });
        self
    }

    /// Called for each message that the codec cannot read.
    pub fn on_undecodable(
        mut self,
        mut callback: impl FnMut(DecodeError) + Send + 'static,
    ) -> Self {
        self.callbacks.add(move |event| {
            let Event::Undecodable(error) = event else { return Some(event) };
            callback(error);
            None
        });
        self
    }

    /// Called once, last of all.
    pub fn on_ended(mut self, callback: impl FnOnce(EndCause) + Send + 'static) -> Self {
        let mut callback = Some(callback);
        self.callbacks.add(move |event| {
            let Event::Ended { cause } = event else { return Some(event) };
            if let Some(callback) = callback.take() {
                callback(cause);
            }
            None
        });
        self
    }
}

/// The codec's name, which becomes a part of a subprotocol.
fn checked_name(codec: &dyn Codec) -> Result<Option<String>, ConfigError> {
    let Some(name) = codec.name() else { return Ok(None) };
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.is_empty() || !name.bytes().all(is_allowed) {
        let rule = "its name must be made of letters, digits and `-`";
        return Err(ConfigError::Option { option: "codec", rule });
    }
    Ok(Some(name.to_owned()))
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("options", &self.options)
            .field("proxy", &self.proxy)
            .field("callbacks", &self.callbacks)
            .finish_non_exhaustive()
    }
}

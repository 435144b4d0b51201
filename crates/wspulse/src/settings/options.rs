//! The options behind the builder: values, defaults, bounds.

pub(crate) mod admission;
mod auth;
mod delivery;
mod overflow;
mod requests;
mod returns;
mod session_limits;

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use wspulse_core::session::SessionConfig;
use wspulse_core::{CloseCode, HeartbeatConfig};

use crate::cluster::Engine;
use crate::observe::metrics::MetricsCollector;
use crate::settings::announcement::Announcements;
use crate::settings::codecs::Codecs;
use crate::settings::compression::{Compressing, longest};
use crate::settings::connect::ConnectRequest;
use crate::settings::error::ConfigError;
use crate::settings::room_options::RoomSettings;
use admission::AdmissionOptions;
pub use admission::UserLimit;
use auth::AuthOptions;
pub use delivery::Delivery;
pub(crate) use delivery::DeliveryOptions;
pub(crate) use overflow::OverflowOptions;
pub(crate) use requests::RequestOptions;
pub(crate) use returns::ReturnRules;
pub use returns::{IdScope, RoomChange};
pub(crate) use session_limits::SessionLimits;

/// The options as given, checked or not.
pub(crate) struct Options {
    pub(crate) codecs: Codecs,
    pub(crate) metrics: Option<Arc<dyn MetricsCollector>>,
    pub(crate) check_origin: Option<OriginCheck>,
    pub(crate) compressing: Compressing,
    pub(crate) peer_addr: Option<PeerAddrFn>,
    pub(crate) returns: ReturnRules,
    pub(crate) id_scope: IdScope,
    pub(crate) heartbeat: HeartbeatConfig,
    pub(crate) write_wait: Duration,
    pub(crate) write_rate_min: u32,
    pub(crate) resume_window: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) drain_retry: Duration,
    pub(crate) message_bytes_max: usize,
    pub(crate) send_buffer_frames: usize,
    pub(crate) read_bytes_max: usize,
    pub(crate) write_bytes_max: usize,
    /// How many rooms a connection may be in.
    pub(crate) rooms_max: usize,
    /// Whether frames of rooms say of which.
    pub(crate) names_rooms: bool,
    pub(crate) admission: AdmissionOptions,
    pub(crate) session_limits: SessionLimits,
    pub(crate) delivery: DeliveryOptions,
    pub(crate) overflow: OverflowOptions,
    pub(crate) announcements: Announcements,
    pub(crate) auth: AuthOptions,
    pub(crate) requests: RequestOptions,
    pub(crate) rooms: RoomSettings,
    /// What carries messages to the other servers, if there are any.
    pub(crate) cluster: Option<Arc<dyn Engine>>,
}

pub(crate) type OriginCheck = Box<dyn Fn(&ConnectRequest) -> bool + Send + Sync>;
pub(crate) type PeerAddrFn = Box<dyn Fn(&ConnectRequest) -> Option<SocketAddr> + Send + Sync>;

/// What happens when a client connects with the id of a connection that is connected.
///
/// A *suspended* connection is resumed in either case. A client whose handshake began before that of
/// the transport which the connection has is turned away in either case, with close code 1001.
///
/// In a [cluster](crate::ServerBuilder::cluster) it says the same of a connection at another server,
/// unless [`IdScope::Server`] is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DuplicatePolicy {
    /// The old connection ends with [`Disconnect::Duplicate`](crate::Disconnect::Duplicate) and a new one begins.
    #[default]
    Replace,
    /// The session moves to the new transport and nothing is lost: the phone changed networks, and
    /// the server has not noticed yet. Needs a resume window.
    Resume,
}

/// How many received frames may wait for `on_message` before reading stops and TCP pushes back.
/// Enough to keep a handler busy while the next read is under way.
pub(crate) const INBOUND_FRAMES_MAX: usize = 32;

const PING_INTERVAL_MAX: Duration = Duration::from_mins(5);
const PONG_TIMEOUT_MAX: Duration = Duration::from_mins(10);
const WRITE_WAIT_MAX: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_mins(5);
const DRAIN_TIMEOUT_MAX: Duration = Duration::from_hours(1);
/// Clients wait for no longer than twice that.
const DRAIN_RETRY_MAX: Duration = Duration::from_secs(30);
const DRAIN_RETRY_MIN: Duration = Duration::from_millis(1);
const MESSAGE_BYTES: RangeInclusive<usize> = 1..=64 * 1024 * 1024;
const SEND_BUFFER_FRAMES: RangeInclusive<usize> = 1..=4096;
/// A connection's rooms are looked through one by one.
const ROOMS: RangeInclusive<usize> = 1..=4096;
const IO_BYTES: RangeInclusive<usize> = 1..=16 * 1024 * 1024;

impl Default for Options {
    fn default() -> Self {
        Self {
            codecs: Codecs::default(),
            metrics: None,
            check_origin: None,
            compressing: Compressing::default(),
            peer_addr: None,
            returns: ReturnRules {
                duplicates: DuplicatePolicy::default(),
                duplicate_close: CloseCode::NORMAL,
                room_changes: RoomChange::default(),
                reauthorizes: false,
            },
            id_scope: IdScope::default(),
            heartbeat: HeartbeatConfig {
                ping_interval: Duration::from_secs(10),
                pong_timeout: Duration::from_secs(30),
            },
            write_wait: Duration::from_secs(10),
            write_rate_min: 4096,
            resume_window: Duration::ZERO,
            connect_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
            drain_retry: Duration::from_secs(1),
            message_bytes_max: 512,
            send_buffer_frames: 256,
            read_bytes_max: 64 * 1024,
            write_bytes_max: 64 * 1024,
            rooms_max: 128,
            names_rooms: false,
            admission: AdmissionOptions::default(),
            session_limits: SessionLimits::default(),
            delivery: DeliveryOptions::default(),
            overflow: OverflowOptions::default(),
            announcements: Announcements::default(),
            auth: AuthOptions::default(),
            requests: RequestOptions::default(),
            rooms: RoomSettings::default(),
            cluster: None,
        }
    }
}

impl Options {
    pub(crate) fn session_config(&self, expiry_notice: Option<Duration>) -> SessionConfig {
        SessionConfig {
            heartbeat: self.heartbeat,
            write_wait: self.write_wait,
            write_rate_min: self.write_rate_min,
            resume_window: self.resume_window,
            inbound_frames_max: INBOUND_FRAMES_MAX,
            awaited: self.requests.awaited,
            inbound_rate: self.session_limits.inbound_rate,
            message_timeout: self.session_limits.message_timeout,
            ask: self.delivery.ask(),
            duplicate_close: self.returns.duplicate_close,
            expiry_notice,
            suspension_limit: self.session_limits.suspension_limit(),
        }
    }

    /// The first value that is out of its range.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.check_heartbeat()?;
        self.check_timeouts()?;
        self.check_sizes()?;
        self.admission.check()?;
        self.session_limits.check(longest(self.compressing, self.message_bytes_max))?;
        self.delivery.check(self.resume_window)?;
        self.overflow.check(&self.delivery)?;
        self.codecs.check(&self.delivery)?;
        self.announcements.check(self.codecs.default_codec())?;
        self.auth.check()?;
        self.requests.check()?;
        self.rooms.check(&self.codecs)?;
        self.rooms.check_log(self.cluster.as_deref())?;
        if self.returns.duplicates == DuplicatePolicy::Resume && self.resume_window.is_zero() {
            let rule = "Resume needs a resume_window";
            return Err(ConfigError::new("duplicates", self.returns.duplicates, rule));
        }
        let code = self.returns.duplicate_close;
        if code != CloseCode::NORMAL && !admission::keeps_away(code) {
            let rule = "must be 1000, or 4000 to 4999 but not 4410";
            return Err(ConfigError::new("duplicate_close_code", code, rule));
        }
        Ok(())
    }

    fn check_heartbeat(&self) -> Result<(), ConfigError> {
        let HeartbeatConfig { ping_interval, pong_timeout } = self.heartbeat;
        if ping_interval.is_zero() || ping_interval >= pong_timeout {
            let rule = "ping_interval must be positive and strictly less than pong_timeout";
            return Err(ConfigError::new("heartbeat", (ping_interval, pong_timeout), rule));
        }
        if ping_interval > PING_INTERVAL_MAX {
            let rule = "ping_interval must be at most 5 min";
            return Err(ConfigError::new("heartbeat", ping_interval, rule));
        }
        if pong_timeout > PONG_TIMEOUT_MAX {
            let rule = "pong_timeout must be at most 10 min";
            return Err(ConfigError::new("heartbeat", pong_timeout, rule));
        }
        Ok(())
    }

    fn check_timeouts(&self) -> Result<(), ConfigError> {
        const WRITE: &str = "must be positive and at most 30 s";
        const CONNECT: &str = "must be positive and at most 5 min";
        const DRAIN: &str = "must be positive and at most 1 h";
        for (option, value, max, rule) in [
            ("write_wait", self.write_wait, WRITE_WAIT_MAX, WRITE),
            ("connect_timeout", self.connect_timeout, CONNECT_TIMEOUT_MAX, CONNECT),
            ("drain_timeout", self.drain_timeout, DRAIN_TIMEOUT_MAX, DRAIN),
        ] {
            if value.is_zero() || value > max {
                return Err(ConfigError::new(option, value, rule));
            }
        }
        if !(DRAIN_RETRY_MIN..=DRAIN_RETRY_MAX).contains(&self.drain_retry) {
            let rule = "must be at least 1 ms and at most 30 s";
            return Err(ConfigError::new("drain_retry", self.drain_retry, rule));
        }
        if self.write_rate_min == 0 {
            let rule = "must be at least 1 (bytes per second)";
            return Err(ConfigError::new("min_write_rate", self.write_rate_min, rule));
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<(), ConfigError> {
        const MESSAGE: &str = "must be at least 1 and at most 67108864 (64 MiB)";
        const BUFFER: &str = "must be at least 1 and at most 4096";
        const READ: &str = "read_bytes must be at least 1 and at most 16777216 (16 MiB)";
        const WRITE: &str = "write_bytes must be at least 1 and at most 16777216 (16 MiB)";
        for (option, value, range, rule) in [
            ("max_message_size", self.message_bytes_max, MESSAGE_BYTES, MESSAGE),
            ("send_buffer_size", self.send_buffer_frames, SEND_BUFFER_FRAMES, BUFFER),
            ("max_rooms_per_connection", self.rooms_max, ROOMS, BUFFER),
            ("upgrader_buffer_size", self.read_bytes_max, IO_BYTES, READ),
            ("upgrader_buffer_size", self.write_bytes_max, IO_BYTES, WRITE),
        ] {
            if !range.contains(&value) {
                return Err(ConfigError::new(option, value, rule));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Options");
        debug
            .field("duplicates", &self.returns.duplicates)
            .field("duplicate_close_code", &self.returns.duplicate_close)
            .field("room_changes", &self.returns.room_changes)
            .field("id_scope", &self.id_scope)
            .field("heartbeat", &self.heartbeat)
            .field("write_wait", &self.write_wait)
            .field("min_write_rate", &self.write_rate_min)
            .field("resume_window", &self.resume_window)
            .field("connect_timeout", &self.connect_timeout)
            .field("drain_timeout", &self.drain_timeout)
            .field("drain_retry", &self.drain_retry)
            .field("max_message_size", &self.message_bytes_max)
            .field("send_buffer_size", &self.send_buffer_frames)
            .field("max_rooms_per_connection", &self.rooms_max)
            .field("name_rooms", &self.names_rooms)
            .field("upgrader_buffer_size", &(self.read_bytes_max, self.write_bytes_max))
            .field("admission", &self.admission)
            .field("delivery", &self.delivery)
            .field("overflow", &self.overflow.default)
            .field("slow_consumer_close", &self.overflow.close)
            .field("announcements", &self.announcements)
            .field("auth", &self.auth)
            .field("rooms", &self.rooms);
        self.session_limits.fields(&mut debug);
        self.requests.fields(&mut debug);
        debug.finish_non_exhaustive()
    }
}

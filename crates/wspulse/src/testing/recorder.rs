//! A collector that writes every hook down, with its arguments, as one line each.

use std::fmt::{self, Display};
use std::panic::Location;
use std::sync::Arc;

use parking_lot::Mutex;

use super::trace::Trace;
use crate::observe::metrics::{
    CallbackBlocked, CallbackPanicked, ConnectionClosed, ConnectionOpened, DrainStarted,
    DropReason, FrameDropped, FramesAcknowledged, FramesConflated, FramesLost, LimitReached,
    MessageBroadcast, MessageInflated, MessageReceived, MessageUndecodable, MessagesCompressed,
    MessagesDiscarded, MessagesSent, MetricsCollector, PongTimeout, PresenceTold, ReplyUnmatched,
    RequestFinished, RoomCreated, RoomDestroyed, ServerBuilt, SessionResumed, SessionSuspended,
    UpgradeRefused,
};

/// A [`MetricsCollector`] that writes each hook down as a line: its name, then what it was told,
/// as `connection_opened lobby ann` or `frame_dropped lobby ann evicted`. Clones share the lines.
///
/// [`TestServer::metrics`](super::TestServer::metrics) has one, which passes all on to the
/// collector of the application, if there is one. Without a test server, give a clone to
/// [`ServerBuilder::metrics`](crate::ServerBuilder::metrics).
#[derive(Clone)]
pub struct Recorder {
    lines: Arc<Mutex<Vec<String>>>,
    trace: Trace,
    own: Option<Arc<dyn MetricsCollector>>,
}

impl Recorder {
    pub(super) fn new(trace: Trace, own: Option<Arc<dyn MetricsCollector>>) -> Self {
        Self { lines: Arc::default(), trace, own }
    }

    /// Waits until a line begins with these words, as `session_resumed lobby ann`, now or before.
    /// Returns the first such line.
    ///
    /// # Panics
    ///
    /// If none comes within [`patience`](super::TestServer::patience).
    #[track_caller]
    pub fn expect(&self, words: &str) -> impl Future<Output = String> {
        let at = Location::caller();
        async move {
            let look = || self.lines.lock().iter().find(|line| begins_with(line, words)).cloned();
            self.trace.find(look).await.unwrap_or_else(|| {
                let patience = self.trace.patience();
                self.trace.fail(at, format_args!("no metric `{words}` within {patience:?}"))
            })
        }
    }

    /// Asserts that no line begins with these words, or comes within the next 100 ms.
    ///
    /// # Panics
    ///
    /// If one is there, or comes.
    #[track_caller]
    pub fn refute(&self, words: &str) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let look = || self.lines.lock().iter().find(|line| begins_with(line, words)).cloned();
            if let Some(line) = self.trace.find_soon(look).await {
                self.trace.fail(at, format_args!("this was not to be counted: {line}"));
            }
        }
    }

    /// Every hook so far: its name, then its arguments.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }

    /// The hooks of this name.
    pub fn only(&self, hook: &str) -> Vec<String> {
        self.among(&[hook])
    }

    /// The hooks of these names.
    pub fn among(&self, hooks: &[&str]) -> Vec<String> {
        let mut lines = self.lines();
        lines.retain(|line| line.split(' ').next().is_some_and(|hook| hooks.contains(&hook)));
        lines
    }

    /// The hooks of rooms' and connections' lives.
    pub fn lives(&self) -> Vec<String> {
        self.among(&[
            "room_created",
            "connection_opened",
            "session_resumed",
            "connection_closed",
            "room_destroyed",
        ])
    }

    /// How many hooks were called with these arguments.
    pub fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|other| *other == line).count()
    }

    /// How many frames were dropped for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        let lines = self.only("frame_dropped");
        lines.iter().filter(|line| line.ends_with(reason.as_str())).count() as u64
    }

    /// How many frames sockets have taken.
    pub fn sent(&self) -> u64 {
        let lines = self.only("messages_sent");
        lines
            .iter()
            .map(|line| {
                line.split(' ').nth(3).and_then(|count| count.parse::<u64>().ok()).unwrap_or(0)
            })
            .sum()
    }

    /// Writes down what belongs into the story of a test.
    fn tell(&self, line: impl Display) {
        let line = line.to_string();
        self.lines.lock().push(line.clone());
        self.trace.note("metric", line);
    }

    /// Writes down what is told for each message, of which the story has the message itself.
    fn tell_of_traffic(&self, line: impl Display) {
        self.lines.lock().push(line.to_string());
        self.trace.look_again();
    }

    fn pass_on(&self, tell: impl FnOnce(&dyn MetricsCollector)) {
        if let Some(own) = &self.own {
            tell(&**own);
        }
    }
}

/// Whether a line has these words first, the last of them whole.
fn begins_with(line: &str, words: &str) -> bool {
    line.strip_prefix(words).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ',']))
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new(Trace::new(), None)
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("lines", &self.lines).finish_non_exhaustive()
    }
}

impl MetricsCollector for Recorder {
    fn room_created(&self, event: &RoomCreated<'_>) {
        let &RoomCreated { room, .. } = event;
        self.tell(format_args!("room_created {room}"));
        self.pass_on(|own| own.room_created(event));
    }

    fn connection_opened(&self, event: &ConnectionOpened<'_>) {
        let &ConnectionOpened { room, id, .. } = event;
        self.tell(format_args!("connection_opened {room} {id}"));
        self.pass_on(|own| own.connection_opened(event));
    }

    fn session_resumed(&self, event: &SessionResumed<'_>) {
        let &SessionResumed { room, id, .. } = event;
        self.tell(format_args!("session_resumed {room} {id}"));
        self.pass_on(|own| own.session_resumed(event));
    }

    fn connection_closed(&self, event: &ConnectionClosed<'_>) {
        let &ConnectionClosed { room, id, duration, reason, .. } = event;
        self.tell(format_args!("connection_closed {room} {id} {duration:?} {reason}"));
        self.pass_on(|own| own.connection_closed(event));
    }

    fn room_destroyed(&self, event: &RoomDestroyed<'_>) {
        let &RoomDestroyed { room, .. } = event;
        self.tell(format_args!("room_destroyed {room}"));
        self.pass_on(|own| own.room_destroyed(event));
    }

    fn message_received(&self, event: &MessageReceived<'_>) {
        let &MessageReceived { room, payload_bytes, .. } = event;
        self.tell_of_traffic(format_args!("message_received {room} {payload_bytes}"));
        self.pass_on(|own| own.message_received(event));
    }

    fn message_undecodable(&self, event: &MessageUndecodable<'_>) {
        let &MessageUndecodable { room, id, payload_bytes, .. } = event;
        self.tell(format_args!("message_undecodable {room} {id} {payload_bytes}"));
        self.pass_on(|own| own.message_undecodable(event));
    }

    fn messages_discarded(&self, event: &MessagesDiscarded<'_>) {
        let &MessagesDiscarded { room, id, messages, .. } = event;
        self.tell(format_args!("messages_discarded {room} {id} {messages}"));
        self.pass_on(|own| own.messages_discarded(event));
    }

    fn message_broadcast(&self, event: &MessageBroadcast<'_>) {
        let &MessageBroadcast { room, payload_bytes, fan_out, .. } = event;
        self.tell_of_traffic(format_args!("message_broadcast {room} {payload_bytes} {fan_out}"));
        self.pass_on(|own| own.message_broadcast(event));
    }

    fn messages_sent(&self, event: &MessagesSent<'_>) {
        let &MessagesSent { room, id, messages, payload_bytes, waiting, capacity, .. } = event;
        self.tell_of_traffic(format_args!(
            "messages_sent {room} {id} {messages} {payload_bytes}, {waiting} of {capacity} wait"
        ));
        self.pass_on(|own| own.messages_sent(event));
    }

    fn messages_compressed(&self, event: &MessagesCompressed<'_>) {
        let &MessagesCompressed { room, id, messages, payload_bytes, compressed_bytes, .. } = event;
        self.tell_of_traffic(format_args!(
            "messages_compressed {room} {id} {messages} {payload_bytes} to {compressed_bytes}"
        ));
        self.pass_on(|own| own.messages_compressed(event));
    }

    fn message_inflated(&self, event: &MessageInflated<'_>) {
        let &MessageInflated { room, id, payload_bytes, compressed_bytes, .. } = event;
        self.tell_of_traffic(format_args!(
            "message_inflated {room} {id} {compressed_bytes} to {payload_bytes}"
        ));
        self.pass_on(|own| own.message_inflated(event));
    }

    fn frame_dropped(&self, event: &FrameDropped<'_>) {
        let &FrameDropped { room, id, reason, .. } = event;
        self.tell(format_args!("frame_dropped {room} {id} {reason}"));
        self.pass_on(|own| own.frame_dropped(event));
    }

    fn frames_conflated(&self, event: &FramesConflated<'_>) {
        let &FramesConflated { room, id, frames, .. } = event;
        self.tell(format_args!("frames_conflated {room} {id} {frames}"));
        self.pass_on(|own| own.frames_conflated(event));
    }

    fn frames_acknowledged(&self, event: &FramesAcknowledged<'_>) {
        let &FramesAcknowledged { room, id, frames, age, .. } = event;
        let age = age.map(|age| age.as_millis());
        self.tell_of_traffic(format_args!("frames_acknowledged {room} {id} {frames} {age:?}"));
        self.pass_on(|own| own.frames_acknowledged(event));
    }

    fn frames_lost(&self, event: &FramesLost<'_>) {
        let &FramesLost { room, id, frames, .. } = event;
        self.tell(format_args!("frames_lost {room} {id} {frames}"));
        self.pass_on(|own| own.frames_lost(event));
    }

    fn presence_told(&self, event: &PresenceTold<'_>) {
        let &PresenceTold { room, changes, newcomers, members, .. } = event;
        self.tell(format_args!(
            "presence_told {room}, {changes} changed, {newcomers} of {members} new"
        ));
        self.pass_on(|own| own.presence_told(event));
    }

    fn pong_timeout(&self, event: &PongTimeout<'_>) {
        let &PongTimeout { room, id, .. } = event;
        self.tell(format_args!("pong_timeout {room} {id}"));
        self.pass_on(|own| own.pong_timeout(event));
    }

    fn upgrade_refused(&self, event: &UpgradeRefused) {
        let &UpgradeRefused { status, .. } = event;
        self.tell(format_args!("upgrade_refused {status}"));
        self.pass_on(|own| own.upgrade_refused(event));
    }

    fn limit_reached(&self, event: &LimitReached) {
        let &LimitReached { limit, .. } = event;
        self.tell(format_args!("limit_reached {limit}"));
        self.pass_on(|own| own.limit_reached(event));
    }

    fn callback_panicked(&self, event: &CallbackPanicked<'_>) {
        let &CallbackPanicked { room, id, callback, .. } = event;
        self.tell(format_args!("callback_panicked {room} {id} {callback}"));
        self.pass_on(|own| own.callback_panicked(event));
    }

    fn server_built(&self, event: &ServerBuilt<'_>) {
        self.pass_on(|own| own.server_built(event));
    }

    fn session_suspended(&self, event: &SessionSuspended<'_>) {
        let &SessionSuspended { room, id, .. } = event;
        self.tell(format_args!("session_suspended {room} {id}"));
        self.pass_on(|own| own.session_suspended(event));
    }

    fn request_finished(&self, event: &RequestFinished<'_>) {
        let &RequestFinished { room, id, outcome, .. } = event;
        self.tell(format_args!("request_finished {room} {id} {outcome}"));
        self.pass_on(|own| own.request_finished(event));
    }

    fn reply_unmatched(&self, event: &ReplyUnmatched<'_>) {
        let &ReplyUnmatched { room, id, .. } = event;
        self.tell(format_args!("reply_unmatched {room} {id}"));
        self.pass_on(|own| own.reply_unmatched(event));
    }

    fn drain_started(&self, event: &DrainStarted) {
        self.tell("drain_started");
        self.pass_on(|own| own.drain_started(event));
    }

    fn callback_blocked(&self, event: &CallbackBlocked<'_>) {
        let &CallbackBlocked { room, id, callback, .. } = event;
        self.tell(format_args!("callback_blocked {room} {id} {callback}"));
        self.pass_on(|own| own.callback_blocked(event));
    }
}

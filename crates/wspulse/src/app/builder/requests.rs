//! The options of requests and replies.

use wspulse_core::session::AwaitedConfig;

use super::ServerBuilder;

impl ServerBuilder {
    /// How many [requests](crate::Connection::request) to one client may wait for their replies at
    /// once. Default 64, 1 to 65,536. One more is not sent and fails with
    /// [`RequestError::Overloaded`](crate::RequestError::Overloaded).
    pub const fn max_requests(mut self, requests: usize) -> Self {
        self.options.requests.outstanding_max = requests;
        self
    }

    /// How much is read ahead of a slow callback to find what is awaited of its client: a reply, or an
    /// acknowledgement that the callback itself awaits. Default 1,024 messages (32 to 65,536) and 256
    /// KiB (1 byte to 1 GiB; a message begins below this, and may end above it).
    ///
    /// At any other time reading stops while 32 messages wait. These are counted among the messages,
    /// and not among the bytes. At the bound reading stops, and whoever waits hears of it:
    /// [`RequestError::Overloaded`](crate::RequestError::Overloaded),
    /// [`NotAcknowledged::Overloaded`](crate::NotAcknowledged::Overloaded).
    pub const fn read_ahead(mut self, messages: usize, bytes: usize) -> Self {
        self.options.requests.awaited = AwaitedConfig { messages_max: messages, bytes_max: bytes };
        self
    }

    /// The events of replies, and of replies that are errors, in both directions. Default `reply`
    /// and `error`. They must differ, and none may be empty.
    pub fn reply_events(mut self, reply: impl AsRef<str>, error: impl AsRef<str>) -> Self {
        self.options.requests.reply_event = reply.as_ref().into();
        self.options.requests.error_event = error.as_ref().into();
        self
    }

    /// Whether a client's request that fails is answered with an error. Default `false`: who asks in
    /// vain waits in vain, unless the application answers.
    ///
    /// With `true` a frame that has an id gets a reply with the event `error` and the payload
    /// `{"code": …, "text": …}` if the [router](Self::router) has no handler for its event
    /// (`unknown_event`), if its payload does not fit (`bad_payload`), or if its handler fails otherwise
    /// (`internal`); and with any `on_message` if it is no frame and its id can be read
    /// (`undecodable`). Nothing of an error's own text is in it. The router's
    /// [`on_error`](crate::router::RouterBuilder::on_error) hears of failures as without it, and must
    /// not answer itself.
    pub const fn answer_failures(mut self, answer: bool) -> Self {
        self.options.requests.answers_failures = answer;
        self
    }
}

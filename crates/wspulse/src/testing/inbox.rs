//! What a client has heard and no assertion has taken yet.

use std::collections::VecDeque;
use std::fmt::{Display, Write as _};
use std::panic::Location;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use wspulse_core::{CloseFrame, Frame, PayloadFormat};

use super::trace::Trace;

/// How much of a payload a line shows, in characters.
const SHOWN_CHARS: usize = 200;

/// What a client has heard and no assertion has taken yet, in the order of arrival.
///
/// An assertion takes the first frame that it is about and leaves those before it to others, as
/// Phoenix' `assert_push` does; [`next`](Self::next) takes what is first. One that is dropped before
/// it is ready takes nothing. A
/// [`LiveClient`](super::LiveClient) has one. For any other client, such as that of
/// `wspulse-client`, [`TestServer::inbox`](super::TestServer::inbox) makes one: tell it what came by
/// [`hear`](Self::hear). A handle that is cheap to clone.
#[derive(Debug, Clone)]
pub struct Inbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    name: String,
    trace: Trace,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    untaken: VecDeque<Frame>,
    end: Option<End>,
}

/// How a transport has ended.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// With a close frame of the server's.
    Closed(Option<CloseFrame>),
    /// Without one.
    Lost(String),
}

impl Inbox {
    pub(super) fn new(name: String, trace: Trace) -> Self {
        Self(Arc::new(Shared { name, trace, heard: Mutex::default() }))
    }

    /// Tells of a frame that has come.
    pub fn hear(&self, frame: Frame) {
        let text = shown(&frame);
        self.0.heard.lock().untaken.push_back(frame);
        self.0.trace.note(&self.0.name, format_args!("hears {text}"));
    }

    pub(super) fn end(&self, end: End) {
        let text = match &end {
            End::Closed(None) => "is closed, without a code".to_owned(),
            End::Closed(Some(close)) => format!("is closed: {} {}", close.code(), close.reason()),
            End::Lost(why) => format!("has lost its transport: {why}"),
        };
        self.0.heard.lock().end = Some(end);
        self.0.trace.note(&self.0.name, text);
    }

    /// A new transport: what the last one ended with is of no interest any more.
    pub(super) fn begin(&self) {
        self.0.heard.lock().end = None;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.0.heard.lock().end.is_some()
    }

    pub(super) fn trace(&self) -> &Trace {
        &self.0.trace
    }

    pub(super) fn note(&self, what: impl Display) {
        self.0.trace.note(&self.0.name, what);
    }

    pub(super) fn fail(&self, at: &Location<'_>, what: impl Display) -> ! {
        let mut untaken = String::new();
        for frame in &self.0.heard.lock().untaken {
            let _ = write!(untaken, "\n    {}", shown(frame));
        }
        let untaken = if untaken.is_empty() { " nothing".to_owned() } else { untaken };
        let name = &self.0.name;
        self.0
            .trace
            .fail(at, format_args!("{name} {what}\n  {name} has heard, not taken yet:{untaken}"))
    }

    /// Waits for a frame of this event, and takes the first.
    ///
    /// # Panics
    ///
    /// If none comes within [`patience`](super::TestServer::patience).
    #[track_caller]
    pub fn expect(&self, event: &str) -> impl Future<Output = Frame> {
        self.take(Location::caller(), event, move |frame| frame.event() == event)
    }

    /// Waits for a frame of this event whose payload is this value, and takes the first. Members of
    /// objects may be in any order.
    ///
    /// # Panics
    ///
    /// As [`expect`](Self::expect); also if the value is none of JSON.
    #[track_caller]
    pub fn expect_json(&self, event: &str, payload: impl Serialize) -> impl Future<Output = Frame> {
        let payload =
            serde_json::to_value(payload).expect("the value that is expected is one of JSON");
        let wanted = format!("{event} {payload}");
        let is_it = move |frame: &Frame| {
            frame.event() == event && frame.to_json::<Value>().is_ok_and(|value| value == payload)
        };
        self.take(Location::caller(), wanted, is_it)
    }

    /// Waits for a frame that this says yes to, and takes the first. `wanted` is for the message of
    /// a failure.
    ///
    /// # Panics
    ///
    /// As [`expect`](Self::expect).
    #[track_caller]
    pub fn expect_where(
        &self,
        wanted: &str,
        is_it: impl Fn(&Frame) -> bool,
    ) -> impl Future<Output = Frame> {
        self.take(Location::caller(), wanted, is_it)
    }

    /// Waits for the next frame, whatever it is, and takes it.
    ///
    /// # Panics
    ///
    /// As [`expect`](Self::expect).
    #[track_caller]
    pub fn next(&self) -> impl Future<Output = Frame> {
        self.take(Location::caller(), "anything", |_| true)
    }

    /// Asserts that no frame of this event is here, or comes within the next 100 ms.
    ///
    /// # Panics
    ///
    /// If one is here, or comes.
    #[track_caller]
    pub fn refute(&self, event: &str) -> impl Future<Output = ()> {
        self.refute_where(Location::caller(), move |frame| frame.event() == event)
    }

    /// Asserts that no frame is here, or comes within the next 100 ms.
    ///
    /// # Panics
    ///
    /// If one is here, or comes.
    #[track_caller]
    pub fn refute_all(&self) -> impl Future<Output = ()> {
        self.refute_where(Location::caller(), |_| true)
    }

    /// What has come and was not taken, in the order of arrival; takes it. Nothing is waited for.
    pub fn take_all(&self) -> Vec<Frame> {
        self.0.heard.lock().untaken.drain(..).collect()
    }

    pub(super) async fn expect_end(&self, at: &'static Location<'static>, wanted: &str) -> End {
        let Shared { trace, heard, .. } = &*self.0;
        match trace.find(|| heard.lock().end.clone()).await {
            Some(end) => end,
            None => self.fail(at, format_args!("was not {wanted} within {:?}", trace.patience())),
        }
    }

    async fn take(
        &self,
        at: &'static Location<'static>,
        wanted: impl Display,
        is_it: impl Fn(&Frame) -> bool,
    ) -> Frame {
        let Shared { trace, heard, .. } = &*self.0;
        let look = || {
            let mut heard = heard.lock();
            match heard.untaken.iter().position(&is_it) {
                Some(place) => heard.untaken.remove(place).map(Ok),
                None => heard.end.is_some().then_some(Err(NothingComes)),
            }
        };
        match trace.find(look).await {
            Some(Ok(frame)) => frame,
            Some(Err(NothingComes)) => {
                self.fail(at, format_args!("has no transport any more and has not heard {wanted}"))
            }
            None => {
                let patience = trace.patience();
                self.fail(at, format_args!("did not hear {wanted} within {patience:?}"))
            }
        }
    }

    async fn refute_where(&self, at: &'static Location<'static>, is_it: impl Fn(&Frame) -> bool) {
        let Shared { trace, heard, .. } = &*self.0;
        let look = || heard.lock().untaken.iter().find(|frame| is_it(frame)).map(shown);
        if let Some(frame) = trace.find_soon(look).await {
            self.fail(at, format_args!("was not to hear this: {frame}"));
        }
    }
}

/// The transport has ended, so it is of no use to wait.
struct NothingComes;

/// A frame in a line.
pub(super) fn shown(frame: &Frame) -> String {
    let mut line = frame.event().to_owned();
    if !frame.id().is_empty() {
        let _ = write!(line, " #{}", frame.id());
    }
    let text = str::from_utf8(frame.payload()).ok();
    let payload = match text.filter(|_| is_text(frame.format())) {
        Some(text) => text.to_owned(),
        None => format!("{} bytes", frame.payload().len()),
    };
    if !payload.is_empty() {
        line.push(' ');
        line.extend(payload.chars().take(SHOWN_CHARS));
        if payload.chars().nth(SHOWN_CHARS).is_some() {
            line.push('…');
        }
    }
    line
}

fn is_text(format: PayloadFormat) -> bool {
    matches!(format, PayloadFormat::Unknown | PayloadFormat::Json)
}

//! Frames through a router with middleware and all kinds of extractors.

use std::cell::OnceCell;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use tokio::runtime::{Builder, Runtime};
use wspulse::router::{
    Context, Data, Event, Extension, ExtractError, HandlerError, HandlerResult, Json, Layer,
    Middleware, MsgPack, Next, Recovery, Router,
};
use wspulse::testing::request_parts;
use wspulse::{Admission, Connection, Frame, Server};

use crate::handshake::all_are_gone;

/// Takes the first line for an event and the rest for a payload, and dispatches that frame. It must
/// end in one way, the right one, and each layer that was entered must be left.
///
/// # Panics
///
/// If the library has a fault.
pub fn router(data: &[u8]) {
    thread_local! {
        static STAGE: OnceCell<Stage> = const { OnceCell::new() };
    }
    let (event, payload) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[][..]),
    };
    let event = String::from_utf8_lossy(event).into_owned();
    let frame = Frame::new(event).with_payload(payload.to_vec());
    STAGE.with(|stage| stage.get_or_init(Stage::set).play(frame));
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Note {
    Entered,
    Left,
    Handled,
    FellBack,
    /// The guard has ended the chain.
    Stopped,
    NotExtracted,
    Failed,
    Recovered,
}

/// What has happened to a frame, in order.
#[derive(Debug, Clone, Default)]
struct Journal(Arc<Mutex<Vec<Note>>>);

impl Journal {
    fn note(&self, note: Note) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }

    fn take(&self) -> Vec<Note> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Stage {
    runtime: Runtime,
    connection: Connection,
    router: Router,
    journal: Journal,
}

impl Stage {
    fn set() -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let connection = runtime.block_on(connect());
        let journal = Journal::default();
        let router = routes(&journal);
        Self { runtime, connection, router, journal }
    }

    fn play(&self, frame: Frame) {
        let expected = expected(&frame);
        self.runtime.block_on(self.router.dispatch(self.connection.clone(), frame));
        assert_eq!(self.journal.take(), expected);
    }
}

/// A connection whose client has gone at once, which is enough to dispatch frames of.
async fn connect() -> Connection {
    let server = Server::builder_sync(|_| Ok(Admission::room("room"))).build();
    let server = server.expect("valid options");
    let handshake = server.handshake(request_parts("/")).expect("a valid handshake");
    let admission = Admission::room("room").id("id").data(Profile);
    let accepted = handshake.admit(admission).await.expect("an open server");
    let connection = server.connection("id").expect("a registered connection");
    drop(accepted);
    all_are_gone(&server).await;
    connection
}

// ---- what is extracted ----

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only whether it can be read is asked")]
struct Order {
    item: String,
    count: u32,
    price: Option<f64>,
    #[serde(default)]
    notes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only whether it can be read is asked")]
struct Step {
    x: i32,
    y: i32,
}

struct Profile;

struct Absent;

#[derive(Clone)]
struct Stamp(String);

#[derive(Debug, thiserror::Error)]
#[error("the handler's own")]
struct OwnError;

// ---- the routes ----

fn routes(journal: &Journal) -> Router {
    let handled = || {
        let journal = journal.clone();
        move || journal.note(Note::Handled)
    };
    let errors = journal.clone();
    let (order, step, tried, stamped) = (handled(), handled(), handled(), handled());
    let (unstamped, profile, no_profile) = (handled(), handled(), handled());
    let fell_back = journal.clone();
    Router::builder()
        .layer(Around(journal.clone()))
        .layer(Recovery)
        .layer(stamp)
        .on("order", move |_: Json<Order>| order())
        .on("step", move |_: MsgPack<Step>| step())
        .on("try", move |_: Result<Json<Order>, ExtractError>| tried())
        .on("stamped", move |frame: Frame, event: Event, Extension(stamp): Extension<Stamp>| {
            assert_eq!((frame.event(), stamp.0.as_str()), (event.as_str(), event.as_str()));
            stamped();
        })
        .on("unstamped", move |_: Extension<u64>| unstamped())
        .on("profile", move |_: Connection, _: Data<Profile>| profile())
        .on("no profile", move |_: Data<Absent>| no_profile())
        .on("fail", || Err::<(), _>(OwnError))
        // It does not go through the panic hook, which a fuzzer takes for a fault of ours.
        .on("panic", async || -> () { resume_unwind(Box::new("on purpose")) })
        .on_with("guarded", [Layer::new(Guard(journal.clone()))], handled())
        .fallback(move |_: Event| fell_back.note(Note::FellBack))
        .on_error(move |_, _, error| errors.note(note_of(&error)))
        .build()
        .expect("valid routes")
}

/// Makes a note on the way in and on the way out.
struct Around(Journal);

impl Middleware for Around {
    async fn handle(self: Arc<Self>, context: Context, next: Next) -> HandlerResult {
        self.0.note(Note::Entered);
        let result = next.run(context).await;
        self.0.note(Note::Left);
        result
    }
}

async fn stamp(mut context: Context, next: Next) -> HandlerResult {
    let event = context.event().to_owned();
    context.extensions_mut().insert(Stamp(event));
    next.run(context).await
}

/// Lets through what has a payload.
struct Guard(Journal);

impl Middleware for Guard {
    async fn handle(self: Arc<Self>, context: Context, next: Next) -> HandlerResult {
        if context.frame().payload().is_empty() {
            self.0.note(Note::Stopped);
            return Ok(());
        }
        next.run(context).await
    }
}

fn note_of(error: &HandlerError) -> Note {
    match error {
        HandlerError::Extract(_) => Note::NotExtracted,
        HandlerError::Application(_) => {
            assert!(error.downcast_ref::<OwnError>().is_some());
            Note::Failed
        }
        HandlerError::Panicked(_) => Note::Recovered,
        other => panic!("{other:?} is new"),
    }
}

// ---- what should happen ----

fn expected(frame: &Frame) -> Vec<Note> {
    let handled_if = |fits: bool| if fits { Note::Handled } else { Note::NotExtracted };
    let payload = frame.payload();
    let outcome = match frame.event() {
        "order" => handled_if(serde_json::from_slice::<Order>(payload).is_ok()),
        "step" => handled_if(frame.to_msgpack::<Step>().is_ok()),
        "unstamped" | "no profile" => Note::NotExtracted,
        "fail" => Note::Failed,
        "panic" => Note::Recovered,
        "guarded" if payload.is_empty() => Note::Stopped,
        "try" | "stamped" | "profile" | "guarded" => Note::Handled,
        _ => Note::FellBack,
    };
    match outcome {
        // Errors are dealt with outside of all layers.
        Note::NotExtracted | Note::Failed | Note::Recovered => {
            vec![Note::Entered, Note::Left, outcome]
        }
        Note::Handled | Note::FellBack | Note::Stopped => vec![Note::Entered, outcome, Note::Left],
        Note::Entered | Note::Left => unreachable!("not an outcome"),
    }
}

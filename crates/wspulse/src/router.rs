//! Dispatching frames by their event.
//!
//! A [`Router`] takes the place of [`on_message`](crate::ServerBuilder::on_message). Each event has
//! one [handler](Handler), a function that takes what it needs as its arguments; [middleware](Middleware)
//! runs around it; what fails ends in one place, [`on_error`](RouterBuilder::on_error).
//!
//! ```
//! use std::time::Instant;
//!
//! use serde::{Deserialize, Serialize};
//! use wspulse::router::{Context, Event, Extension, HandlerResult, Json, Next, Recovery, Router};
//! use wspulse::{Admission, Connection, Frame, Server};
//!
//! #[derive(Deserialize, Serialize)]
//! struct Say {
//!     text: String,
//! }
//!
//! #[derive(Clone)]
//! struct ReceivedAt(Instant);
//!
//! // The payload is read before the call; one that does not fit never gets here.
//! async fn say(
//!     connection: Connection,
//!     Extension(ReceivedAt(at)): Extension<ReceivedAt>,
//!     Json(say): Json<Say>,
//! ) -> HandlerResult {
//!     connection.room().broadcast(Frame::new("said").json(&say)?)?;
//!     println!("said after {:?}", at.elapsed());
//!     Ok(())
//! }
//!
//! async fn stamp(mut context: Context, next: Next) -> HandlerResult {
//!     context.extensions_mut().insert(ReceivedAt(Instant::now()));
//!     let result = next.run(context).await;
//!     println!("succeeded: {}", result.is_ok());
//!     result
//! }
//!
//! let router = Router::builder()
//!     .layer(Recovery) // a panic further in does not end the connection
//!     .layer(stamp)
//!     .on("say", say)
//!     .on("leave", |connection: Connection| connection.close())
//!     .fallback(|event: Event| println!("no such event: {event}"))
//!     // A failure, be it a payload that does not fit, is a reply with the request's id.
//!     .on_error(|connection, request, error| {
//!         let reply = Frame::new("error").with_id(request.id());
//!         if let Ok(reply) = reply.json(error.for_client()) {
//!             let _ = connection.send(reply);
//!         }
//!     })
//!     .build()?;
//!
//! let server = Server::builder_sync(|_| Ok(Admission::room("lobby"))).router(router).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The order of things
//!
//! Middleware for all events runs first, in the order of [`layer`](RouterBuilder::layer), then
//! that of the event in the order of [`on_with`](RouterBuilder::on_with), then the handler. Each
//! of them is around what follows: its code after [`Next::run`] runs once the rest has ended.
//! Events match exactly and in their case; frames with another event, or none, go through the
//! middleware for all events to the [fallback](RouterBuilder::fallback).
//!
//! An error travels outwards, and each middleware may log it, replace it or answer it. Whatever is
//! left of it is given to [`on_error`](RouterBuilder::on_error). A panic does the same only as far
//! as [`Recovery`], which makes an error of it; past that, or without it, it ends the transport.
//!
//! # Coming from Go
//!
//! | `core/router` | here |
//! |---|---|
//! | `router.New`, `Use`, `On`, `WithFallback` | [`Router::builder`], [`layer`](RouterBuilder::layer), [`on`](RouterBuilder::on), [`fallback`](RouterBuilder::fallback), [`build`](RouterBuilder::build) |
//! | `On(event, auth, handler)` | [`on_with(event, [Layer::new(auth)], handler)`](RouterBuilder::on_with) |
//! | the longest chain of 62 | no limit |
//! | `c.Next()` | `next.run(context).await` |
//! | returning without `c.Next()`, which went on | ends the chain |
//! | `c.Abort()` | returning without calling `next` |
//! | `c.IsAborted()` | what [`Next::run`] returns: end the chain with an error of your own and the middleware around it sees that |
//! | `c.Set(key, value)` | [`context.extensions_mut().insert(value)`](Context::extensions_mut), the key being the value's type |
//! | `c.Get(key)`, `c.GetString(key)` | [`context.extensions().get::<T>()`](Context::extensions) |
//! | `c.MustGet(key)` | an argument [`Extension<T>`], or `context.extract::<Extension<T>>()?`; it fails, and never panics |
//! | `c.Connection`, `c.Frame` | arguments, or [`Context::connection`], [`Context::frame`] |
//! | a context that must not be kept | an owned one that may be |
//! | `Recovery()`, after which later handlers still ran | [`Recovery`], after which none does |
//! | `router.Dispatch` in the callback | [`ServerBuilder::router`](crate::ServerBuilder::router), or [`Router::dispatch`] |

mod builder;
mod context;
mod error;
mod extract;
mod handler;
mod middleware;
mod recovery;
mod reply;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use http::Extensions;
use wspulse_core::Frame;

pub use builder::RouterBuilder;
pub use context::Context;
pub use error::{ExtractError, HandlerError, RouterError};
#[cfg(feature = "msgpack")]
pub use extract::MsgPack;
pub use extract::{Data, Event, Extension, FromContext, Json, State};
pub use handler::{
    Handler, HandlerEnd, HandlerFuture, HandlerOutput, HandlerResult, IntoHandlerResult,
};
pub use middleware::{Layer, Middleware, Next};
pub use recovery::Recovery;
pub use reply::{IntoReply, Reply, ReplyError};

use crate::app::connection::Connection;
use crate::app::handler::Outcome;
use builder::ErrorHandler;
use middleware::Chain;

/// Runs the handler of each frame's event. A cheap handle that does not change once it is built.
///
/// See the [module's documentation](self) for a tour.
#[derive(Clone)]
pub struct Router {
    table: Arc<Table>,
}

struct Table {
    chains: HashMap<String, Arc<Chain>>,
    state: Arc<Extensions>,
    fallback: Arc<Chain>,
    on_error: ErrorHandler,
}

impl Router {
    /// Starts the setup of a router.
    pub fn builder() -> RouterBuilder {
        RouterBuilder::new()
    }

    /// Runs the chain of the frame's event to its end, and
    /// [`on_error`](RouterBuilder::on_error) if it fails.
    ///
    /// [`ServerBuilder::router`](crate::ServerBuilder::router) does this for every frame of every
    /// connection. Dispatches do not wait for each other.
    ///
    /// # Panics
    ///
    /// If a handler or middleware does that has no [`Recovery`] around it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops whatever was running, at the point where it waited.
    pub fn dispatch(
        &self,
        connection: Connection,
        frame: Frame,
    ) -> impl Future<Output = ()> + Send + use<> {
        let table = Arc::clone(&self.table);
        async move {
            let chain = Arc::clone(table.chain(frame.event()));
            let context = Context::new(connection.clone(), frame.clone(), Arc::clone(&table.state));
            if let Err(error) = Next::all_of(chain).run(context).await {
                if tell_client(&connection, &frame, &error) {
                    return;
                }
                match (table.on_error)(connection, frame, error) {
                    Outcome::Done => {}
                    Outcome::Pending(future) => future.await,
                }
            }
        }
    }
}

impl Table {
    fn chain(&self, event: &str) -> &Arc<Chain> {
        // No chain has the empty event, so frames without one fall back as well.
        self.chains.get(event).unwrap_or(&self.fallback)
    }
}

/// Answers a request that has failed, if the client may hear of it. Tells whether that is all there
/// is to do.
fn tell_client(connection: &Connection, request: &Frame, error: &HandlerError) -> bool {
    let requests = &connection.server().options().requests;
    if request.id().is_empty() || requests.is_answer(request.event()) {
        return false;
    }
    let meant_for_client = error.downcast_ref::<ReplyError>();
    let told = match meant_for_client {
        Some(told) => told.clone(),
        None if requests.answers_failures => ReplyError::of(error),
        None => return false,
    };
    // A client that has gone, or reads nothing, is told nothing.
    let _ = connection.reply_error(request, &told);
    meant_for_client.is_some()
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = self.table.chains.keys();
        f.debug_struct("Router")
            .field("events", &events.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

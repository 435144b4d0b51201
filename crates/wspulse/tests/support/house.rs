//! Servers that let everybody in.

use wspulse::{Admission, ConnectRequest, Rejection, Server, ServerBuilder};

use super::logs;

/// Lets everybody in: into the room of the query's `room`, else `lobby`, with the `id`, if any.
pub(crate) fn admit(request: &ConnectRequest) -> Admission {
    let admission = Admission::room(&*request.query("room").unwrap_or("lobby".into()));
    match request.query("id") {
        Some(id) => admission.id(&*id),
        None => admission,
    }
}

/// A builder whose connect function is [`admit`].
pub(crate) fn open_house() -> ServerBuilder {
    logs::listen();
    Server::builder_sync(|request| Ok::<_, Rejection>(admit(&request)))
}

/// A builder for a server that sends every frame back.
pub(crate) fn echo() -> ServerBuilder {
    open_house().on_message(|connection, frame| connection.send(frame).expect("room for an echo"))
}

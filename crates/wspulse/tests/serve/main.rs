//! `wspulse::serve`: HTTP and TLS, in which what strangers do has limits.

mod accept_queue;
mod deadlines;
mod first_bytes;
mod http;
mod hung_up;
mod limits;
mod nodelay_of_websockets;
mod options;
mod own_task;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod tls_handshakes_that_fail;

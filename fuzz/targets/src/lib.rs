//! What is fuzzed, without a fuzzer: each target takes bytes and panics if a promise is broken.
//!
//! `fuzz/` feeds the targets with libFuzzer; this crate's test feeds them with the corpora. What
//! judges is not written anew: the models and second decoders are those of `wspulse-core`'s tests.

mod cbor_codec;
mod cluster_messages;
mod cluster_peers;
mod cluster_sessions;
mod compressed;
mod control;
mod deflate_offers;
mod dice;
mod exchange;
mod handshake;
mod http2;
mod inbound;
mod inflate;
mod inflating;
mod json_codec;
mod msgpack_codec;
mod neighbour;
mod other_codecs;
mod outbound_queue;
mod protobuf_codec;
mod reference_inflater;
mod reference_offers;
mod router;
mod server;
mod session;

#[path = "../../../crates/wspulse-core/tests/cluster_lives/hostile_peers.rs"]
mod hostile_peers;
#[path = "../../../crates/wspulse-core/tests/codecs/json_reference.rs"]
mod json_reference;
#[path = "../../../crates/wspulse-core/tests/websocket/readings.rs"]
mod readings;

// The session's model, whose parts expect to be at the root of their crate.
#[path = "../../../crates/wspulse-core/tests/session_model/actions.rs"]
mod actions;
#[path = "../../../crates/wspulse-core/tests/session_model/arrival.rs"]
mod arrival;
#[path = "../../../crates/wspulse-core/tests/session_model/asking.rs"]
mod asking;
#[path = "../../../crates/wspulse-core/tests/session_model/awaited.rs"]
mod awaited;
#[path = "../../../crates/wspulse-core/tests/session_model/client.rs"]
mod client;
#[path = "../../../crates/wspulse-core/tests/session_model/coverage.rs"]
#[allow(dead_code, reason = "only the model's own test asks which scenes are missing")]
mod coverage;
#[path = "../../../crates/wspulse-core/tests/session_model/driver.rs"]
mod driver;
#[path = "../../../crates/wspulse-core/tests/session_model/env.rs"]
mod env;
#[path = "../../../crates/wspulse-core/tests/session_model/expectations.rs"]
mod expectations;
#[path = "../../../crates/wspulse-core/tests/session_model/expiry.rs"]
mod expiry;
#[path = "../../../crates/wspulse-core/tests/session_model/inbound.rs"]
mod inbound_of_model;
#[path = "../../../crates/wspulse-core/tests/session_model/journal.rs"]
mod journal;
#[path = "../../../crates/wspulse-core/tests/session_model/kept.rs"]
mod kept;
#[path = "../../../crates/wspulse-core/tests/session_model/leaving.rs"]
mod leaving;
#[path = "../../../crates/wspulse-core/tests/session_model/ledger.rs"]
mod ledger;
#[path = "../../../crates/wspulse-core/tests/session_model/link.rs"]
mod link;
#[path = "../../../crates/wspulse-core/tests/session_model/marks.rs"]
mod marks;
#[path = "../../../crates/wspulse-core/tests/session_model/operation.rs"]
mod operation;
#[path = "../../../crates/wspulse-core/tests/session_model/outbound.rs"]
mod outbound;
#[path = "../../../crates/wspulse-core/tests/session_model/promise.rs"]
mod promise;
#[path = "../../../crates/wspulse-core/tests/session_model/socket.rs"]
mod socket;
#[path = "../../../crates/wspulse-core/tests/session_model/world.rs"]
mod world;

pub use cbor_codec::cbor_codec;
pub use cluster_messages::cluster_messages;
pub use cluster_peers::cluster_peers;
pub use cluster_sessions::cluster_sessions;
pub use compressed::compressed;
pub use control::control;
pub use deflate_offers::deflate_offers;
pub use exchange::exchange;
pub use handshake::handshake;
pub use http2::http2;
pub use inbound::inbound;
pub use inflate::inflate;
pub use json_codec::json_codec;
pub use msgpack_codec::msgpack_codec;
pub use outbound_queue::outbound_queue;
pub use protobuf_codec::protobuf_codec;
pub use router::router;
pub use server::server;
pub use session::session;

/// A target: it returns, whatever the bytes are, unless the library has a fault.
pub type Target = fn(&[u8]);

/// All targets by name, which is that of their corpus and of their fuzzer.
pub const TARGETS: [(&str, Target); 19] = [
    ("cbor_codec", cbor_codec),
    ("cluster_messages", cluster_messages),
    ("cluster_peers", cluster_peers),
    ("cluster_sessions", cluster_sessions),
    ("compressed", compressed),
    ("control", control),
    ("deflate_offers", deflate_offers),
    ("exchange", exchange),
    ("handshake", handshake),
    ("http2", http2),
    ("inbound", inbound),
    ("inflate", inflate),
    ("json_codec", json_codec),
    ("msgpack_codec", msgpack_codec),
    ("outbound_queue", outbound_queue),
    ("protobuf_codec", protobuf_codec),
    ("router", router),
    ("server", server),
    ("session", session),
];

//! What servers of a cluster ask each other of sessions and connections, as bytes.

use std::fmt::Debug;

use bytes::Bytes;
use wspulse_core::EncodedFrame;
use wspulse_core::cluster::{
    ENTRIES_MAX, MovedGroup, MovedSession, NodeReply, NodeRequest, SessionReply, SessionRequest,
};

/// Reads the bytes as each kind of request and reply, and as a session on its way. What is read holds no
/// more than there was, and comes out the same when it is written and read once more.
///
/// # Panics
///
/// If the library has a fault.
pub fn cluster_sessions(bytes: &[u8]) {
    let message = || Bytes::copy_from_slice(bytes);
    if let Ok(request) = SessionRequest::decode(message()) {
        assert!(SessionRequest::is_meant(&message()), "it is told from others by its kind");
        if let SessionRequest::Inherit { part, .. } = &request {
            assert!(part.len() <= bytes.len(), "more of a session than there was");
        }
        assert_same(&request, &SessionRequest::decode(request.encode()));
    }
    if let Ok(reply) = SessionReply::decode(message()) {
        if let SessionReply::Given { part, .. } = &reply {
            assert!(part.len() <= bytes.len(), "more of a session than there was");
        }
        assert_same(&reply, &SessionReply::decode(reply.encode()));
    }
    if let Ok(request) = NodeRequest::decode(message()) {
        assert!(!SessionRequest::is_meant(&message()), "it is told from those for sessions");
        assert_same(&request, &NodeRequest::decode(request.encode()));
    }
    if let Ok(reply) = NodeReply::decode(message()) {
        if let NodeReply::Connections { listed, .. } = &reply {
            assert!(listed.len() <= ENTRIES_MAX, "{} connections", listed.len());
        }
        assert_same(&reply, &NodeReply::decode(reply.encode()));
    }
    if let Ok(session) = MovedSession::decode(message()) {
        assert_bounded(&session, bytes.len());
        let written = session.encode();
        let again = MovedSession::decode(written.clone()).expect("what was written is read");
        assert_eq!(again.encode(), written, "what was read is written the same");
    }
}

fn assert_bounded(session: &MovedSession, bytes: usize) {
    let MovedSession { groups, everybody, exchange, queue, proof, .. } = session;
    let positions =
        |heard: &wspulse_core::cluster::HeardOf| heard.positions.len() + heard.ended.len();
    let of_groups: usize = groups.iter().map(|MovedGroup { heard, .. }| positions(heard)).sum();
    let all = [
        groups.len(),
        of_groups,
        positions(everybody),
        exchange.taken_before.len(),
        queue.frames.len(),
        proof.inherited.len(),
    ];
    assert!(all.iter().sum::<usize>() <= bytes, "{all:?} out of {bytes} bytes");
    assert!(queue.replayed <= queue.frames.len(), "more was written than there is");
    let payloads: usize = queue.frames.iter().map(EncodedFrame::payload_bytes).sum();
    assert!(payloads <= bytes, "{payloads} bytes of payloads out of {bytes}");
}

fn assert_same<T: PartialEq + Debug, E: PartialEq + Debug>(read: &T, again: &Result<T, E>) {
    assert_eq!(again.as_ref(), Ok(read), "what was written is read");
}

//! What servers of a cluster tell each other, as bytes.

use std::fmt::Debug;

use bytes::Bytes;
use wspulse_core::cluster::{Answer, Ask, Batch, Beat, FRAMES_MAX, PeopleChanges, Said};

/// Reads the bytes as each kind of message. What is read holds no more than there was, and comes out
/// the same when it is written and read once more.
///
/// # Panics
///
/// If the library has a fault.
pub fn cluster_messages(bytes: &[u8]) {
    let message = || Bytes::copy_from_slice(bytes);
    if let Ok(batch) = Batch::decode(message()) {
        assert_bounded(&batch.said, bytes.len());
        assert_same(&batch, &Batch::decode(batch.encode()));
    }
    if let Ok(changes) = PeopleChanges::decode(message()) {
        assert!(changes.0.len() <= bytes.len(), "more people than bytes");
        assert_same(&changes, &PeopleChanges::decode(changes.encode()));
    }
    if let Ok(beat) = Beat::decode(message()) {
        assert!(beat.moved.len() <= bytes.len(), "more streams than bytes");
        assert_same(&beat, &Beat::decode(beat.encode()));
    }
    if let Ok(ask) = Ask::decode(message()) {
        assert_same(&ask, &Ask::decode(ask.encode()));
    }
    if let Ok(answer) = Answer::decode(message()) {
        match &answer {
            Answer::Frames { said, first, newest, .. } => {
                assert_bounded(said, bytes.len());
                assert!(first - 1 + said.len() as u64 <= *newest, "the newest is the last");
            }
            Answer::Moved { moved, .. } => {
                assert!(moved.len() <= bytes.len(), "more streams than bytes");
            }
            Answer::NoStream => {}
        }
        assert_same(&answer, &Answer::decode(answer.encode()));
    }
}

fn assert_bounded(said: &[Said], bytes: usize) {
    assert!(said.len() <= FRAMES_MAX, "{} frames", said.len());
    let payloads: usize = said.iter().map(|said| said.frame.payload_bytes()).sum();
    assert!(payloads <= bytes, "{payloads} bytes of payloads out of {bytes}");
}

fn assert_same<T: PartialEq + Debug, E: PartialEq + Debug>(read: &T, again: &Result<T, E>) {
    assert_eq!(again.as_ref(), Ok(read), "what was written is read");
}

//! Until when connections may go on: none ends before its time, and none stays for long after it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use wspulse::{Connection, ConnectionState, DisconnectReason};

/// How much later than its time a connection may end.
const LATE_MAX: Duration = Duration::from_secs(1);

/// By the ids of those who are there.
#[derive(Debug, Default)]
pub(crate) struct Deadlines(Mutex<BTreeMap<String, Instant>>);

impl Deadlines {
    pub(crate) fn set(&self, id: &str, at: Instant) {
        self.0.lock().unwrap().insert(id.to_owned(), at);
    }

    /// Renews it, and looks whether the server agrees.
    pub(crate) fn renew(&self, connection: &Connection, time: Duration) {
        if connection.renew_in(time).is_ok() {
            self.set(connection.id(), Instant::now() + time);
            assert_eq!(connection.expires_in(), Some(time));
        } else {
            assert_eq!(connection.state(), ConnectionState::Closed, "it could go on");
        }
    }

    pub(crate) fn leave(&self, id: &str, reason: DisconnectReason) {
        let deadline = self.0.lock().unwrap().remove(id);
        if reason == DisconnectReason::Expired {
            let early = deadline.expect("it has a time").saturating_duration_since(Instant::now());
            assert!(early.is_zero(), "{id} has expired {early:?} too early");
        }
    }

    pub(crate) fn check(&self) {
        for (id, deadline) in &*self.0.lock().unwrap() {
            let late = deadline.elapsed();
            assert!(late <= LATE_MAX, "{id} is there {late:?} after its time");
        }
    }
}

//! How much a log keeps, and where.

use std::time::Duration;

/// What the logs of rooms keep, and where: the stream of `JetStream` that has them is made, or changed,
/// to be like this. Say the same on all servers of a cluster.
///
/// ```
/// use std::time::Duration;
/// use wspulse_nats::LogOptions;
///
/// let options = LogOptions::new().replicas(3).frames_per_room(10_000).age(Duration::from_hours(24));
/// # drop(options);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct LogOptions {
    pub(crate) replicas: u8,
    pub(crate) storage: LogStorage,
    pub(crate) frames_per_room: u32,
    pub(crate) age: Duration,
    pub(crate) bytes_max: Option<u64>,
}

/// Where a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LogStorage {
    /// On disk: it outlives the NATS servers.
    #[default]
    File,
    /// In memory: it is gone when the last NATS server that has it ends.
    Memory,
}

/// No shorter time is kept: the first frame that is behind a room's end begins its log anew.
const AGE_MIN: Duration = Duration::from_secs(10);

impl LogOptions {
    /// On one NATS server, on disk, 1,000 frames of each room, for an hour.
    pub const fn new() -> Self {
        Self {
            replicas: 1,
            storage: LogStorage::File,
            frames_per_room: 1_000,
            age: Duration::from_hours(1),
            bytes_max: None,
        }
    }

    /// How many NATS servers have it: 1 to 5. With three, one of them may die, and nothing that was
    /// acknowledged is lost. Default: 1.
    pub const fn replicas(mut self, servers: u8) -> Self {
        self.replicas = servers;
        self
    }

    /// Where it is kept. Default: on disk.
    pub const fn storage(mut self, storage: LogStorage) -> Self {
        self.storage = storage;
        self
    }

    /// How many frames of each room are kept; 1 or more. Default: 1,000.
    pub const fn frames_per_room(mut self, frames: u32) -> Self {
        self.frames_per_room = frames;
        self
    }

    /// For how long a frame is kept; 10 s or more. Default: an hour.
    pub const fn age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    /// How many bytes all rooms' logs may take together; the oldest go for new ones. Default: as many as
    /// the NATS server allows.
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.bytes_max = Some(bytes);
        self
    }

    /// What is wrong with them.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if !(1..=5).contains(&self.replicas) {
            Err("replicas must be 1 to 5")
        } else if self.frames_per_room == 0 {
            Err("frames_per_room must be at least 1")
        } else if self.age < AGE_MIN {
            Err("age must be at least 10 s")
        } else if self.bytes_max == Some(0) {
            Err("max_bytes must be at least 1")
        } else {
            Ok(())
        }
    }
}

impl Default for LogOptions {
    fn default() -> Self {
        Self::new()
    }
}

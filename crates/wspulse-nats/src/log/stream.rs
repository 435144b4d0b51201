//! What is asked of `JetStream`, as its protocol says it. The client's own module for it brings five
//! crates, and waits for as long as there is no connection, where a caller has a deadline.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use wspulse::cluster::NodeId;

use super::NatsLog;
use super::entry::{Stored, read_stored};
use super::options::LogStorage;
use crate::asked::Answer;
use crate::client::{Headers, Message, Received};

/// How many bytes are read at a time.
const READ_BYTES_MAX: usize = 1024 * 1024;

/// For how long ids are known.
const KNOWN_NS: u64 = 120 * 1_000_000_000;

/// What the stream says where another entry has come first.
const OVERTAKEN: [u32; 2] = [10_071, 10_164];

/// Where there is no room.
const FULL: [u32; 4] = [10_023, 10_047, 10_054, 10_077];

/// Where there is a stream of this name that is other than it is to be.
const IS_THERE: u32 = 10_058;

/// Why the stream has not done something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// Another node was faster: nothing was done.
    Overtaken,
    /// There is no room: nothing was done.
    Full,
    /// There is no connection, or nobody who keeps it: nothing was done.
    Unavailable,
    /// It has not answered.
    Unanswered,
}

/// What has become of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    New {
        sequence: u64,
    },
    /// It was there.
    Known {
        sequence: u64,
    },
}

/// Asks, of an engine that is connected.
pub(super) struct Ask<'a> {
    pub(super) log: &'a NatsLog,
    pub(super) node: NodeId,
}

#[derive(Serialize)]
struct Config<'a> {
    name: &'a str,
    subjects: [&'a str; 1],
    retention: &'static str,
    storage: &'static str,
    discard: &'static str,
    num_replicas: u8,
    max_msgs_per_subject: u32,
    max_age: u64,
    max_bytes: i64,
    duplicate_window: u64,
    allow_direct: bool,
    republish: Republish<'a>,
}

#[derive(Serialize)]
struct Republish<'a> {
    src: &'a str,
    dest: &'a str,
}

#[derive(Serialize, Default)]
struct Get<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_by_subj: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_by_subj: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<usize>,
}

#[derive(Deserialize)]
struct Acknowledged {
    error: Option<Refused>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
}

#[derive(Deserialize)]
struct Refused {
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

impl Ask<'_> {
    /// Makes the stream, unless it was made.
    pub(super) async fn stream(&self, until: Instant) -> Result<(), Failed> {
        if *self.log.is_made.lock() {
            return Ok(());
        }
        let made = match self.ask_for_stream("CREATE", until).await? {
            Err(refused) if refused.err_code == IS_THERE => {
                self.ask_for_stream("UPDATE", until).await?
            }
            made => made,
        };
        match made {
            Ok(()) => {
                *self.log.is_made.lock() = true;
                Ok(())
            }
            Err(Refused { err_code, description }) => {
                tracing::warn!(err_code, description, "the stream of the logs cannot be made");
                Err(Failed::Unavailable)
            }
        }
    }

    async fn ask_for_stream(
        &self,
        verb: &str,
        until: Instant,
    ) -> Result<Result<(), Refused>, Failed> {
        let (subjects, options) = (&self.log.subjects, &self.log.options);
        let name = subjects.stream();
        let (all, dest) = (subjects.logs(), subjects.groups());
        let config = Config {
            name: &name,
            subjects: [&all],
            retention: "limits",
            storage: match options.storage {
                LogStorage::File => "file",
                LogStorage::Memory => "memory",
            },
            discard: "old",
            num_replicas: options.replicas,
            max_msgs_per_subject: options.frames_per_room,
            max_age: u64::try_from(options.age.as_nanos()).unwrap_or(u64::MAX),
            max_bytes: options.bytes_max.map_or(-1, |it| i64::try_from(it).unwrap_or(i64::MAX)),
            duplicate_window: KNOWN_NS.min(options.age.as_nanos().try_into().unwrap_or(KNOWN_NS)),
            allow_direct: true,
            republish: Republish { src: &all, dest: &dest },
        };
        let subject = format!("$JS.API.STREAM.{verb}.{name}");
        let payload = serde_json::to_vec(&config).unwrap_or_default();
        let reply = self.one(subject, Headers::default(), payload.into(), until).await?;
        let answer: Acknowledged =
            serde_json::from_slice(&reply.into_payload()).map_err(|_| Failed::Unavailable)?;
        Ok(answer.error.map_or(Ok(()), Err))
    }

    pub(super) async fn put(
        &self,
        subject: String,
        headers: Headers,
        payload: Bytes,
        until: Instant,
    ) -> Result<Put, Failed> {
        let reply = self.one(subject, headers, payload, until).await?;
        let Ok(answer) = serde_json::from_slice::<Acknowledged>(&reply.into_payload()) else {
            return Err(Failed::Unanswered);
        };
        match answer {
            Acknowledged { error: Some(refused), .. } => {
                let Refused { err_code, description } = refused;
                if OVERTAKEN.contains(&err_code) {
                    return Err(Failed::Overtaken);
                }
                tracing::debug!(err_code, description, "the log has refused an entry");
                if FULL.contains(&err_code) {
                    return Err(Failed::Full);
                }
                // It may be another stream by now, or none.
                *self.log.is_made.lock() = false;
                Err(Failed::Unavailable)
            }
            Acknowledged { seq: sequence, duplicate: true, .. } => Ok(Put::Known { sequence }),
            Acknowledged { seq: sequence, .. } => Ok(Put::New { sequence }),
        }
    }

    /// The last entry of a subject.
    pub(super) async fn last(
        &self,
        subject: &str,
        until: Instant,
    ) -> Result<Option<Stored>, Failed> {
        let last_by_subj = Some(subject);
        self.get(Get { last_by_subj, ..Get::default() }, until).await
    }

    /// The first entry of a subject from this number of the stream on.
    pub(super) async fn next(
        &self,
        subject: &str,
        sequence: u64,
        until: Instant,
    ) -> Result<Option<Stored>, Failed> {
        let (seq, next_by_subj) = (Some(sequence), Some(subject));
        self.get(Get { seq, next_by_subj, ..Get::default() }, until).await
    }

    /// The entry with this number of the stream.
    pub(super) async fn at(&self, sequence: u64, until: Instant) -> Result<Option<Stored>, Failed> {
        let seq = Some(sequence);
        self.get(Get { seq, ..Get::default() }, until).await
    }

    /// So many entries of a subject, or fewer, from this number of the stream on.
    pub(super) async fn many(
        &self,
        subject: &str,
        sequence: u64,
        max: usize,
        until: Instant,
    ) -> Result<Vec<Stored>, Failed> {
        let get = Get {
            seq: Some(sequence),
            next_by_subj: Some(subject),
            batch: Some(max),
            max_bytes: Some(READ_BYTES_MAX),
            ..Get::default()
        };
        let mut question = self.log.asked.begin_many();
        let payload = serde_json::to_vec(&get).unwrap_or_default();
        self.say(self.gets(), Headers::default(), payload.into(), question.number())?;
        let mut all = Vec::new();
        loop {
            let answer = timeout_at(until, question.answered());
            let Answer::Reply(reply) = answer.await.map_err(|_| Failed::Unanswered)? else {
                return Err(Failed::Unavailable);
            };
            // The last one says only that it is.
            if reply.status().is_some() {
                return Ok(all);
            }
            all.extend(read_stored(reply));
        }
    }

    async fn get(&self, get: Get<'_>, until: Instant) -> Result<Option<Stored>, Failed> {
        let payload = serde_json::to_vec(&get).unwrap_or_default();
        let reply = self.one(self.gets(), Headers::default(), payload.into(), until).await?;
        match reply.status() {
            None => Ok(read_stored(reply)),
            Some(404) => Ok(None),
            Some(_) => Err(Failed::Unavailable),
        }
    }

    fn gets(&self) -> String {
        format!("$JS.API.DIRECT.GET.{}", self.log.subjects.stream())
    }

    fn say(
        &self,
        subject: String,
        headers: Headers,
        payload: Bytes,
        number: u64,
    ) -> Result<(), Failed> {
        let reply = Some(self.log.subjects.reply(self.node, number));
        let message = Message { subject, reply, headers, payload };
        self.log.outgoing.push(message).map_err(|_| Failed::Unavailable)
    }

    /// What has one answer.
    async fn one(
        &self,
        subject: String,
        headers: Headers,
        payload: Bytes,
        until: Instant,
    ) -> Result<Received, Failed> {
        let mut question = self.log.asked.begin();
        self.say(subject, headers, payload, question.number())?;
        match timeout_at(until, question.answered()).await {
            Ok(Answer::Reply(reply)) => Ok(reply),
            // Nobody keeps the stream, or there is none.
            Ok(Answer::Nobody) => {
                *self.log.is_made.lock() = false;
                Err(Failed::Unavailable)
            }
            Err(_) => Err(Failed::Unanswered),
        }
    }
}

//! Who is in a room: asked for, changed, and told.

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::runtime::Handle;
use wspulse_core::{Escaped, Frame, PayloadError};

use std::sync::Arc;

use crate::app::connection::Connection;
use crate::app::room::Room;
use crate::app::server::{FanOut, Server};
use crate::ground::panics;
use crate::ground::reentrancy::InCallback;
use crate::membership::presence::person::{Meta, Person, PresenceSnapshot};
use crate::membership::presence::{Folded, Lacking, NotSet, Telling};
use crate::membership::{Group, Kind};
use crate::settings::codecs::CodecSet;
use crate::settings::error::PresenceError;
use crate::settings::representations::{NotExpressed, Representations};
use crate::settings::room_options::PresenceTold;

/// Enough for a name, a picture's address and what somebody does; each member of a room is told it.
const META_BYTES_MAX: usize = 1024;

/// No codec is to stumble over what a room is told.
const META_LEVELS_MAX: usize = 16;

/// What members are told. `seq` is one sequence for both.
#[derive(Serialize)]
#[serde(untagged)]
enum Told<'a> {
    Snapshot { room: &'a str, seq: u64, people: &'a [Person] },
    Changes { room: &'a str, seq: u64, changes: &'a [Person] },
}

impl Room {
    /// Who is in the room, as it was told last: up to 50 ms ago. [Changes](crate::PresenceChanges) with a
    /// higher sequence come on top of it.
    ///
    /// # Errors
    ///
    /// [`PresenceError::NoPresence`] if the room has none.
    pub fn presence(&self) -> Result<PresenceSnapshot, PresenceError> {
        let snapshot = match self.group() {
            Some(group) => group.presence(),
            // Nobody is in a room that is not there.
            None => self.server().would_have_presence(self.id()).then(PresenceSnapshot::default),
        };
        snapshot.ok_or_else(|| PresenceError::NoPresence { room: self.id().to_owned() })
    }
}

impl Connection {
    /// Attaches metadata to the person that it is, in one room: what it is called, what it does. All
    /// connections of a user there are one person, whose metadata are those that were set last. They
    /// are told with the next changes, and gone with the person. What is `null` as JSON is none.
    ///
    /// # Errors
    ///
    /// [`PresenceError`] if it is not in the room, if the room has no presence, or if the metadata
    /// are more than 1,024 bytes of JSON, or nested deeper than 16 levels, or cannot be written.
    pub fn set_presence<T: Serialize + ?Sized>(
        &self,
        room: &str,
        meta: &T,
    ) -> Result<(), PresenceError> {
        let meta = meta_of(meta)?;
        self.change_presence(room, |group| group.set_presence(self.shared(), meta))
    }

    /// Has it told once more who is in a room, within 50 ms: for a client that has missed changes, as
    /// it sees by their sequence. The room's members must be [told](crate::RoomOptions::tell_presence)
    /// at all.
    ///
    /// # Errors
    ///
    /// [`PresenceError`] if it is not in the room, or if the room has no presence.
    pub fn resend_presence(&self, room: &str) -> Result<(), PresenceError> {
        self.change_presence(room, |group| group.resend_presence(self.shared()))
    }

    fn change_presence(
        &self,
        room: &str,
        change: impl FnOnce(&Arc<Group>) -> Result<(), NotSet>,
    ) -> Result<(), PresenceError> {
        let server = self.server();
        let not_member =
            || PresenceError::NotMember { room: room.to_owned(), id: self.id().to_owned() };
        let group = server.group(Kind::Room, room).ok_or_else(not_member)?;
        change(&group).map_err(|not_set| match not_set {
            NotSet::NoMember => not_member(),
            NotSet::NoPresence => PresenceError::NoPresence { room: room.to_owned() },
        })?;
        server.fold_presence();
        Ok(())
    }
}

impl Server {
    /// Has what is new about who is where told soon, if anything is.
    pub(crate) fn fold_presence(&self) {
        if self.folding().begin() {
            let folder = Folder { server: self.clone(), runtimes: None, is_over: false };
            // Elsewhere it is dropped, and goes to a runtime that has connections: nobody may drive
            // the current one for long.
            if self.runtimes().has_current() {
                self.spawn_stealable(folder.run());
            }
        }
    }

    fn fold(&self, group: &Arc<Group>) {
        let Some(folded) = group.fold_presence() else { return };
        match folded.told_to {
            PresenceTold::Members => self.tell_members(group, &folded),
            PresenceTold::Application => {}
        }
        if let (Some(callback), Some(changes)) = (&self.callbacks().presence, folded.changes) {
            let room = Room::of(self.clone(), Arc::clone(group));
            let _inside = InCallback::enter_server(self.address());
            if let Err(panic) = panics::catch(|| callback(room, changes)) {
                let room = Escaped::new(group.name());
                let (room, backtrace) = (room.as_str(), panic.backtrace());
                tracing::error!(room, ?backtrace, %panic, "on_presence panicked");
            }
        }
    }

    fn tell_members(&self, group: &Arc<Group>, folded: &Folded) {
        if group.len() == 0 || (folded.changes.is_none() && folded.snapshot.is_none()) {
            return;
        }
        if let Err(error) = self.try_tell_members(group, folded)
            && let Some(not_logged) = self.presence_failures().lock().due()
        {
            let (room, error) = (Escaped::new(group.name()), Escaped::display(&error).to_string());
            tracing::error!(
                room = room.as_str(),
                error,
                not_logged,
                "members are not told who is there: a codec cannot express it"
            );
        }
    }

    fn try_tell_members(&self, group: &Arc<Group>, folded: &Folded) -> Result<(), TellError> {
        let room = &**group.name();
        let snapshot = folded.snapshot.as_ref().map(|it| {
            self.presence_frame(&Told::Snapshot { room, seq: it.sequence, people: &it.people })
        });
        let changes = folded.changes.as_ref().map(|it| {
            self.presence_frame(&Told::Changes { room, seq: it.sequence, changes: &it.people })
        });
        let (snapshot, changes) = (snapshot.transpose()?, changes.transpose()?);
        // Nobody is there any more once the server is closed.
        let Ok((_, queueing)) = self.queueing(Frame::default(), None) else { return Ok(()) };
        let frames = |frame| Representations::new(self.codecs(), frame, None);
        let mut telling = Telling {
            folded,
            changes: changes.as_ref().map(frames),
            snapshot: snapshot.as_ref().map(frames),
        };
        // Once for each codec at the most: none is missing twice.
        let pushed = loop {
            match group.tell_presence(&telling, queueing) {
                Ok(pushed) => break pushed,
                Err(Lacking { changes, snapshot }) => {
                    if let Some(frames) = &mut telling.changes {
                        make(frames, changes)?;
                    }
                    if let Some(frames) = &mut telling.snapshot {
                        make(frames, snapshot)?;
                    }
                }
            }
        };
        let frames = [&telling.changes, &telling.snapshot];
        let payload_bytes = frames.into_iter().flatten().map(Representations::payload_bytes).sum();
        self.account(group.as_ref().into(), payload_bytes, pushed, &mut FanOut::default());
        Ok(())
    }

    fn presence_frame(&self, told: &Told<'_>) -> Result<Frame, PayloadError> {
        Frame::new(self.options().rooms.presence_event.clone()).json(told)
    }

    fn would_have_presence(&self, room: &str) -> bool {
        self.outfit().options(room).presence.is_some()
    }
}

/// Why members are not told.
#[derive(Debug, thiserror::Error)]
enum TellError {
    #[error(transparent)]
    Payload(#[from] PayloadError),
    #[error("{0}")]
    Codec(String),
}

fn make(frames: &mut Representations<'_>, missing: CodecSet) -> Result<(), TellError> {
    let made = panics::catch(|| frames.make(missing));
    made.map_err(|panic| TellError::Codec(panic.to_string()))?.map_err(
        |NotExpressed { codec, source }| {
            let codec = codec.unwrap_or_default();
            TellError::Codec(format!("{codec} {}", source.get_ref()))
        },
    )
}

/// The task that tells what is new about who is where: there is one for each server, while there is
/// something to tell. If its runtime ends, it goes on with another that has connections.
struct Folder {
    server: Server,
    /// Where else it may run; unknown while its first runtime lives.
    runtimes: Option<Vec<Handle>>,
    is_over: bool,
}

impl Folder {
    async fn run(mut self) {
        let server = self.server.clone();
        loop {
            server.folding().gather().await;
            let Some(rooms) = server.folding().take() else { break };
            for room in &rooms {
                server.fold(room);
            }
        }
        self.is_over = true;
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let server = self.server.clone();
        let mut runtimes =
            self.runtimes.take().unwrap_or_else(|| server.runtimes().known_or_current());
        let Some(runtime) = runtimes.pop() else {
            server.folding().abandon();
            return;
        };
        let folder = Self { server: server.clone(), runtimes: Some(runtimes), is_over: false };
        server.spawn_on(&runtime, folder.run());
    }
}

fn meta_of<T: Serialize + ?Sized>(meta: &T) -> Result<Option<Meta>, PresenceError> {
    let encoded = Frame::new("presence").json(meta);
    let text = encoded.map_err(|source| PresenceError::Encode { source })?.into_payload();
    if text.len() > META_BYTES_MAX {
        return Err(PresenceError::TooLarge { bytes: text.len(), bytes_max: META_BYTES_MAX });
    }
    let levels = levels(&text);
    if levels > META_LEVELS_MAX {
        return Err(PresenceError::TooDeep { levels, levels_max: META_LEVELS_MAX });
    }
    let raw: Box<RawValue> = serde_json::from_slice(&text).expect("it was just written as JSON");
    Ok((raw.get() != "null").then(|| Meta::new(raw)))
}

/// How deep arrays and objects are nested in JSON text.
fn levels(json: &[u8]) -> usize {
    let (mut level, mut deepest, mut is_text, mut is_escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => {
                level += 1;
                deepest = deepest.max(level);
            }
            b']' | b'}' if !is_text => level -= 1,
            _ => {}
        }
    }
    deepest
}

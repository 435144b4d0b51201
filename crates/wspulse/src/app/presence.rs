//! Who is in a room: asked for, changed, and told.

use std::error::Error;
use std::slice;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::runtime::Handle;
use wspulse_core::codec::EncodeError;
use wspulse_core::{Escaped, Frame, PayloadError};

use crate::app::connection::Connection;
use crate::app::room::Room;
use crate::app::server::{FanOut, Server};
use crate::ground::panics;
use crate::ground::reentrancy::InCallback;
use crate::membership::presence::person::{Meta, Person, PresenceSnapshot, PresenceState};
use crate::membership::presence::{Folded, Lacking, NotSet, Telling, person_of};
use crate::membership::{Group, Kind, Reach};
use crate::observe::metrics::{self, CallbackKind};
use crate::settings::codecs::{CodecId, CodecSet};
use crate::settings::error::PresenceError;
use crate::settings::representations::{NotExpressed, Representations};

/// Enough for a name, a picture's address and what somebody does; each member of a room is told it.
pub(super) const META_BYTES_MAX: usize = 1024;

/// No codec is to stumble over what a room is told.
const META_LEVELS_MAX: usize = 16;

/// What members are told. `seq` is one sequence for both.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Told<'a> {
    Snapshot { room: &'a str, seq: u64, people: &'a [Person] },
    Changes { room: &'a str, seq: u64, changes: &'a [Person] },
}

impl<'a> Told<'a> {
    const fn room(self) -> &'a str {
        match self {
            Self::Snapshot { room, .. } | Self::Changes { room, .. } => room,
        }
    }

    const fn people(self) -> &'a [Person] {
        match self {
            Self::Snapshot { people, .. } | Self::Changes { changes: people, .. } => people,
        }
    }

    /// The same of these people instead.
    const fn of(self, people: &'a [Person]) -> Self {
        match self {
            Self::Snapshot { room, seq, .. } => Self::Snapshot { room, seq, people },
            Self::Changes { room, seq, .. } => Self::Changes { room, seq, changes: people },
        }
    }
}

impl Room {
    /// Who is in the room, as it was told last: up to 50 ms ago. [Changes](crate::PresenceChanges) with a
    /// higher sequence come on top of it.
    ///
    /// In a [cluster](crate::cluster) these are the people on all servers, as far as this one has heard
    /// of them: it hears of a room in which it has members. [`local`](Self::local) has those of this
    /// server alone.
    ///
    /// # Errors
    ///
    /// [`PresenceError::NoPresence`] if the room has none.
    pub fn presence(&self) -> Result<PresenceSnapshot, PresenceError> {
        let snapshot = match self.group() {
            Some(group) => match self.reach() {
                Reach::Cluster => group.presence(),
                Reach::Here => group.local_presence(),
            },
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
    /// are more than 1,024 bytes of JSON, or nested deeper than 16 levels, or cannot be expressed by
    /// each of the server's codecs.
    pub fn set_presence<T: Serialize + ?Sized>(
        &self,
        room: &str,
        meta: &T,
    ) -> Result<(), PresenceError> {
        let meta = meta_of(meta)?;
        if let Some(meta) = &meta {
            self.server().check_meta(room, self, meta.clone())?;
        }
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
    #[inline]
    pub(crate) fn fold_presence(&self) {
        if self.folding().begin() {
            self.begin_folding();
        }
    }

    #[cold] // apart, since each connection looks whether there is anything
    fn begin_folding(&self) {
        let folder = Folder { server: self.clone(), runtimes: None, is_over: false };
        // Elsewhere it is dropped, and goes to a runtime that has connections: nobody may drive
        // the current one for long.
        if self.runtimes().has_current() {
            self.spawn_stealable(folder.run());
        }
    }

    fn fold(&self, group: &Arc<Group>) {
        let Some(folded) = group.fold_presence() else { return };
        let members =
            if folded.told_to.tells_members() { self.tell_members(group, &folded) } else { 0 };
        let changes = folded.changes.as_ref().map_or(0, |changes| changes.people.len());
        if changes > 0 || members > 0 {
            let (room, newcomers) = (&**group.name(), folded.newcomers());
            let told = metrics::PresenceTold { room, changes, newcomers, members };
            self.metrics().record(|hooks| hooks.presence_told(&told));
        }
        if let (Some(callback), Some(changes)) = (&self.callbacks().presence, folded.changes) {
            let room = Room::of(self.clone(), Arc::clone(group));
            let _inside = InCallback::enter_server(self.address());
            if let Err(panic) = panics::catch(|| callback(room, changes)) {
                let room = Escaped::new(group.name());
                tracing::error!(
                    room = room.as_str(),
                    %panic,
                    location = panic.location(),
                    backtrace = panics::logged_backtrace(&panic),
                    "on_presence panicked"
                );
                let (room, callback) = (&**group.name(), CallbackKind::Presence);
                let panicked = metrics::CallbackPanicked { room, id: "", callback };
                self.metrics().record(|hooks| hooks.callback_panicked(&panicked));
            }
        }
    }

    /// Tells how many were told.
    fn tell_members(&self, group: &Arc<Group>, folded: &Folded) -> usize {
        if group.len() == 0 || (folded.changes.is_none() && folded.snapshot.is_none()) {
            return 0;
        }
        match self.try_tell_members(group, folded) {
            Ok(told) => told,
            Err(error) => {
                self.report_not_told(group.name(), &error.into());
                0
            }
        }
    }

    fn report_not_told(&self, room: &str, error: &TellError) {
        if let Some(not_logged) = self.presence_failures().lock().due() {
            let (room, error) = (Escaped::new(room), Escaped::display(error).to_string());
            tracing::error!(
                room = room.as_str(),
                error,
                not_logged,
                "a codec cannot express who is there: members who have it are told the rest"
            );
        }
    }

    fn try_tell_members(&self, group: &Arc<Group>, folded: &Folded) -> Result<usize, PayloadError> {
        let room = &**group.name();
        let snapshot = folded.snapshot.as_ref();
        let snapshot =
            snapshot.map(|it| Told::Snapshot { room, seq: it.sequence, people: &it.people });
        let changes = folded.changes.as_ref();
        let changes =
            changes.map(|it| Told::Changes { room, seq: it.sequence, changes: &it.people });
        let snapshot_frame = snapshot.map(|told| self.presence_frame(told)).transpose()?;
        let changes_frame = changes.map(|told| self.presence_frame(told)).transpose()?;
        // Nobody is there any more once the server is closed.
        let Ok((_, queueing)) = self.queueing(Frame::default(), None) else { return Ok(0) };
        let marks = folded.told_to.marks();
        let frames = |frame| Representations::new(self.codecs(), frame, marks.as_ref());
        let mut telling = Telling {
            folded,
            changes: changes_frame.as_ref().map(frames),
            snapshot: snapshot_frame.as_ref().map(frames),
        };
        // Once for each codec at the most: none is missing twice.
        let pushed = loop {
            match group.tell_presence(&telling, queueing) {
                Ok(pushed) => break pushed,
                Err(lacking) => {
                    let Lacking { changes: of_changes, snapshot: of_snapshot } = lacking;
                    self.make_told(telling.changes.as_mut().zip(changes), of_changes);
                    self.make_told(telling.snapshot.as_mut().zip(snapshot), of_snapshot);
                }
            }
        };
        let frames = [&telling.changes, &telling.snapshot];
        let payload_bytes = frames.into_iter().flatten().map(Representations::payload_bytes).sum();
        let mut fan_out = FanOut::default();
        self.account(group.as_ref().into(), payload_bytes, pushed, &mut fan_out);
        Ok(fan_out.reached)
    }

    /// Makes what is told for those who have these codecs. What one of them cannot express is left
    /// out for those who have that, and for nobody else.
    fn make_told(&self, telling: Option<(&mut Representations<'_>, Told<'_>)>, missing: CodecSet) {
        let Some((frames, told)) = telling else { return };
        for id in missing.iter() {
            let Err(error) = guarded(|| frames.make(CodecSet::NONE.with(id))) else { continue };
            self.report_not_told(told.room(), &error);
            let frame = self.presence_frame(told.of(&self.expressible(id, told)));
            if !frame.is_ok_and(|frame| guarded(|| frames.make_of(id, &frame)).is_ok()) {
                frames.give_up(id);
            }
        }
    }

    /// What a codec can express of these people, each by itself: one without its metadata, or none of
    /// it.
    fn expressible(&self, id: CodecId, told: Told<'_>) -> Vec<Person> {
        let can_be_told = |person: &Person| {
            let frame = self.presence_frame(told.of(slice::from_ref(person)));
            frame.is_ok_and(|frame| {
                let mut frames = Representations::new(self.codecs(), &frame, None);
                guarded(|| frames.make(CodecSet::NONE.with(id))).is_ok()
            })
        };
        let people = told.people().iter().filter_map(|person| {
            [person.clone(), person.without_meta()].into_iter().find(can_be_told)
        });
        people.collect()
    }

    /// Whether members of the room can be told these metadata, whatever codecs they have: or one
    /// person's would keep others from hearing of it.
    fn check_meta(&self, room: &str, of: &Connection, meta: Meta) -> Result<(), PresenceError> {
        let person = Person::new(person_of(of.shared()), PresenceState::Here, Some(meta));
        let told = Told::Changes { room, seq: 0, changes: slice::from_ref(&person) };
        let frame = self.presence_frame(told).map_err(not_written)?;
        let mut frames = Representations::new(self.codecs(), &frame, None);
        frames
            .make(self.codecs().all())
            .map_err(|NotExpressed { codec, source }| PresenceError::Encode { codec, source })
    }

    fn presence_frame(&self, told: Told<'_>) -> Result<Frame, PayloadError> {
        Frame::new(self.options().rooms.presence_event.clone()).json(&told)
    }

    fn would_have_presence(&self, room: &str) -> bool {
        self.outfit().options(room).presence.is_some()
    }
}

/// Why members are not told all.
#[derive(Debug, thiserror::Error)]
enum TellError {
    #[error(transparent)]
    Payload(#[from] PayloadError),
    #[error("{0}")]
    Codec(String),
}

fn guarded(make: impl FnOnce() -> Result<(), NotExpressed>) -> Result<(), TellError> {
    let returned = panics::catch(make);
    returned.map_err(|panic| TellError::Codec(panic.to_string()))?.map_err(
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
    read_meta(&Frame::new("presence").json(meta).map_err(not_written)?.into_payload())
}

/// Metadata by their text, within their bounds.
pub(super) fn read_meta(text: &[u8]) -> Result<Option<Meta>, PresenceError> {
    if text.len() > META_BYTES_MAX {
        return Err(PresenceError::TooLarge { bytes: text.len(), bytes_max: META_BYTES_MAX });
    }
    let levels = levels(text);
    if levels > META_LEVELS_MAX {
        return Err(PresenceError::TooDeep { levels, levels_max: META_LEVELS_MAX });
    }
    // Raw JSON may hold half a surrogate pair, over which parsers of other members stumble.
    serde_json::from_slice::<serde_json::Value>(text).map_err(not_written)?;
    let raw: Box<RawValue> = serde_json::from_slice(text).map_err(not_written)?;
    Ok((raw.get() != "null").then(|| Meta::new(raw)))
}

fn not_written(source: impl Error + Send + Sync + 'static) -> PresenceError {
    PresenceError::Encode { codec: None, source: EncodeError::new(source) }
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
            b']' | b'}' if !is_text => level = level.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

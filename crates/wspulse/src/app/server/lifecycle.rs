//! How connections begin and end, and the tasks that a closing server waits for.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::Instrument;
use wspulse_core::cluster::Position;
use wspulse_core::session::{MovedExchange, Predecessor};
use wspulse_core::{Disconnect, OVERTAKEN};

use super::Server;
use super::offered::Found;
use crate::app::handoff::Brought;
use crate::ground::address::AddressGroup;
use crate::ground::begun::Begun;
use crate::membership::mailbox::{End, Mailbox};
use crate::membership::registry::{Arrival, EndRule, Entrance, Refused, Registered, Speaks};
use crate::membership::shared::ConnectionShared;
use crate::membership::shared::ConnectionState;
use crate::membership::turns::Turns;
use crate::membership::{Group, HomeSlot, Kind, NotJoined};
use crate::settings::codecs::CodecId;
use crate::settings::connect::Admission;
use crate::settings::connect::Exchange;
use crate::settings::connect::{Asked, Data};
use crate::settings::token::Token;
use crate::task::driver::Driver;
use crate::task::driver::watch::Blocking;
use crate::wire::transport::Upgrade;

/// What a connection is made of, beside what its client was admitted with.
#[derive(Clone, Copy)]
pub(crate) struct Made {
    pub(crate) peer_addr: Option<SocketAddr>,
    pub(crate) begun: Begun,
    pub(crate) codec: CodecId,
}

/// What a new connection is to be a member of.
struct ToJoin<'a> {
    home: Option<Entrance<'a>>,
    user: Option<Entrance<'a>>,
    also_in: Vec<Arc<str>>,
}

impl Server {
    /// The number of sessions that wait for their clients. It looks at every connection: for a
    /// gauge now and then, not for a hot path.
    pub fn suspended_count(&self) -> usize {
        let connections = self.inner.registry.all();
        connections.iter().filter(|conn| conn.mailbox.state() == ConnectionState::Suspended).count()
    }

    /// A handshake begins: its place among all others of this server.
    pub(crate) fn begin_handshake(&self) -> Begun {
        Begun::now(self.inner.made_at)
    }

    /// How long ago a handshake began; nothing if that is not known.
    pub(crate) fn since(&self, begun: Begun) -> Option<Duration> {
        begun.elapsed(self.inner.made_at)
    }

    pub(crate) fn has_session(&self, id: &str) -> bool {
        self.inner.registry.find(id).is_some()
    }

    /// Whether a client with this address will be refused whoever it is.
    pub(crate) fn check_places(&self, peer_addr: Option<SocketAddr>) -> Result<(), Refused> {
        let limits = &self.options().admission;
        if limits.connections_per_addr_max.is_some() && peer_addr.is_none() {
            self.tell_of_unknown_addr();
            return Err(Refused::UnknownAddress);
        }
        if limits.limit_connections() {
            self.inner.registry.check_places(peer_addr.map(AddressGroup::of))?;
        }
        Ok(())
    }

    pub(crate) fn blocking(&self) -> &Blocking {
        &self.inner.blocking
    }

    /// A line in a while, since it is so for every client.
    fn tell_of_unknown_addr(&self) {
        if let Some(not_logged) = self.inner.unknown_addresses.lock().due() {
            tracing::error!(
                not_logged,
                "clients are refused: max_connections_per_addr is set, and their address is \
                 unknown; use wspulse::serve, axum's into_make_service_with_connect_info with the \
                 feature axum, or ServerBuilder::peer_addr"
            );
        }
    }

    fn check_rooms(&self, room: Option<&str>, also_in: &[Arc<str>]) -> Result<(), Refused> {
        let named = also_in.len() + usize::from(room.is_some());
        if named <= self.options().rooms_max {
            return Ok(());
        }
        // One that is named twice is joined once.
        let rooms: HashSet<&str> = also_in.iter().map(|room| &**room).chain(room).collect();
        let rooms = rooms.len();
        if rooms <= self.options().rooms_max {
            return Ok(());
        }
        if let Some(not_logged) = self.inner.too_many_rooms.lock().due() {
            let rooms_max = self.options().rooms_max;
            tracing::error!(
                rooms,
                rooms_max,
                not_logged,
                "clients are refused: they are admitted to more rooms than \
                 max_rooms_per_connection allows"
            );
        }
        Err(Refused::TooManyRooms)
    }

    /// A line in a while, since clients can cause it at will where they name their room themselves.
    fn warn_of_other_room(&self, connection: &ConnectionShared, wanted_room: &str) {
        if let Some(not_logged) = self.inner.other_rooms.lock().due() {
            let ConnectionShared { id, .. } = connection;
            let room = connection.room();
            tracing::warn!(
                ?id,
                ?room,
                ?wanted_room,
                not_logged,
                "a client came back with another room; its session stays in the one it has"
            );
        }
    }

    /// Registers a client whose transport is on its way: from now on it is found.
    pub(crate) fn register(
        &self,
        admission: Admission,
        exchange: Option<Exchange>,
        mut upgrade: Upgrade,
        asked_about: Option<&Arc<ConnectionShared>>,
        brought: Option<Box<Brought>>,
    ) -> Result<(), Refused> {
        // Once it is registered, a shutdown must wait for the task that is yet to be spawned.
        let _pending = self.inner.tasks.token();
        // The registry looks again; one that is only told to come back never gets there.
        self.check_phase()?;
        let options = self.options();
        let Admission { room, also_in, user, id, data, protocol: _, expires_at } = admission;
        upgrade.expires_at = to_come(expires_at)?;
        self.check_rooms(room.as_deref(), &also_in)?;
        if self.callbacks().transport_restore.is_some() {
            upgrade.asked =
                Some(Asked { room: room.clone().unwrap_or_default(), data: data.clone() });
        }
        let codec = exchange.as_ref().map_or(CodecId::DEFAULT, |exchange| exchange.codec);
        if let Some(brought) = brought {
            return self.register_moved(*brought, (data, expires_at), codec, upgrade);
        }
        let registry = &self.inner.registry;
        // Before the registry's lock, under which nobody waits for a fan-out.
        let home = room.map(|room| registry.groups().enter(Kind::Room, &room, &self.inner.meter));
        let user = user.map(|user| registry.groups().enter(Kind::User, &user, &self.inner.meter));
        let home_group = home.as_ref().map(Entrance::group);
        let user_group = user.as_ref().map(Entrance::group);
        let speaks = match exchange {
            None => Speaks::Plain,
            Some(Exchange { resume, codec }) => {
                let offered = resume.and_then(|offer| self.find_offered(&offer, id.as_deref()));
                if let Some((session, _, Token::Worthless)) = &offered {
                    self.turn_away_outdated(session, upgrade);
                    drop((home, user));
                    self.deliver_lifecycle();
                    return Ok(());
                }
                // What a session holds is encoded, and would be read by another codec.
                let found = offered
                    .filter(|(session, ..)| session.mailbox.codec() == codec)
                    .and_then(|(session, received, token)| Found::new(session, received, token))
                    .or_else(|| self.find_unclaimed(id.as_deref()?, codec));
                upgrade.comes_back = found.as_ref().map(|found| found.comes_back);
                Speaks::Exchange { resumes: found.map(|found| found.session) }
            }
        };
        // A session that is found by its token comes back under its id, whoever has given it that.
        let is_named = id.is_some() || matches!(speaks, Speaks::Exchange { .. });
        let id = id.unwrap_or_else(|| speaks.session_id());
        let made = Made { peer_addr: upgrade.peer_addr, begun: upgrade.begun, codec };
        let registered = registry.register(
            Arrival {
                id: &id,
                is_named,
                home: home_group,
                user: user_group.map(|user| &**user.name()),
                speaks,
                upgrade,
                asked_about,
            },
            options.returns,
            self.end_deadline(),
            &self.inner.meter,
            |task_key| self.make(&id, (home_group, user_group), (data, expires_at), made, task_key),
        );
        let to_join = ToJoin { home, user, also_in };
        let settled = registered.map(|registered| self.settle_registered(registered, to_join));
        self.deliver_lifecycle();
        settled
    }

    /// A connection of these groups, with what its client was admitted with.
    pub(crate) fn make(
        &self,
        id: &Arc<str>,
        (home, user): (Option<&Arc<Group>>, Option<&Arc<Group>>),
        (data, expires_at): (Data, Option<Instant>),
        Made { peer_addr, begun, codec }: Made,
        task_key: u32,
    ) -> ConnectionShared {
        ConnectionShared {
            server: self.clone(),
            id: Arc::clone(id),
            home: home.cloned(),
            user: user.cloned(),
            data,
            connected_at: SystemTime::now(),
            opened_at: Instant::now(),
            mailbox: Mailbox::new(self.options().outbound_queue(), peer_addr, begun, codec)
                .expiring_at(expires_at),
            ended: Notify::new(),
            task_key,
            home_slot: HomeSlot::none(),
        }
    }

    /// Has a transport go where it was registered.
    fn settle_registered(&self, registered: Registered, to_join: ToJoin<'_>) {
        match registered {
            Registered::New { connection, predecessor, mut upgrade, made_way } => {
                let waves = [to_join.home, to_join.user].map(|entrance| {
                    // Who has ended meanwhile is a member of nothing, and its task says so.
                    entrance.and_then(|entrance| entrance.join(&connection).ok().flatten())
                });
                for room in &to_join.also_in {
                    let _ = self.join(&connection, Kind::Room, room);
                }
                if let Some(made_way) = made_way {
                    self.inner.registry.groups().leave_all(&made_way, &self.inner.meter);
                }
                // The hooks hear of it before its callbacks run.
                self.deliver_lifecycle();
                // Its session may have ended while this was looked at.
                upgrade.comes_back = None;
                self.start(connection, upgrade, predecessor, None);
                for waves in waves.into_iter().flatten() {
                    self.spawn_stealable(waves.run());
                }
            }
            Registered::Attached { connection, displaced } => {
                let wanted_room = to_join.home.as_ref().map_or("", |home| home.group().name());
                if connection.room() != wanted_room {
                    self.warn_of_other_room(&connection, wanted_room);
                }
                if let Some(displaced) = displaced {
                    self.turn_away(&connection, displaced);
                }
            }
            Registered::Overtaken { connection, upgrade } => {
                self.say_no(&connection, upgrade, OVERTAKEN);
            }
        }
    }

    /// Starts a connection's task.
    pub(crate) fn start(
        &self,
        connection: Arc<ConnectionShared>,
        mut upgrade: Upgrade,
        predecessor: Predecessor,
        moved: Option<MovedExchange>,
    ) {
        self.inner.runtimes.note_current();
        let span = self.connection_span(&connection, upgrade.request.take().as_deref());
        let driver = Driver::new(connection, upgrade, predecessor, moved);
        // The task of a connection is no larger for a span that nobody wants.
        if span.is_disabled() {
            self.spawn(driver);
        } else {
            self.spawn(driver.instrument(span));
        }
    }

    /// Makes a connection a member of a group.
    pub(crate) fn join(
        &self,
        connection: &Arc<ConnectionShared>,
        kind: Kind,
        name: &str,
    ) -> Result<(), NotJoined> {
        // A closing server waits until the hooks have heard of it.
        let _pending = self.inner.tasks.token();
        let joined =
            self.inner.registry.groups().enter(kind, name, &self.inner.meter).join(connection);
        self.deliver_lifecycle();
        // Elsewhere they are dropped, and broadcasts wake the members: nobody may drive the current
        // runtime for long.
        if let Some(waves) = joined?.filter(|_| self.inner.runtimes.has_current()) {
            self.spawn_stealable(waves.run());
        }
        Ok(())
    }

    /// As [`join`](Self::join), of a member from another server; tells how far this one has spoken to the
    /// group by then.
    pub(crate) fn join_moved(
        &self,
        connection: &Arc<ConnectionShared>,
        kind: Kind,
        name: &str,
    ) -> Option<Position> {
        let _pending = self.inner.tasks.token();
        let entrance = self.inner.registry.groups().enter(kind, name, &self.inner.meter);
        let joined = match self.speaker() {
            Some(speaker) => speaker.arrive(|| entrance.join_noting(connection)),
            None => entrance.join_noting(connection),
        };
        self.deliver_lifecycle();
        let (waves, position) = joined.ok()?;
        if let Some(waves) = waves.filter(|_| self.inner.runtimes.has_current()) {
            self.spawn_stealable(waves.run());
        }
        position
    }

    /// Takes a connection out of a group; tells whether it was a member.
    pub(crate) fn leave(&self, connection: &ConnectionShared, kind: Kind, name: &str) -> bool {
        let _pending = self.inner.tasks.token();
        let groups = self.inner.registry.groups();
        let group = groups.find(kind, name);
        let was_member = group.is_some_and(|it| groups.leave(&it, connection, &self.inner.meter));
        self.deliver_lifecycle();
        was_member
    }

    /// Takes a connection that has ended out of its groups, as far as nobody else has.
    pub(crate) fn leave_all(&self, connection: &ConnectionShared) {
        let _pending = self.inner.tasks.token();
        self.inner.registry.leave_all(connection, &self.inner.meter);
        self.deliver_lifecycle();
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.inner.turns
    }

    /// Ends a connection and tells whether this call was the one that did.
    pub(crate) fn end(&self, connection: &Arc<ConnectionShared>, disconnect: Disconnect) -> bool {
        self.end_if(connection, disconnect, EndRule::Always)
    }

    pub(crate) fn end_if(
        &self,
        connection: &Arc<ConnectionShared>,
        disconnect: Disconnect,
        rule: EndRule,
    ) -> bool {
        // A closing server waits until the rooms are left, too.
        let _pending = self.inner.tasks.token();
        let end = End { disconnect, deadline: self.end_deadline() };
        let ended = self.inner.registry.end(connection, end, rule, &self.inner.meter).is_ok();
        self.deliver_lifecycle();
        ended
    }

    /// Calls the hooks of what the registry has noted; [`close`](Self::close) waits for them,
    /// whichever thread is at it.
    pub(crate) fn deliver_lifecycle(&self) {
        let _pending = self.inner.tasks.token();
        self.inner.meter.deliver();
        self.fold_presence();
    }

    /// Until when a connection that ends now may flush and be answered.
    pub(crate) fn end_deadline(&self) -> Instant {
        Instant::now() + self.inner.options.write_wait
    }
}

/// The end of an admission, if it is yet to come.
fn to_come(expires_at: Option<Instant>) -> Result<Option<Instant>, Refused> {
    match expires_at {
        Some(at) if at <= Instant::now() => Err(Refused::Expired),
        Some(_) | None => Ok(expires_at),
    }
}

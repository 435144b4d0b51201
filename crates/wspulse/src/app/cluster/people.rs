//! Who is in a room, on all servers.

mod hearing;
pub(super) mod learning;

use std::collections::BTreeMap;

use bytestring::ByteString;
use wspulse_core::cluster::{
    ListedPerson, ListedState, MetaMark, NodeId, NodeReply, NodeRequest, PersonName,
};

use super::Cluster;
use super::many::Answers;
use crate::app::presence::read_meta;
use crate::app::server::Server;
use crate::cluster::speaker::{NameSpace, target_of};
use crate::membership::Kind;
use crate::membership::presence::across::OwnPeople;
use crate::membership::presence::elsewhere::{At, MarkedMeta, Record};
use crate::membership::presence::known::{ID_BYTES_MAX, id_of};
use crate::membership::presence::person::{Person, PersonId, PresenceState};
use crate::settings::error::PresenceError;

/// The people in a room on all servers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClusterPeople {
    /// Who is here or away, in the order of their ids: all of this server, and of each other one up to
    /// 1,024.
    pub people: Vec<ClusterPerson>,
    /// The servers that have more than they have told.
    pub truncated: Vec<NodeId>,
}

/// A person in a room, as it is on all servers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterPerson {
    /// Who it is, and how: here, if it is on one of the servers. Its metadata are those of the first
    /// server that has some, of which this one comes first; servers agree on them within a moment.
    pub person: Person,
    /// The servers that it is on.
    pub nodes: Vec<NodeId>,
}

/// How often metadata of one person may have been set.
const MARK_MAX: u64 = 1 << 61;

type People = BTreeMap<PersonId, ClusterPerson>;

impl Cluster {
    /// Who is in a room on all servers, as it was told there last: up to 50 ms before it was asked. A
    /// user who is on several is one person.
    ///
    /// It asks for what others know now. Where this server has members,
    /// [`Room::presence`](crate::Room::presence) is what they were told of all servers, and asks nobody.
    ///
    /// # Errors
    ///
    /// [`PresenceError::NoPresence`] if the room has none on this server; of another one on which it
    /// has none, nobody is in it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing but the answer.
    pub async fn presence(&self, room: &str) -> Result<Answers<ClusterPeople>, PresenceError> {
        let (mut here, id) = (People::new(), self.id());
        for person in self.server.room(room).local().presence()?.people {
            add(&mut here, id, person);
        }
        let asking =
            self.ask_all(&NodeRequest::People { room: room.into(), after: None }, self.within);
        let add_all = |(all, truncated): &mut (People, Vec<_>), node, reply| {
            let is_truncated = NodeReply::is_truncated(&reply);
            let NodeReply::People { listed, .. } = reply else { return false };
            if is_truncated {
                truncated.push(node);
            }
            for (id, record) in listed.into_iter().filter_map(read) {
                if let Some(Record { is_here, has_moved: false, meta }) = record {
                    let state = if is_here { PresenceState::Here } else { PresenceState::Away };
                    add(all, node, Person::new(id, state, meta.meta));
                }
            }
            true
        };
        let answers = self.gather(asking, (here, Vec::new()), add_all).await;
        let Answers { value: (people, truncated), from, silent, gone } = answers;
        let value = ClusterPeople { people: people.into_values().collect(), truncated };
        Ok(Answers { value, from, silent, gone })
    }
}

fn add(all: &mut People, node: NodeId, person: Person) {
    let known = all
        .entry(person.id.clone())
        .or_insert_with(|| ClusterPerson { person: person.clone(), nodes: Vec::new() });
    // A server may name somebody twice, if it is no good one.
    if known.nodes.last() != Some(&node) {
        known.nodes.push(node);
    }
    if person.state == PresenceState::Here {
        known.person.state = PresenceState::Here;
    }
    if known.person.meta().is_none() {
        let state = known.person.state;
        known.person = person;
        known.person.state = state;
    }
}

/// A person as another server tells of it: without a record, it is gone. `None` for one whose id is too
/// long; what is no metadata is none.
fn read(listed: ListedPerson) -> Option<(PersonId, Option<Record>)> {
    let ListedPerson { name, state, meta_mark: mark, meta } = listed;
    if name.id.len() > ID_BYTES_MAX {
        return None;
    }
    let id = id_of(&name);
    let (is_here, has_moved) = match state {
        ListedState::Here => (true, false),
        ListedState::Away => (false, false),
        ListedState::Moved { was_here } => (was_here, true),
        ListedState::Gone => return Some((id, None)),
    };
    let meta = read_marked(mark, meta.as_ref());
    Some((id, Some(Record { is_here, has_moved, meta })))
}

fn read_marked(mark: MetaMark, meta: Option<&ByteString>) -> MarkedMeta {
    let read = meta.map(|meta| read_meta(meta.as_bytes()));
    match read {
        // Nothing could be set after it.
        _ if mark.number > MARK_MAX => MarkedMeta::NONE,
        Some(Err(_)) => MarkedMeta::NONE,
        Some(Ok(meta)) => MarkedMeta { mark, meta },
        None => MarkedMeta { mark, meta: None },
    }
}

impl Server {
    pub(super) fn answer_people(
        &self,
        room: &str,
        after: Option<PersonName>,
        bytes_max: usize,
    ) -> NodeReply {
        let after = after.map(|name| id_of(&name));
        // At first: whoever comes and goes later is told of in changes after it.
        let target = target_of(NameSpace::Presence, room);
        let before = self.speaker().map(|speaker| speaker.spoken_up_to(target));
        let group = self.group(Kind::Room, room);
        let own = group.and_then(|group| group.own_people(after.as_ref(), bytes_max));
        let OwnPeople { at, is_last, listed } = own.unwrap_or_else(|| OwnPeople {
            at: before.map_or_else(At::default, At::of),
            is_last: true,
            listed: Vec::new(),
        });
        NodeReply::People { stream: at.stream, number: at.number, is_last, listed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::presence::META_BYTES_MAX;

    fn listed(number: u64, meta: &str) -> ListedPerson {
        let name = PersonName { is_user: true, id: "ann".into() };
        let meta_mark = MetaMark { number, node: NodeId::new([1; NodeId::BYTES]) };
        ListedPerson { name, state: ListedState::Here, meta_mark, meta: Some(meta.into()) }
    }

    fn meta_of(listed: ListedPerson) -> Option<String> {
        let (_, record) = read(listed)?;
        Some(record?.meta.meta?.as_str().to_owned())
    }

    #[test]
    fn metadata_of_another_server_that_are_no_json_or_too_long_are_none() {
        assert_eq!(meta_of(listed(1, "{\"a\":1}")).as_deref(), Some("{\"a\":1}"));
        assert_eq!(meta_of(listed(1, "{\"a\":")), None);
        assert_eq!(meta_of(listed(1, &format!("\"{}\"", "x".repeat(META_BYTES_MAX)))), None);
        assert_eq!(meta_of(listed(1, &format!("{}1{}", "[".repeat(17), "]".repeat(17)))), None);
    }

    #[test]
    fn metadata_after_which_nothing_could_be_set_are_none() {
        assert!(meta_of(listed(MARK_MAX, "1")).is_some());
        assert_eq!(meta_of(listed(MARK_MAX + 1, "1")), None);
    }

    #[test]
    fn a_person_whose_id_is_too_long_is_passed_over() {
        let mut person = listed(1, "1");
        person.name.id = "x".repeat(ID_BYTES_MAX + 1).into();
        assert_eq!(read(person), None);
    }
}

//! Who is in a room, on all servers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;
use wspulse_core::cluster::{ListedPerson, NodeId, NodeReply, NodeRequest};

use super::Cluster;
use super::many::Answers;
use super::serving::fitting;
use crate::app::presence::META_BYTES_MAX;
use crate::app::server::Server;
use crate::membership::presence::person::{Meta, Person, PersonId, PresenceState};
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
    /// Who it is, and how: here, if it is on one of the servers. Each server has metadata of its own
    /// for it; they are those of the first server that has some, of which this one comes first.
    pub person: Person,
    /// The servers that it is on.
    pub nodes: Vec<NodeId>,
}

type People = BTreeMap<PersonId, ClusterPerson>;

impl Cluster {
    /// Who is in a room on all servers, as it was told there last: up to 50 ms before it was asked. A
    /// user who is on several is one person.
    ///
    /// Only this asks: members are still told of the people on their own server alone.
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
        for person in self.server.room(room).presence()?.people {
            add(&mut here, id, person);
        }
        let asking = self.ask_all(&NodeRequest::People { room: room.into() }, self.within);
        let add_all = |(all, truncated): &mut (People, Vec<_>), node, reply| {
            let is_truncated = NodeReply::is_truncated(&reply);
            let NodeReply::People { listed, .. } = reply else { return false };
            if is_truncated {
                truncated.push(node);
            }
            for person in listed {
                add(all, node, read(person));
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

/// What is no metadata is none.
fn read(listed: ListedPerson) -> Person {
    let ListedPerson { id, is_user, is_away, meta } = listed;
    let id: Arc<str> = (&*id).into();
    let id = if is_user { PersonId::User(id) } else { PersonId::Connection(id) };
    let state = if is_away { PresenceState::Away } else { PresenceState::Here };
    let meta = meta.filter(|meta| meta.len() <= META_BYTES_MAX);
    let meta = meta.and_then(|meta| RawValue::from_string(meta.to_string()).ok());
    Person::new(id, state, meta.map(Meta::new))
}

impl Server {
    pub(super) fn answer_people(&self, room: &str, bytes_max: usize) -> NodeReply {
        let people = self.room(room).presence().map_or_else(|_| Vec::new(), |it| it.people);
        let told = people.iter().map(|person| ListedPerson {
            id: person.id.as_str().into(),
            is_user: match person.id {
                PersonId::User(_) => true,
                PersonId::Connection(_) => false,
            },
            is_away: person.state != PresenceState::Here,
            meta: person.meta().map(Into::into),
        });
        let (count, listed) = fitting(told, people.len(), ListedPerson::bytes, bytes_max);
        NodeReply::People { count, listed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta_of(meta: &str) -> Option<String> {
        let (id, meta) = ("ann".into(), Some(meta.into()));
        let person = read(ListedPerson { id, is_user: true, is_away: false, meta });
        person.meta().map(str::to_owned)
    }

    #[test]
    fn metadata_of_another_server_that_are_no_json_or_too_long_are_none() {
        assert_eq!(meta_of("{\"a\":1}").as_deref(), Some("{\"a\":1}"));
        assert_eq!(meta_of("{\"a\":"), None);
        assert_eq!(meta_of(&format!("\"{}\"", "x".repeat(META_BYTES_MAX))), None);
    }
}

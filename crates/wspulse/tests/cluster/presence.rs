//! Members on every server are told who is there on all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use wspulse::testing::cluster::MemoryNetwork;
use wspulse::{PersonId, PresenceState, RoomOptions, Server, ServerBuilder};

use PresenceState::{Gone, Here};

use super::support::clients::Client;
use super::{cluster_of, come, rooms};

/// Longer than changes are gathered, here and there.
pub(crate) const TOLD: Duration = Duration::from_millis(150);

pub(crate) const WINDOW: Duration = Duration::from_secs(10);

pub(crate) fn telling() -> ServerBuilder {
    rooms().resume_window(WINDOW).room_options(|_| RoomOptions::new().tell_presence())
}

pub(crate) async fn telling_cluster(network: &MemoryNetwork, nodes: usize) -> Vec<Server> {
    cluster_of(network, nodes, telling).await
}

/// A client that keeps who is there, as docs/presence.md says.
pub(crate) struct Member {
    client: Client,
    sequence: Option<u64>,
    /// State and metadata, by the id.
    pub(crate) people: BTreeMap<String, (String, Value)>,
}

/// What a member was told to have changed: the id and the state, in order.
type Changes = Vec<(String, String)>;

impl Member {
    pub(crate) async fn come(server: &Server, query: &str) -> Self {
        let client = come(server, query).await;
        Self { client, sequence: None, people: BTreeMap::new() }
    }

    /// What it is told from now on, for so long; snapshots only on top of what it knows.
    pub(crate) async fn hears(&mut self, for_long: Duration) -> Changes {
        sleep(for_long).await;
        let mut heard = Changes::new();
        while let Ok(frame) = timeout(Duration::from_millis(1), self.client.frame()).await {
            let told: Value = frame.unwrap().to_json().unwrap();
            let sequence = told["seq"].as_u64().unwrap();
            if let Some(people) = told["people"].as_array() {
                self.people = people.iter().map(person).collect();
            } else {
                assert_eq!(self.sequence.map(|it| it + 1), Some(sequence), "none is missing");
                for change in told["changes"].as_array().unwrap() {
                    let (id, (state, meta)) = person(change);
                    heard.push((id.clone(), state.clone()));
                    if state == "gone" {
                        assert!(self.people.remove(&id).is_some(), "{id} was never there");
                    } else {
                        self.people.insert(id, (state, meta));
                    }
                }
            }
            self.sequence = Some(sequence);
        }
        heard
    }

    pub(crate) fn knows(&self) -> Vec<(&str, &str)> {
        self.people.iter().map(|(id, (state, _))| (&**id, &**state)).collect()
    }
}

fn person(told: &Value) -> (String, (String, Value)) {
    let id = told.get("user").or_else(|| told.get("connection")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(id), (text(&told["state"]), told["meta"].clone()))
}

pub(crate) fn is(id: &str, state: &str) -> (String, String) {
    (id.to_owned(), state.to_owned())
}

/// Who is in the room, as this server has told it.
pub(crate) fn present(server: &Server) -> Vec<(String, PresenceState)> {
    names(&server.room("lobby").presence().unwrap().people)
}

fn names(people: &[wspulse::Person]) -> Vec<(String, PresenceState)> {
    people.iter().map(|it| (it.id.as_str().to_owned(), it.state)).collect()
}

#[tokio::test(start_paused = true)]
async fn who_comes_and_goes_on_one_server_is_told_on_all() {
    let servers = telling_cluster(&MemoryNetwork::new(), 3).await;
    let mut ann = Member::come(&servers[0], "room=lobby&id=ann").await;
    assert_eq!(ann.hears(TOLD).await, []);
    let mut bob = Member::come(&servers[1], "room=lobby&id=bob").await;
    assert_eq!(ann.hears(TOLD).await, [is("bob", "here")]);
    bob.hears(TOLD).await;
    assert_eq!(bob.knows(), [("ann", "here"), ("bob", "here")]);
    let mut cid = Member::come(&servers[2], "room=lobby&id=cid").await;
    cid.hears(TOLD).await;
    assert_eq!(cid.knows(), [("ann", "here"), ("bob", "here"), ("cid", "here")]);
    servers[1].kick("bob").unwrap();
    assert_eq!(ann.hears(TOLD).await, [is("cid", "here"), is("bob", "gone")]);
    assert_eq!(cid.hears(TOLD).await, [is("bob", "gone")]);
}

#[tokio::test(start_paused = true)]
async fn a_first_list_has_those_of_all_servers() {
    let servers = telling_cluster(&MemoryNetwork::new(), 2).await;
    let _ann = come(&servers[0], "room=lobby&id=ann").await;
    sleep(TOLD).await;
    let mut bob = Member::come(&servers[1], "room=lobby&id=bob").await;
    assert_eq!(bob.hears(TOLD).await, [], "and nobody is told as having come since");
    assert_eq!(bob.knows(), [("ann", "here"), ("bob", "here")]);
}

#[tokio::test(start_paused = true)]
async fn who_is_suspended_elsewhere_is_away_and_who_comes_back_is_here() {
    let servers = telling_cluster(&MemoryNetwork::new(), 2).await;
    let mut ann = Member::come(&servers[0], "room=lobby&id=ann").await;
    let bob = come(&servers[1], "room=lobby&id=bob").await;
    assert_eq!(ann.hears(TOLD).await, [is("bob", "here")]);
    drop(bob);
    assert_eq!(ann.hears(TOLD).await, [is("bob", "away")]);
    let bob = come(&servers[1], "room=lobby&id=bob").await;
    assert_eq!(ann.hears(TOLD).await, [is("bob", "here")]);
    drop(bob);
    let all = [is("bob", "away"), is("bob", "gone")];
    assert_eq!(ann.hears(WINDOW + TOLD).await, all);
}

#[tokio::test(start_paused = true)]
async fn metadata_are_told_on_all_servers() {
    let servers = telling_cluster(&MemoryNetwork::new(), 2).await;
    let mut ann = Member::come(&servers[0], "room=lobby&id=ann").await;
    let _bob = come(&servers[1], "room=lobby&id=bob").await;
    ann.hears(TOLD).await;
    let bob = servers[1].connection("bob").unwrap();
    bob.set_presence("lobby", &json!({"name": "Bob"})).unwrap();
    assert_eq!(ann.hears(TOLD).await, [is("bob", "here")]);
    assert_eq!(ann.people["bob"].1, json!({"name": "Bob"}));
    bob.set_presence("lobby", &()).unwrap();
    ann.hears(TOLD).await;
    assert_eq!(ann.people["bob"].1, Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_user_on_two_servers_comes_once_and_is_gone_with_the_last_connection() {
    let servers = telling_cluster(&MemoryNetwork::new(), 3).await;
    let mut bob = Member::come(&servers[2], "room=lobby&id=bob").await;
    bob.hears(TOLD).await;
    let _desk = come(&servers[0], "room=lobby&id=desk&user=ann").await;
    assert_eq!(bob.hears(TOLD).await, [is("ann", "here")]);
    let phone = come(&servers[1], "room=lobby&id=phone&user=ann").await;
    assert_eq!(bob.hears(TOLD).await, []);
    servers[0].kick("desk").unwrap();
    assert_eq!(bob.hears(TOLD).await, []);
    drop(phone);
    assert_eq!(bob.hears(TOLD).await, [is("ann", "away")]);
    servers[1].kick("phone").unwrap();
    assert_eq!(bob.hears(TOLD).await, [is("ann", "gone")]);
}

#[tokio::test(start_paused = true)]
async fn metadata_of_a_user_on_two_servers_are_those_that_were_set_last() {
    let servers = telling_cluster(&MemoryNetwork::new(), 3).await;
    let mut bob = Member::come(&servers[2], "room=lobby&id=bob").await;
    let mut desk = Member::come(&servers[0], "room=lobby&id=desk&user=ann").await;
    let mut phone = Member::come(&servers[1], "room=lobby&id=phone&user=ann").await;
    for (place, id, meta) in [(0, "desk", 1), (1, "phone", 2), (0, "desk", 3)] {
        let connection = servers[place].connection(id).unwrap();
        connection.set_presence("lobby", &meta).unwrap();
        for member in [&mut bob, &mut desk, &mut phone] {
            member.hears(2 * TOLD).await;
            assert_eq!(member.people["ann"].1, meta, "set by {id}");
        }
    }
    // They stay the person's when the connection is gone that has set them.
    servers[0].kick("desk").unwrap();
    for member in [&mut bob, &mut phone] {
        assert_eq!(member.hears(2 * TOLD).await, []);
        assert_eq!(member.people["ann"].1, 3);
    }
    // Whoever comes anew has none.
    servers[1].kick("phone").unwrap();
    bob.hears(TOLD).await;
    let _desk = come(&servers[0], "room=lobby&id=desk&user=ann").await;
    bob.hears(TOLD).await;
    assert_eq!(bob.people["ann"].1, Value::Null);
}

#[tokio::test(start_paused = true)]
async fn the_list_of_a_room_is_of_all_servers_and_its_local_one_of_this() {
    let servers = telling_cluster(&MemoryNetwork::new(), 2).await;
    let _ann = come(&servers[0], "room=lobby&id=ann").await;
    let bob = come(&servers[1], "room=lobby&id=bob").await;
    sleep(TOLD).await;
    drop(bob);
    sleep(TOLD).await;
    let (ann, bob) = (("ann".to_owned(), Here), ("bob".to_owned(), PresenceState::Away));
    assert_eq!(present(&servers[0]), [ann.clone(), bob.clone()]);
    assert_eq!(present(&servers[1]), [ann.clone(), bob.clone()]);
    for (server, own) in servers.iter().zip([ann, bob]) {
        assert_eq!(names(&server.room("lobby").local().presence().unwrap().people), [own]);
        let people = server.cluster().unwrap().presence("lobby").await.unwrap().value.people;
        assert_eq!(people.len(), 2);
        assert!(people.iter().all(|it| it.nodes.len() == 1), "{people:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_application_is_told_as_members_are_and_that_all_are_gone_with_the_last_one_here() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let builder = move || {
        let tell = tell.clone();
        let options = |_: &str| RoomOptions::new().presence();
        rooms().resume_window(WINDOW).room_options(options).on_presence(move |_, changes| {
            for person in changes.people {
                assert!(matches!(person.id, PersonId::Connection(_)));
                let _ = tell.send((person.id.as_str().to_owned(), person.state));
            }
        })
    };
    let mut all = move || {
        let mut all: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    };
    let of = |id: &str, state| (id.to_owned(), state);
    let servers = cluster_of(&MemoryNetwork::new(), 2, builder).await;
    let _ann = come(&servers[0], "room=lobby&id=ann").await;
    sleep(TOLD).await;
    assert_eq!(all(), [of("ann", Here)]);
    let _bob = come(&servers[1], "room=lobby&id=bob").await;
    sleep(TOLD).await;
    assert_eq!(all(), [of("ann", Here), of("bob", Here), of("bob", Here)], "each by each, once");
    servers[1].kick("bob").unwrap();
    sleep(TOLD).await;
    assert_eq!(all(), [of("ann", Gone), of("bob", Gone), of("bob", Gone)]);
    assert_eq!(present(&servers[1]), [], "it hears no more of the room");
}

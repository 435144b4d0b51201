//! Who is in a room is told once, in order, and as it is.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{advance, sleep};
use wspulse::testing::TestClient;
use wspulse::{
    Admission, ConnectRequest, Connection, Person, PersonId, PresenceChanges, PresenceError,
    PresenceState, Rejection, RoomOptions, Server, ServerBuilder,
};

use crate::support::clients::{Client, dial, hears_nothing};
use crate::support::clock::WINDOW;
use crate::support::codecs::{Encoded, MSGPACK, Member};
use crate::support::speaker::JSON;
use crate::support::stage::Stage;

/// Longer than changes are gathered.
const FOLDED: Duration = Duration::from_millis(60);

type Told = mpsc::UnboundedReceiver<(String, PresenceChanges)>;

fn admit(request: &ConnectRequest) -> Admission {
    let admission = Admission::room("lobby").id(&*request.query("id").expect("it has one"));
    match request.query("user") {
        Some(user) => admission.user(&*user),
        None => admission,
    }
}

fn listening(builder: ServerBuilder) -> (ServerBuilder, Told) {
    let (tell, told) = mpsc::unbounded_channel();
    let builder = builder
        .room_options(|room| match room {
            "quiet" => RoomOptions::new().presence(),
            "none" => RoomOptions::new(),
            _ => RoomOptions::new().tell_presence(),
        })
        .on_presence(move |room, changes| drop(tell.send((room.id().to_owned(), changes))));
    (builder, told)
}

fn users(options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (Server, Told) {
    let builder = Server::builder_sync(|request| Ok::<_, Rejection>(admit(&request)));
    let (builder, told) = listening(builder.resume_window(WINDOW));
    (options(builder).build().unwrap(), told)
}

async fn come(server: &Server, query: &str) -> Client {
    TestClient::connect(server, &format!("/ws?{query}")).await.expect("admitted")
}

/// What was told so far: the sequence, and of each person id and state.
fn told(told: &mut Told) -> Vec<(u64, Vec<(String, PresenceState)>)> {
    let all = std::iter::from_fn(|| told.try_recv().ok());
    all.map(|(_, changes)| (changes.sequence, names(&changes.people))).collect()
}

fn names(people: &[Person]) -> Vec<(String, PresenceState)> {
    people.iter().map(|it| (it.id.as_str().to_owned(), it.state)).collect()
}

fn is(id: &str, state: PresenceState) -> (String, PresenceState) {
    (id.to_owned(), state)
}

async fn heard(client: &mut Client) -> Value {
    let frame = client.frame().await.unwrap();
    assert_eq!(frame.event(), "presence");
    frame.to_json().unwrap()
}

fn conn(server: &Server, id: &str) -> Connection {
    server.connection(id).unwrap()
}

use PresenceState::{Away, Gone, Here};

#[tokio::test(start_paused = true)]
async fn who_comes_and_goes_is_told_to_the_application() {
    let (server, mut changes) = users(|builder| builder);
    let _ann = come(&server, "id=ann").await;
    sleep(FOLDED).await;
    assert_eq!(told(&mut changes), [(1, vec![is("ann", Here)])]);
    let _bob = come(&server, "id=bob").await;
    sleep(FOLDED).await;
    let snapshot = server.room("lobby").presence().unwrap();
    assert_eq!(
        (snapshot.sequence, names(&snapshot.people)),
        (2, vec![is("ann", Here), is("bob", Here)])
    );
    server.kick("bob").unwrap();
    sleep(FOLDED).await;
    assert_eq!(told(&mut changes), [(2, vec![is("bob", Here)]), (3, vec![is("bob", Gone)])]);
    assert_eq!(server.room("lobby").presence().unwrap().people.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drop_within_the_window_is_away_and_back() {
    let (server, mut changes) = users(|builder| builder);
    let ann = come(&server, "id=ann").await;
    sleep(FOLDED).await;
    drop(ann);
    sleep(FOLDED).await;
    let _ann = come(&server, "id=ann").await;
    sleep(FOLDED).await;
    let all = [(1, vec![is("ann", Here)]), (2, vec![is("ann", Away)]), (3, vec![is("ann", Here)])];
    assert_eq!(told(&mut changes), all);
    server.kick("ann").unwrap();
    sleep(FOLDED).await;
    assert_eq!(told(&mut changes), [(4, vec![is("ann", Gone)])]);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_come_back_is_gone_after_the_window() {
    let (server, mut changes) = users(|builder| builder);
    let ann = come(&server, "id=ann").await;
    sleep(FOLDED).await;
    drop(ann);
    sleep(WINDOW + FOLDED).await;
    let all = [(1, vec![is("ann", Here)]), (2, vec![is("ann", Away)]), (3, vec![is("ann", Gone)])];
    assert_eq!(told(&mut changes), all);
    assert_eq!(server.room_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drop_that_is_shorter_than_changes_are_gathered_is_not_told() {
    let (server, mut changes) = users(|builder| builder);
    let ann = come(&server, "id=ann").await;
    sleep(FOLDED).await;
    drop(ann);
    sleep(Duration::from_millis(10)).await;
    let _ann = come(&server, "id=ann").await;
    sleep(FOLDED).await;
    assert_eq!(told(&mut changes), [(1, vec![is("ann", Here)])]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_replaces_another_of_its_id_is_the_same_person() {
    let (server, mut changes) = users(|builder| builder);
    let _first = come(&server, "id=ann").await;
    sleep(FOLDED).await;
    let _second = come(&server, "id=ann").await;
    sleep(FOLDED).await;
    assert_eq!(told(&mut changes), [(1, vec![is("ann", Here)])]);
}

#[tokio::test(start_paused = true)]
async fn several_devices_are_one_person() {
    let (server, mut changes) = users(|builder| builder);
    let phone = come(&server, "id=phone&user=ann").await;
    let tab = come(&server, "id=tab&user=ann").await;
    sleep(FOLDED).await;
    let (_, all) = changes.try_recv().unwrap();
    assert_eq!(all.people[0].id, PersonId::User("ann".into()));
    assert_eq!(names(&all.people), [is("ann", Here)]);
    drop(phone);
    sleep(FOLDED).await;
    assert_eq!(told(&mut changes), []);
    drop(tab);
    sleep(FOLDED).await;
    assert_eq!(told(&mut changes), [(2, vec![is("ann", Away)])]);
    server.user("ann").kick();
    sleep(FOLDED).await;
    assert_eq!(told(&mut changes), [(3, vec![is("ann", Gone)])]);
}

#[tokio::test(start_paused = true)]
async fn members_hear_a_snapshot_first_and_then_what_changes() {
    let (server, _changes) = users(|builder| builder);
    let mut ann = come(&server, "id=ann&user=ann").await;
    let all = json!({"room": "lobby", "seq": 1, "people": [{"user": "ann", "state": "here"}]});
    assert_eq!(heard(&mut ann).await, all);
    let mut bob = come(&server, "id=bob").await;
    let bob_is_here = json!({"connection": "bob", "state": "here"});
    let all = json!({"room": "lobby", "seq": 2,
        "people": [{"user": "ann", "state": "here"}, bob_is_here]});
    assert_eq!(heard(&mut bob).await, all);
    assert_eq!(heard(&mut ann).await, json!({"room": "lobby", "seq": 2, "changes": [bob_is_here]}));
    server.kick("bob").unwrap();
    let gone = json!({"connection": "bob", "state": "gone"});
    assert_eq!(heard(&mut ann).await, json!({"room": "lobby", "seq": 3, "changes": [gone]}));
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_hears_a_snapshot_since_changes_may_be_lost() {
    let (server, _changes) = users(|builder| builder);
    let mut ann = come(&server, "id=ann").await;
    heard(&mut ann).await;
    drop(ann);
    sleep(FOLDED).await;
    let mut ann = come(&server, "id=ann").await;
    let missed = heard(&mut ann).await;
    assert_eq!((&missed["seq"], &missed["changes"][0]["state"]), (&json!(2), &json!("away")));
    let all = heard(&mut ann).await;
    assert_eq!((&all["seq"], &all["people"][0]["state"]), (&json!(3), &json!("here")));
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_missed_changes_can_be_told_all_once_more() {
    let (server, mut changes) = users(|builder| builder);
    let mut ann = come(&server, "id=ann").await;
    heard(&mut ann).await;
    conn(&server, "ann").resend_presence("lobby").unwrap();
    assert_eq!(heard(&mut ann).await["seq"], 1);
    assert_eq!(told(&mut changes).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_the_application_is_told_of_a_room_that_is_quiet() {
    let (server, mut changes) = users(|builder| builder);
    let mut ann = come(&server, "id=ann").await;
    heard(&mut ann).await;
    conn(&server, "ann").join("quiet").unwrap();
    sleep(FOLDED).await;
    hears_nothing(&mut ann).await;
    let rooms: Vec<_> = std::iter::from_fn(|| changes.try_recv().ok()).map(|it| it.0).collect();
    assert_eq!(rooms, ["lobby", "quiet"]);
}

#[tokio::test(start_paused = true)]
async fn metadata_are_the_persons_and_gone_with_it() {
    let (server, mut changes) = users(|builder| builder);
    let mut ann = come(&server, "id=ann").await;
    let own = conn(&server, "ann");
    own.set_presence("lobby", &json!({"name": "Ann"})).unwrap();
    let all = heard(&mut ann).await;
    assert_eq!(
        all["people"][0],
        json!({"connection": "ann", "state": "here", "meta": {"name": "Ann"}})
    );
    own.set_presence("lobby", &json!({"name": "Ann"})).unwrap();
    sleep(FOLDED).await;
    assert_eq!(told(&mut changes).len(), 1, "nothing is new");
    own.set_presence("lobby", &()).unwrap();
    assert_eq!(heard(&mut ann).await["changes"][0], json!({"connection": "ann", "state": "here"}));
    own.set_presence("lobby", "typing").unwrap();
    sleep(FOLDED).await;
    let snapshot = server.room("lobby").presence().unwrap();
    assert_eq!(snapshot.people[0].meta(), Some("\"typing\""));
    own.leave("lobby");
    own.join("lobby").unwrap();
    sleep(FOLDED).await;
    assert_eq!(server.room("lobby").presence().unwrap().people[0].meta(), None);
}

#[tokio::test(start_paused = true)]
async fn metadata_beyond_their_bounds_are_refused_and_change_nothing() {
    let (server, _changes) = users(|builder| builder);
    let _ann = come(&server, "id=ann").await;
    let own = conn(&server, "ann");
    let text = |bytes: usize| "x".repeat(bytes - 2);
    own.set_presence("lobby", &text(1024)).unwrap();
    let large = own.set_presence("lobby", &text(1025)).unwrap_err();
    assert!(matches!(large, PresenceError::TooLarge { bytes: 1025, bytes_max: 1024, .. }));
    let nested = |levels| (1..levels).fold(json!(["]"]), |inner, _| json!([inner]));
    own.set_presence("lobby", &nested(16)).unwrap();
    let deep = own.set_presence("lobby", &nested(17)).unwrap_err();
    assert!(matches!(deep, PresenceError::TooDeep { levels: 17, levels_max: 16, .. }));
    sleep(FOLDED).await;
    let snapshot = server.room("lobby").presence().unwrap();
    assert_eq!(snapshot.people[0].meta(), Some(&*nested(16).to_string()));
}

#[tokio::test(start_paused = true)]
async fn presence_where_there_is_none_is_an_error() {
    let (server, _changes) = users(|builder| builder);
    let _ann = come(&server, "id=ann").await;
    let own = conn(&server, "ann");
    own.join("none").unwrap();
    for error in [
        own.set_presence("none", "x").unwrap_err(),
        own.resend_presence("none").unwrap_err(),
        server.room("none").presence().unwrap_err(),
    ] {
        assert!(matches!(error, PresenceError::NoPresence { .. }), "{error}");
    }
    for room in ["attic", "none"] {
        own.leave("none");
        let error = own.set_presence(room, "x").unwrap_err();
        assert!(matches!(error, PresenceError::NotMember { .. }), "{error}");
    }
    assert_eq!(server.room("attic").presence().unwrap().people, []);
    server.kick("ann").unwrap();
    assert!(matches!(own.set_presence("lobby", "x"), Err(PresenceError::NotMember { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_tells_that_all_are_gone_and_leaves_nothing_behind() {
    let (server, mut changes) = users(|builder| builder);
    let _ann = come(&server, "id=ann").await;
    let _bob = come(&server, "id=bob").await;
    sleep(FOLDED).await;
    assert_eq!(told(&mut changes).len(), 1);
    tokio::join!(server.close(), advance(Duration::from_millis(1)));
    assert_eq!(told(&mut changes), [(2, vec![is("ann", Gone), is("bob", Gone)])]);
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_panics_holds_up_nothing() {
    let builder = Server::builder_sync(|request| Ok::<_, Rejection>(admit(&request)));
    let server = builder
        .room_options(|_| RoomOptions::new().tell_presence())
        .on_presence(|_, changes| assert!(changes.sequence > 1, "the first is one too many"))
        .build()
        .unwrap();
    let mut ann = come(&server, "id=ann").await;
    heard(&mut ann).await;
    let _bob = come(&server, "id=bob").await;
    assert_eq!(heard(&mut ann).await["seq"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_who_enter_a_room_of_a_thousand_cost_each_at_most_forty_frames() {
    let (server, _changes) = users(|builder| builder);
    let mut ann = come(&server, "id=ann").await;
    let mut clients = Vec::new();
    for number in 1..1_000 {
        clients.push(come(&server, &format!("id=old-{number}")).await);
    }
    sleep(FOLDED).await;
    let old = ["ann", "old-500"];
    let before = old.map(|id| conn(&server, id).outbound_stats().accepted);
    for number in 0..1_000 {
        clients.push(come(&server, &format!("id=new-{number}")).await);
        advance(Duration::from_millis(1)).await;
    }
    sleep(FOLDED).await;
    for (id, before) in old.into_iter().zip(before) {
        let frames = conn(&server, id).outbound_stats().accepted - before;
        assert!((10..=40).contains(&frames), "{id}: {frames}");
    }
    // Snapshot and changes make one whole: nobody is missing, nobody is a ghost.
    let mut known = std::collections::BTreeMap::new();
    let last = server.room("lobby").presence().unwrap();
    loop {
        let told = heard(&mut ann).await;
        let people = if told["people"].is_array() { &told["people"] } else { &told["changes"] };
        for person in people.as_array().unwrap() {
            known
                .insert(person["connection"].as_str().unwrap().to_owned(), person["state"].clone());
        }
        if told["seq"] == last.sequence {
            break;
        }
    }
    assert_eq!(known.len(), 2_000);
    assert_eq!(last.people.len(), 2_000);
}

#[tokio::test(start_paused = true)]
async fn each_member_is_told_in_its_own_codec() {
    let encoded = Encoded::default();
    let (builder, _changes) = listening(crate::support::house::open_house());
    let server = encoded.server(builder).build().unwrap();
    let (mut ann, _) = Member::join(&server, JSON, "ann").await;
    let (event, all) = ann.heard().await;
    assert_eq!((&*event, all["people"].as_array().unwrap().len()), ("presence", 1));
    let (mut bob, _) = Member::join(&server, MSGPACK, "bob").await;
    let (_, all) = bob.heard().await;
    assert_eq!((&all["seq"], all["people"].as_array().unwrap().len()), (&json!(2), 2));
    assert_eq!(ann.heard().await.1["changes"][0]["connection"], "bob");
    assert_eq!(encoded.take(), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_room_that_keeps_nothing_is_told_nothing() {
    let mut stage = Stage::new(|builder| builder.on_presence(|_, _| unreachable!("no rule")));
    let (mut ann, _) = stage.join("ann").await;
    let _bob = dial(&stage.server, "bob").await;
    sleep(FOLDED).await;
    hears_nothing(&mut ann).await;
}

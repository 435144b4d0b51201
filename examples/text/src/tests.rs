use serde_json::Value;
use wspulse::Frame;
use wspulse::testing::{Inbox, Link, TestServer};
use wspulse_client::Client;
use yrs::sync::awareness::AwarenessUpdateEntry;
use yrs::sync::{AwarenessUpdate, Message, SyncMessage};
use yrs::updates::decoder::Decode as _;
use yrs::{Doc, GetString as _, ReadTxn as _, StateVector, Text as _, Transact as _, Update};

use super::{YMessages, app, builder, frame_of};

fn editor() -> TestServer {
    TestServer::with_app(builder(), app).expect("the options are valid")
}

/// What an editor is: a document, and a connection.
struct Editor {
    doc: Doc,
    client: Client,
    heard: Inbox,
    link: Link,
}

impl Editor {
    /// Opens the text, and is brought up to date.
    async fn open(test: &TestServer, name: &str) -> Self {
        let (heard, link) = (test.inbox(name), test.link(name));
        let (inbox, dialled) = (heard.clone(), link.clone());
        let (client, _) = Client::builder("ws://localhost/ws/text")
            .codec(YMessages)
            .connector(move |_| std::future::ready(dialled.dial()))
            .on_message(move |frame| inbox.hear(frame))
            .connect()
            .expect("a valid target");
        client.connected().await.expect("it is let in");
        let editor = Self { doc: Doc::new(), client, heard, link };
        editor.sync().await;
        editor
    }

    /// Once the server asks, on each connection, it says what it has, and takes what it has not.
    async fn sync(&self) {
        let state = self.hear("a question", |message| match message {
            Message::Sync(SyncMessage::SyncStep1(state)) => Some(state),
            _ => None,
        });
        let missing = self.doc.transact().encode_state_as_update_v1(&state.await);
        self.say(Message::Sync(SyncMessage::SyncStep2(missing)));
        self.say(Message::Sync(SyncMessage::SyncStep1(self.doc.transact().state_vector())));
        self.apply(&self.hear("an answer", answer).await);
    }

    /// Waits until the server has handled all that it said: until it has answered what came last.
    async fn has_been_heard(&self) {
        self.say(Message::Sync(SyncMessage::SyncStep1(StateVector::default())));
        self.hear("an answer", answer).await;
    }

    fn say(&self, message: Message) {
        self.client.post(frame_of(&message)).expect("there is room in the outbox");
    }

    /// Waits for a message of this kind, and leaves all others for later.
    async fn hear<T>(&self, kind: &str, pick: impl Fn(Message) -> Option<T>) -> T {
        let picked = |frame: &Frame| pick(Message::decode_v1(frame.payload()).ok()?);
        let frame = self.heard.expect_where(kind, |frame| picked(frame).is_some()).await;
        picked(&frame).expect("it was picked")
    }

    fn apply(&self, update: &[u8]) {
        let update = Update::decode_v1(update).expect("an update");
        self.doc.transact_mut().apply_update(update).expect("one that fits");
    }

    fn write(&self, at: u32, words: &str) {
        let text = self.doc.get_or_insert_text("text");
        let mut transaction = self.doc.transact_mut();
        text.insert(&mut transaction, at, words);
        self.say(Message::Sync(SyncMessage::Update(transaction.encode_update_v1())));
    }

    fn text(&self) -> String {
        self.doc.get_or_insert_text("text").get_string(&self.doc.transact())
    }

    /// Listens until the text is this.
    async fn reads(&self, expected: &str) {
        while self.text() != expected {
            let update = self.hear("an update", |message| match message {
                Message::Sync(SyncMessage::Update(update) | SyncMessage::SyncStep2(update)) => {
                    Some(update)
                }
                _ => None,
            });
            self.apply(&update.await);
        }
    }

    /// Tells where its cursor is.
    fn point(&self, json: &str) {
        let entry = AwarenessUpdateEntry { clock: 1, json: json.into() };
        let clients = [(self.doc.client_id(), entry)].into();
        self.say(Message::Awareness(AwarenessUpdate { clients }));
    }

    /// Waits until something is said of another's cursor.
    async fn sees(&self, other: &Self) -> Value {
        let id = other.doc.client_id();
        let json = self.hear("a cursor", |message| match message {
            Message::Awareness(update) => update.clients.get(&id).map(|entry| entry.json.clone()),
            _ => None,
        });
        serde_json::from_str(&json.await).expect("JSON")
    }
}

fn answer(message: Message) -> Option<Vec<u8>> {
    match message {
        Message::Sync(SyncMessage::SyncStep2(update)) => Some(update),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn what_two_write_at_once_is_one_text_for_both() {
    let test = editor();
    let (ann, bob) = (Editor::open(&test, "ann").await, Editor::open(&test, "bob").await);
    ann.write(0, "tea");
    bob.reads("tea").await;

    ann.write(0, "green ");
    bob.write(3, " for two");

    bob.reads("green tea for two").await;
    ann.reads("green tea for two").await;
}

#[tokio::test(start_paused = true)]
async fn who_comes_later_gets_the_text_and_the_cursors() {
    let test = editor();
    let ann = Editor::open(&test, "ann").await;
    ann.write(0, "tea");
    ann.point(r#"{"name":"ann","at":3}"#);
    ann.has_been_heard().await;

    let eve = Editor::open(&test, "eve").await;

    assert_eq!(eve.text(), "tea");
    assert_eq!(eve.sees(&ann).await["at"], 3);
}

#[tokio::test(start_paused = true)]
async fn what_was_written_in_a_tunnel_is_in_the_text_afterwards() {
    let test = editor();
    let (ann, bob) = (Editor::open(&test, "ann").await, Editor::open(&test, "bob").await);
    bob.link.cut();
    bob.doc.get_or_insert_text("text").insert(&mut bob.doc.transact_mut(), 0, "for two");
    ann.write(0, "tea ");
    ann.has_been_heard().await;

    bob.sync().await;

    assert!(["tea for two", "for twotea "].contains(&&*bob.text()), "{}", bob.text());
    ann.reads(&bob.text()).await;
}

#[tokio::test(start_paused = true)]
async fn who_goes_takes_the_cursor_along() {
    let test = editor();
    let (ann, bob) = (Editor::open(&test, "ann").await, Editor::open(&test, "bob").await);
    bob.point(r#"{"name":"bob","at":0}"#);
    assert_eq!(ann.sees(&bob).await["name"], "bob");

    bob.client.close().await;

    assert_eq!(ann.sees(&bob).await, Value::Null);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_of_yjs_changes_nothing() {
    let test = editor();
    let ann = Editor::open(&test, "ann").await;
    ann.write(0, "tea");
    for garbage in [&b""[..], b"\0", b"\0\x02\x03abc", b"\x01\xff\xff\xff\xff\x0f", b"\xff"] {
        ann.client.post(Frame::default().with_payload(garbage.to_vec())).expect("there is room");
    }

    let eve = Editor::open(&test, "eve").await;

    assert_eq!(eve.text(), "tea");
}

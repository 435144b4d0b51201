//! Every conversation of `docs/protocol/vectors.json`, with a whole client over streams in memory.

use std::collections::HashMap;

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wspulse_client::codec::{Codec, InboundMessage, JsonCodec};
use wspulse_client::{Client, EndCause, Event, Frame, Messages, SendError};
use wspulse_core::MessageKind;

use crate::support::stage;
use crate::support::stage::{MOMENT, Request, Server, Stage};

struct Conversation {
    client: Client,
    messages: Messages,
    stage: Stage,
    request: Option<Request>,
    server: Option<Server>,
    sending: HashMap<String, JoinHandle<Result<(), SendError>>>,
}

impl Conversation {
    async fn play(&mut self, step: &Value) {
        let text = |name: &str| step[name].as_str().unwrap_or_default();
        if let Some(thing) = step.get("expect") {
            return self.expect(thing.as_str().unwrap(), step).await;
        }
        if text("transport") == "open" {
            let request = self.request.take().expect("an attempt");
            self.server = Some(request.accept(text("protocol")).await);
        } else if text("transport") == "lost" {
            let mut server = self.server.take().expect("a transport");
            let code = u16::try_from(step["code"].as_u64().unwrap()).unwrap();
            if code != 1006 {
                server.close(code, text("reason")).await;
            }
        } else if step.get("receive").is_some() {
            self.server.as_mut().expect("a transport").say(text("receive")).await;
        } else if let Some(frame) = step.get("send") {
            let (client, frame) = (self.client.clone(), frame_of(frame));
            if step.get("as").is_none() {
                return client.post(frame).unwrap();
            }
            let sending = tokio::spawn(async move { client.send(frame).await });
            self.sending.insert(text("as").to_owned(), sending);
            tokio::task::yield_now().await;
        } else {
            // The first attempt and the retries come by themselves.
            assert!(step["do"] == "connect" || step["pass"] == "retry", "an unknown step");
        }
    }

    async fn expect(&mut self, thing: &str, step: &Value) {
        match thing {
            "connect" => {
                let request = self.stage.request().await;
                assert_eq!(Value::from(request.protocols()), step["protocols"]);
                self.request = Some(request);
            }
            "write" => {
                let written = self.server.as_mut().expect("a transport").heard().await;
                assert_eq!(written, step["json"]);
            }
            "nothing" => self.server.as_mut().expect("a transport").nothing().await,
            "close" => {
                let mut server = self.server.take().expect("a transport");
                assert_eq!(server.closed().await.map(u64::from), step["code"].as_u64());
            }
            "settled" => {
                let sending = self.sending.remove(step["as"].as_str().unwrap()).unwrap();
                let outcome = match timeout(MOMENT, sending).await.expect("settled").unwrap() {
                    Ok(()) => "handled",
                    Err(SendError::Lost { .. }) => "lost",
                    Err(error) => panic!("{error:?}"),
                };
                assert_eq!(outcome, step["outcome"]);
            }
            "message" | "session" | "ended" => self.expect_event(thing, step).await,
            thing => panic!("an unknown thing to expect: {thing}"),
        }
    }

    async fn expect_event(&mut self, thing: &str, step: &Value) {
        let mut event = stage::next(&mut self.messages).await;
        while let Event::Undecodable(_) = event {
            event = stage::next(&mut self.messages).await;
        }
        match (thing, event) {
            ("message", Event::Message(frame)) => assert_eq!(frame, frame_of(&step["frame"])),
            ("session", Event::Session { session, replay, .. }) => {
                assert_eq!(session.as_str(), step["session"]);
                assert_eq!(replay, step["replay"]);
            }
            (
                "ended",
                Event::Ended { cause: EndCause::ClosedByServer { code, reason, .. }, .. },
            ) => {
                assert_eq!(code, step["code"]);
                assert_eq!(reason, step["reason"]);
            }
            (_, event) => panic!("instead of {thing}: {event:?}"),
        }
    }
}

fn frame_of(json: &Value) -> Frame {
    let text = json.to_string();
    JsonCodec.decode(InboundMessage::lent(MessageKind::Text, text.as_bytes())).unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_conversation() {
    let vectors = include_str!("../../../../docs/protocol/vectors.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let conversations = vectors["client"].as_array().unwrap();
    assert!(conversations.len() >= 20, "the vectors are there");
    for conversation in conversations {
        let (client, messages, stage) = stage::connect(|builder| builder);
        let sending = HashMap::new();
        let mut play =
            Conversation { client, messages, stage, request: None, server: None, sending };
        for (index, step) in conversation["steps"].as_array().unwrap().iter().enumerate() {
            println!("{} / {index}: {step}", conversation["name"]);
            play.play(step).await;
        }
    }
}

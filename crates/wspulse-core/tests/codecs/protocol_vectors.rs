//! The messages of `wspulse.1`, as the vectors beside its description have them.

use serde_json::Value;
use wspulse_core::protocol::{Control, ResumeOffer, SessionKind};

fn vectors(key: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol/vectors.json");
    let text = std::fs::read_to_string(path).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let vectors = all[key].as_array().unwrap().clone();
    assert!(!vectors.is_empty());
    vectors
}

fn assert_means(control: &Control, meaning: &Value) {
    match control {
        Control::Ask => assert_eq!(meaning["name"], "ask"),
        Control::Ack(count) => {
            assert_eq!((&meaning["name"], &meaning["count"]), (&"ack".into(), &(*count).into()));
        }
        Control::Hello(hello) => {
            assert_eq!(meaning["name"], "hello");
            let session = match hello.session {
                SessionKind::New => "new",
                SessionKind::Resumed => "resumed",
            };
            assert_eq!(
                (&meaning["session"], &meaning["id"]),
                (&session.into(), &hello.id.clone().into())
            );
            assert_eq!(meaning["token"], *hello.token);
            assert_eq!(meaning["received"], hello.received);
            assert_eq!(meaning["handled"], hello.handled);
            assert_eq!(meaning["replay"], hello.replay);
            assert_eq!(meaning["silence"], hello.silence);
            assert_eq!(meaning["window"], hello.window);
            assert_eq!(meaning["message_max"], hello.message_max);
        }
        Control::Unknown => assert_eq!(meaning["name"], Value::Null),
        other => panic!("{other:?}"),
    }
}

#[test]
fn control_messages_say_what_the_vectors_say() {
    for vector in vectors("control") {
        let control = Control::parse(vector["text"].as_str().unwrap().as_bytes())
            .unwrap_or_else(|error| panic!("{vector}: {error}"));
        assert_means(&control, &vector);
    }
}

#[test]
fn what_is_written_is_read_as_the_same() {
    for vector in vectors("control") {
        let control = Control::parse(vector["text"].as_str().unwrap().as_bytes()).unwrap();
        if let Some(text) = control.to_text() {
            assert_eq!(Control::parse(text.as_bytes()).unwrap(), control);
        }
    }
}

#[test]
fn what_is_no_control_message_is_told() {
    for text in vectors("violations") {
        let text = text.as_str().unwrap();
        assert!(Control::parse(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn offers_to_resume_are_read() {
    for vector in vectors("offers") {
        let offered = vector["offered"].as_str().unwrap();
        match (offered.parse::<ResumeOffer>(), &vector["token"]) {
            (Ok(offer), Value::String(token)) => {
                assert_eq!((&offer.token, &vector["count"]), (token, &offer.count.into()));
                assert_eq!(offer.to_string(), offered);
                assert!(!format!("{offer:?}").contains(token.as_str()), "it is a secret");
            }
            (Err(_), Value::Null) => {}
            (read, expected) => panic!("{offered}: {read:?}, expected {expected}"),
        }
    }
}

//! A second decoder of frames in JSON, made with `serde_json`'s values.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// The members of an object, repeated ones included.
pub(crate) struct Members(pub(crate) Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

/// Id, event and payload as the codec should read them; none if it should refuse.
pub(crate) fn reference(members: Members) -> Option<(String, String, Option<Value>)> {
    let mut found = [None, None, None];
    for (name, value) in members.0 {
        let known = ["id", "event", "payload"].into_iter();
        for (slot, known) in found.iter_mut().zip(known) {
            if name == known && slot.replace(value.clone()).is_some() {
                return None;
            }
        }
    }
    let string = |value| match value {
        None | Some(Value::Null) => Some(String::new()),
        Some(Value::String(text)) => Some(text),
        Some(_) => None,
    };
    let [id, event, payload] = found;
    Some((string(id)?, string(event)?, payload))
}

/// Whether the reference refuses by its own limits what JSON's grammar allows.
pub(crate) fn beyond_the_reference(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    ["number out of range", "surrogate", "end of hex escape", "recursion limit"]
        .iter()
        .any(|limit| text.contains(limit))
}

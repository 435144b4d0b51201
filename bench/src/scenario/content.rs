//! What applications send: JSON with names, words, numbers and times, of any size, always the same.

use std::fmt::Write;

const PEOPLE: [&str; 16] = [
    "ada.lovelace",
    "grace.hopper",
    "alan.turing",
    "edsger.dijkstra",
    "barbara.liskov",
    "donald.knuth",
    "margaret.hamilton",
    "dennis.ritchie",
    "frances.allen",
    "ken.thompson",
    "katherine.johnson",
    "john.backus",
    "radia.perlman",
    "tony.hoare",
    "sophie.wilson",
    "niklaus.wirth",
];

const ROOMS: [&str; 8] =
    ["lobby", "engineering", "support", "sales", "random", "design", "releases", "on-call"];

const WORDS: [&str; 64] = [
    "the", "is", "that", "we", "have", "it", "for", "not", "with", "you", "this", "but", "from",
    "they", "will", "what", "there", "when", "make", "can", "time", "just", "know", "take",
    "people", "into", "year", "good", "some", "could", "them", "see", "other", "than", "then",
    "now", "look", "only", "come", "over", "think", "also", "back", "after", "use", "two", "how",
    "work", "first", "well", "way", "even", "new", "want", "because", "any", "these", "give",
    "day", "most", "server", "message", "release", "tomorrow",
];

/// What stands around the payload in the frames of the raw dialect.
const BEFORE: &str = r#"{"event":"m","payload":["#;
const AFTER: &str = "]}";

/// The quotes around what fills a message up.
const FILLER_BYTES_MIN: usize = 2;

/// What the records of messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// What people have said: most of it is words, which are alike seldom.
    Talk,
    /// Where players are: names of members, and numbers.
    Positions,
}

impl Content {
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::Talk => "what people said",
            Self::Positions => "where players are",
        }
    }

    /// Messages of so many bytes, no two of which are alike: together they are longer than what a
    /// deflater looks back at.
    pub(super) fn messages(self, message_bytes: usize) -> Vec<Vec<u8>> {
        const DISTINCT_BYTES: usize = 128 * 1024;
        const DISTINCT_MIN: usize = 16;
        let mut dice = Dice(0x5eed);
        let distinct = (DISTINCT_BYTES / message_bytes).max(DISTINCT_MIN);
        (0..distinct).map(|_| dice.message(self, message_bytes).into_bytes()).collect()
    }
}

/// Numbers that look drawn (splitmix64), and what is made of them.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len() as u64) as usize]
    }

    fn text(&mut self, words: u64) -> String {
        let words: Vec<_> = (0..words).map(|_| self.one_of(&WORDS)).collect();
        words.join(" ")
    }

    fn record(&mut self, content: Content) -> String {
        match content {
            Content::Talk => self.said(),
            Content::Positions => self.position(),
        }
    }

    /// As a game has them.
    fn position(&mut self) -> String {
        let [id, x, y, angle] = [1000, 40_000, 30_000, 360].map(|sides| self.roll(sides));
        let is_moving = self.roll(2) == 1;
        let [x, y] = [x, y].map(|tenths| format!("{}.{}", tenths / 10, tenths % 10));
        format!(r#"{{"id":"player-{id}","x":{x},"y":{y},"angle":{angle},"moving":{is_moving}}},"#)
    }

    /// As a chat's history has them.
    fn said(&mut self) -> String {
        let (id, words) = (self.roll(1_000_000), 3 + self.roll(10));
        let (user, room, text) = (self.one_of(&PEOPLE), self.one_of(&ROOMS), self.text(words));
        let [hour, minute, second, millis] = [24, 60, 60, 1000].map(|sides| self.roll(sides));
        let is_seen = self.roll(2) == 1;
        format!(
            r#"{{"id":{id},"user":"{user}","room":"{room}","text":"{text}","at":"2026-11-29T{hour:02}:{minute:02}:{second:02}.{millis:03}Z","seen":{is_seen}}},"#
        )
    }

    /// As many records as fit, and words for the rest.
    fn message(&mut self, content: Content, bytes: usize) -> String {
        let mut message = BEFORE.to_owned();
        loop {
            let record = self.record(content);
            if message.len() + record.len() + FILLER_BYTES_MIN + AFTER.len() > bytes {
                break;
            }
            message += &record;
        }
        let left = bytes.saturating_sub(message.len() + FILLER_BYTES_MIN + AFTER.len());
        // A word has two letters at the least.
        let mut filler = self.text(left as u64);
        filler.truncate(left);
        let _ = write!(message, r#""{filler}"{AFTER}"#);
        message
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn messages_are_json_of_their_size_and_no_two_are_alike() {
        for content in [Content::Talk, Content::Positions] {
            for bytes in [64, 100, 256, 1024, 4096, 65_536] {
                let messages = content.messages(bytes);
                for message in &messages {
                    assert_eq!(message.len(), bytes);
                    let frame: serde_json::Value = serde_json::from_slice(message).expect("JSON");
                    assert!(frame["payload"].is_array());
                }
                let distinct: HashSet<_> = messages.iter().collect();
                assert_eq!(distinct.len(), messages.len(), "{content:?}, {bytes} bytes");
                assert!(messages.len() * bytes > 2 * 32 * 1024);
            }
        }
    }
}

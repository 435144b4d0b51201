//! Which subjects a cluster's messages have.

use std::fmt::Write;

use wspulse::cluster::{GroupKey, NodeId, SHARDS, Topic, TopicFilter};

/// The subjects of one node of a cluster, all below `wsp.<cluster>.`:
///
/// | subject | what |
/// |---|---|
/// | `r.<shard>.<key>` | a group, with its key in hexadecimal digits; `r.<shard>.>` are all of a shard |
/// | `a` | to all nodes |
/// | `b` | about nodes |
/// | `n.<node>` | requests to a node |
/// | `i.<node>.<number>` | replies to a node; `0` is a round trip's |
/// | `l.<shard>.<key>` | into the log of a group; from there it comes to `r.<shard>.<key>` |
/// | `x` | nobody: the server says so at once, which ends a round trip |
#[derive(Debug)]
pub(crate) struct Subjects {
    /// `wsp.<cluster>.`
    root: String,
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl Subjects {
    /// The cluster's name is one token of a subject, as [`is_name`] says.
    pub(crate) fn new(cluster: &str) -> Self {
        debug_assert!(is_name(cluster), "the builder has looked at it");
        Self { root: format!("wsp.{cluster}.") }
    }

    /// All of them, as a permission says it.
    pub(crate) fn all(&self) -> String {
        format!("{}>", self.root)
    }

    pub(crate) fn topic(&self, topic: Topic) -> Option<String> {
        match topic {
            Topic::Group(key) => {
                let mut subject = self.shard(key.shard());
                push_hex(&mut subject, key.as_bytes());
                Some(subject)
            }
            Topic::Everybody => Some(format!("{}a", self.root)),
            Topic::Beats => Some(format!("{}b", self.root)),
            // One of a later wspulse.
            _ => None,
        }
    }

    pub(crate) fn filter(&self, filter: TopicFilter) -> Option<String> {
        match filter {
            TopicFilter::Topic(topic) => self.topic(topic),
            TopicFilter::Shard(shard) => Some(self.shard(shard) + ">"),
            // One of a later wspulse.
            _ => None,
        }
    }

    /// The topic of a subject, if it is one.
    pub(crate) fn read(&self, subject: &str) -> Option<Topic> {
        match subject.strip_prefix(&self.root)? {
            "a" => Some(Topic::Everybody),
            "b" => Some(Topic::Beats),
            group => {
                let (shard, key) = group.strip_prefix("r.")?.split_once('.')?;
                let key = GroupKey::new(read_hex(key)?);
                (shard.parse() == Ok(key.shard())).then_some(Topic::Group(key))
            }
        }
    }

    /// Where what is for a group's log is said.
    pub(crate) fn log(&self, key: GroupKey) -> String {
        let mut subject = String::with_capacity(self.root.len() + 40);
        let _ = write!(subject, "{}l.{}.", self.root, key.shard());
        push_hex(&mut subject, key.as_bytes());
        subject
    }

    /// All of these.
    pub(crate) fn logs(&self) -> String {
        format!("{}l.>", self.root)
    }

    /// All groups.
    pub(crate) fn groups(&self) -> String {
        format!("{}r.>", self.root)
    }

    /// The name of the stream that has the logs.
    pub(crate) fn stream(&self) -> String {
        self.root.trim_end_matches('.').replace('.', "_") + "_log"
    }

    pub(crate) fn inbox(&self, node: NodeId) -> String {
        self.of_node("n.", node)
    }

    /// Where all replies to a node come.
    pub(crate) fn replies(&self, node: NodeId) -> String {
        self.of_node("i.", node) + ".*"
    }

    /// Where the reply with this number comes.
    pub(crate) fn reply(&self, node: NodeId, number: u64) -> String {
        let mut subject = self.of_node("i.", node);
        let _ = write!(subject, ".{number}");
        subject
    }

    /// A subject that nobody subscribes to.
    pub(crate) fn nobody(&self) -> String {
        format!("{}x", self.root)
    }

    fn shard(&self, shard: u16) -> String {
        debug_assert!(shard < SHARDS, "a shard of a key");
        // With room for what follows.
        let mut subject = String::with_capacity(self.root.len() + 40);
        let _ = write!(subject, "{}r.{shard}.", self.root);
        subject
    }

    fn of_node(&self, kind: &str, node: NodeId) -> String {
        let mut subject = String::with_capacity(self.root.len() + 56);
        subject.push_str(&self.root);
        subject.push_str(kind);
        push_hex(&mut subject, node.as_bytes());
        subject
    }
}

/// The number of a reply's subject.
pub(crate) fn reply_number(subject: &str) -> Option<u64> {
    subject.rsplit_once('.')?.1.parse().ok()
}

/// Whether a name can be one token of a subject, and is sure to be read alike by all: letters,
/// digits, `-` and `_`.
pub(crate) fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_plain)
}

/// Longer names would only make each message longer.
pub(crate) const NAME_BYTES_MAX: usize = 64;

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

fn read_hex(text: &str) -> Option<[u8; GroupKey::BYTES]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; GroupKey::BYTES];
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |digit: u8| DIGITS.iter().position(|known| *known == digit);
        *byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects() -> Subjects {
        Subjects::new("chat")
    }

    #[test]
    fn a_topics_subject_is_read_as_that_topic() {
        let key = GroupKey::new(*b"\x01\x40456789abcdefgh");
        for topic in [Topic::Group(key), Topic::Everybody, Topic::Beats] {
            let subject = subjects().topic(topic).unwrap();
            assert_eq!(subjects().read(&subject), Some(topic), "{subject}");
        }
        let subject = subjects().topic(Topic::Group(key)).unwrap();
        assert_eq!(subject, "wsp.chat.r.5.01403435363738396162636465666768");
    }

    #[test]
    fn what_is_no_topics_subject_is_passed_over() {
        for subject in [
            "",
            "wsp.chat.",
            "wsp.chat.c",
            "wsp.other.a",
            "wsp.chat.r.5",
            "wsp.chat.r.5.01",
            "wsp.chat.r.5.01403435363738396162636465666768ff",
            "wsp.chat.r.5.0140343536373839616263646566676g",
            // Another shard than the key's.
            "wsp.chat.r.6.01403435363738396162636465666768",
        ] {
            assert_eq!(subjects().read(subject), None, "{subject:?}");
        }
    }

    #[test]
    fn a_replys_subject_has_its_number() {
        let subject = subjects().reply(NodeId::new([0xab; 16]), 17);
        assert_eq!(subject, format!("wsp.chat.i.{}.17", "ab".repeat(16)));
        assert_eq!(reply_number(&subject), Some(17));
    }

    #[test]
    fn a_log_has_a_subject_beside_its_group() {
        let key = GroupKey::new(*b"\x01\x40456789abcdefgh");
        let group = subjects().topic(Topic::Group(key)).unwrap();
        assert_eq!(subjects().log(key), group.replace(".r.", ".l."));
        assert_eq!(subjects().stream(), "wsp_chat_log");
    }

    #[test]
    fn a_clusters_name_is_one_plain_token() {
        for name in ["chat", "chat-2_EU"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "a.b", "*", ">", "a b", "ä", &"a".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }
}

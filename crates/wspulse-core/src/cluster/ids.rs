//! How servers and groups are named between servers.

use std::fmt;

/// Into how many parts groups are divided by their keys, so that a server that is interested in many
/// groups can listen to whole parts instead.
pub const SHARDS: u16 = 1 << SHARD_BITS;

const SHARD_BITS: u32 = 10;

/// A server of a cluster, from its start to its end: one that is started again is another one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId([u8; Self::BYTES]);

impl NodeId {
    /// How many bytes one takes between servers.
    pub const BYTES: usize = 16;

    /// Where a server stands among those who speak to a group, this stands for the group's log. No
    /// random id is like it.
    pub const LOG: Self = Self([0xff; Self::BYTES]);

    /// One that is drawn at random, so that no two servers have the same.
    pub const fn new(random: [u8; Self::BYTES]) -> Self {
        Self(random)
    }

    /// Its bytes, as they are sent.
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

/// A room or a user, by a hash of its name: a name may be long, and may hold what a broker takes for
/// a wildcard.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKey([u8; Self::BYTES]);

impl GroupKey {
    /// How many bytes one takes between servers.
    pub const BYTES: usize = 16;

    /// A hash that finds no two names alike.
    pub const fn new(hash: [u8; Self::BYTES]) -> Self {
        Self(hash)
    }

    /// Its bytes, as they are sent.
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The part of all groups that it is in, below [`SHARDS`].
    pub const fn shard(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]]) >> (u16::BITS - SHARD_BITS)
    }
}

/// How far somebody has heard what one server says to one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The server.
    pub origin: NodeId,
    /// Which of its streams to this group.
    pub stream: u32,
    /// The number of the last frame that was heard.
    pub number: u64,
}

impl Position {
    /// Whether the same server was heard further there: in the same stream, or in a later one.
    pub fn is_behind(&self, other: &Self) -> bool {
        (self.stream, self.number) < (other.stream, other.number)
    }
}

/// A place in the log of a room. Each frame has a later one than those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogPosition {
    /// When the log was begun, by the clock of whoever did: in seconds since 2020. A log of which
    /// nothing is left is begun anew, with a later time.
    pub epoch: u32,
    /// The number of the frame, counted from 1 without a hole.
    pub number: u64,
}

/// In seconds since 2020 and frames, such as `218000000.17`.
impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.number)
    }
}

/// Whom something is said to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// The members of a room, or the connections of a user.
    Group(GroupKey),
    /// All connections.
    Everybody,
}

/// In hexadecimal digits, of which there are 32.
impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

/// In hexadecimal digits, of which there are 32.
impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupKey({self})")
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_groups_part_is_in_its_first_bits() {
        let mut hash = [0xff; 16];
        assert_eq!(GroupKey::new(hash).shard(), SHARDS - 1);
        hash[..2].copy_from_slice(&[0x00, 0x40]);
        assert_eq!(GroupKey::new(hash).shard(), 1);
    }

    #[test]
    fn a_node_is_written_in_hexadecimal_digits() {
        let node = NodeId::new(*b"0123456789abcdef");
        assert_eq!(node.to_string(), "30313233343536373839616263646566");
    }
}

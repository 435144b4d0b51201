//! What a connection's second to eighth rooms cost in memory.

use std::sync::Arc;

use tokio::runtime::Runtime;
use wspulse::Connection;

use super::scheduled::resident_bytes;
use super::stage::{Due, enter, runtime, server};
use super::{Bar, Effort, Figure, figure};

const FURTHER_ROOMS: usize = 7;
const RESIDENT_BYTES_MAX: f64 = 96.0;
/// A small room's size, where many rooms are measured.
const MEMBERS: usize = 10;

/// Ten thousand idle connections, all of them in the same few rooms; then others in rooms of ten.
pub(crate) fn measure(effort: Effort) -> Vec<Figure> {
    let connections = match effort {
        Effort::Smoke => 1000,
        Effort::Full => 10_000,
    };
    let large = Grown::by(connections, |_, further| format!("large-{further}"));
    let small = Grown::by(connections, |n, further| format!("small-{further}-{}", n / MEMBERS));
    vec![
        figure("resident for each further room, large ones", large.bytes_each, "B")
            .held_to(Bar::AtMost(RESIDENT_BYTES_MAX)),
        figure("resident for each further room, of 10 members", small.bytes_each, "B"),
    ]
}

/// What further rooms took, and who is in them: memory that is freed would serve those who come
/// next, and they would seem to need none.
struct Grown {
    bytes_each: f64,
    _runtime: Runtime,
    _members: Vec<Connection>,
}

impl Grown {
    #[allow(clippy::cast_precision_loss, reason = "bytes of one machine's memory")]
    fn by(connections: usize, room: impl Fn(usize, usize) -> String) -> Self {
        let (runtime, server, due) = (runtime(), server(), Arc::new(Due::default()));
        let (members, grown) = runtime.block_on(async {
            let mut members = Vec::with_capacity(connections);
            for n in 0..connections {
                members.push(enter(&server, "home", &n.to_string(), &due).await);
            }
            // All have come up then.
            tokio::task::yield_now().await;
            let before = resident_bytes();
            for (n, member) in members.iter().enumerate() {
                for further in 0..FURTHER_ROOMS {
                    member.join(&room(n, further)).expect("it may be in 128 rooms");
                }
            }
            (members, resident_bytes().saturating_sub(before))
        });
        let bytes_each = grown as f64 / (connections * FURTHER_ROOMS) as f64;
        Self { bytes_each, _runtime: runtime, _members: members }
    }
}

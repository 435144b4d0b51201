//! What nodes have handled of what clients have sent: noted in files, since a node that is killed
//! cannot be asked.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::crowd::Own;

/// Two numbers, four bytes each: the client, or the room, and which of its frames.
const NOTE_BYTES: usize = 8;

/// A node's notes: of what a client has sent, or of what it has appended to a room.
#[derive(Debug)]
pub(super) struct Notes(File);

/// What has become of what all have sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Handled {
    pub(super) sent: u64,
    /// Frames that were handled, each counted once.
    pub(super) done: u64,
    /// Told as lost, and not handled.
    pub(super) told: u64,
    /// Neither handled nor told as lost.
    pub(super) lost: u64,
    /// Handled more than once: how often too many.
    pub(super) twice: u64,
}

impl Notes {
    pub(super) fn begin(path: &Path) -> io::Result<Self> {
        File::options().append(true).create_new(true).open(path).map(Self)
    }

    /// One write each: the kernel has it when this returns.
    pub(super) fn note(&self, client: u32, number: u32) -> io::Result<()> {
        let note = (u64::from(client) << 32) | u64::from(number);
        (&self.0).write_all(&note.to_be_bytes())
    }
}

/// The newest frame of each of so many rooms that was noted.
pub(super) fn newest(notes: &Path, rooms: usize) -> io::Result<Vec<u64>> {
    let mut all = vec![0; rooms];
    for note in fs::read(notes)?.chunks_exact(NOTE_BYTES) {
        let note = u64::from_be_bytes(note.try_into().expect("chunks are as long as a note"));
        let (room, number) = ((note >> 32) as usize, note & u64::from(u32::MAX));
        all[room] = all[room].max(number);
    }
    Ok(all)
}

/// Compares what was sent with all notes.
pub(super) fn compare(own: &[Own], notes: &[PathBuf]) -> io::Result<Handled> {
    let mut times = HashMap::<u64, u64>::new();
    for path in notes {
        for note in fs::read(path)?.chunks_exact(NOTE_BYTES) {
            let note = note.try_into().expect("chunks are as long as a note");
            *times.entry(u64::from_be_bytes(note)).or_default() += 1;
        }
    }
    let mut all = Handled::default();
    for own in own {
        for number in 1..=own.sent {
            let note = (u64::from(own.client) << 32) | u64::from(number);
            let times = times.get(&note).copied().unwrap_or_default();
            let is_told = own.told.contains(&number);
            all.sent += 1;
            all.done += times.min(1);
            all.twice += times.saturating_sub(1);
            all.told += u64::from(times == 0 && is_told);
            all.lost += u64::from(times == 0 && !is_told);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_by_one_node_or_another_is_handled_and_the_rest_told_or_lost() {
        let scratch = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| scratch.path().join(name));
        let [a, b] = [0, 1].map(|place: usize| Notes::begin(&paths[place]).unwrap());
        for (notes, number) in [(&a, 1), (&a, 2), (&b, 2), (&b, 4)] {
            notes.note(7, number).unwrap();
        }
        let own = [Own { client: 7, sent: 5, told: vec![3, 4] }];
        let handled = compare(&own, &paths).unwrap();
        assert_eq!(handled, Handled { sent: 5, done: 3, told: 1, lost: 1, twice: 1 });
    }
}

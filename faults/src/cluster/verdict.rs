//! What a case has come to.

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::meter::Latency;
use super::order::NodeView;

/// What all members that are left have heard.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Sum {
    /// Frames that were said by nodes that could still be asked.
    pub(super) said: u64,
    /// Frames that were heard.
    pub(super) heard: u64,
    /// That were told as lost, exactly.
    pub(super) told: u64,
    /// Losses of an unknown number.
    pub(super) unknown: u64,
    /// Lost without a word.
    pub(super) lost: u64,
    pub(super) twice: u64,
    pub(super) disordered: u64,
    /// Came although they had been told as lost.
    pub(super) found: u64,
    /// Told as lost, or heard, that never were said.
    pub(super) invented: u64,
    /// That a member's send buffer has dropped.
    pub(super) dropped: u64,
    /// Questions for what was lacking.
    pub(super) asked: u64,
}

impl Sum {
    pub(super) fn new(views: &[NodeView]) -> Self {
        Self {
            dropped: views.iter().map(|view| view.dropped).sum(),
            asked: views.iter().map(|view| view.asked).sum(),
            ..Self::default()
        }
    }

    /// What one member has heard of one node, and how much that has said to its room; `None` of a node
    /// that cannot be asked any more, of which holes alone show what is lost.
    pub(super) fn add(&mut self, account: Option<&Account>, said: Option<u64>) {
        let nothing = Account::default();
        let account = account.unwrap_or(&nothing);
        self.heard += account.heard;
        self.told += account.told;
        self.unknown += account.unknown;
        self.twice += account.twice;
        self.disordered += account.disordered;
        self.found += account.found;
        self.lost += said.map_or(account.holes(), |said| account.lost(said));
        self.invented += said.map_or(0, |said| account.invented(said));
    }

    /// With what others have heard, beside what was said and asked.
    pub(super) fn merge(&mut self, other: &Self) {
        self.heard += other.heard;
        self.told += other.told;
        self.unknown += other.unknown;
        self.lost += other.lost;
        self.twice += other.twice;
        self.disordered += other.disordered;
        self.found += other.found;
        self.invented += other.invented;
    }
}

/// A line of the table, and why it fails, if it does.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) sum: Sum,
    pub(super) elsewhere: Option<Latency>,
    /// The 99th percentile on the node itself, in milliseconds: before, and while the fault lasts.
    pub(super) here_p99_ms: Option<(f64, f64)>,
    pub(super) caught_up_seconds: Option<f64>,
    pub(super) notes: Vec<String>,
    pub(super) failures: Vec<String>,
}

impl Row {
    /// Of a case in which nothing may be lost.
    pub(super) fn complete(sum: Sum) -> Self {
        let mut row = Self::exact(sum);
        row.must(sum.told == 0, "frames were lost, if told");
        row
    }

    /// Of a case in which no more may be lost than is told, exactly.
    pub(super) fn exact(sum: Sum) -> Self {
        let mut row = Self {
            sum,
            elsewhere: None,
            here_p99_ms: None,
            caught_up_seconds: None,
            notes: Vec::new(),
            failures: Vec::new(),
        };
        row.must(sum.heard > 0, "nobody has heard anything");
        row.must(sum.lost == 0, "frames were lost without a word");
        row.must(sum.twice == 0, "frames came twice");
        row.must(sum.disordered == 0, "frames came out of order");
        row.must(sum.found == 0, &format!("{} frames came that were told as lost", sum.found));
        row.must(sum.invented == 0, &format!("{} more were told than were said", sum.invented));
        row.must(
            sum.unknown == 0,
            &format!("{} losses of an unknown number were told", sum.unknown),
        );
        row.must(sum.dropped == 0, "send buffers were too small for this case");
        row
    }

    pub(super) fn must(&mut self, holds: bool, otherwise: &str) {
        if !holds {
            self.failures.push(otherwise.to_owned());
        }
    }

    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

/// The head of the table.
pub(super) fn print_head() {
    println!(
        "| case | said | heard | told as lost | lost | twice | out of order | from elsewhere p50, p99 ms \
         | here p99 ms, before and meanwhile | caught up in s | asked | |\n|{}",
        "---|".repeat(12)
    );
}

/// A line of the table.
pub(super) fn print_row(name: &str, row: &Row) {
    let Sum { said, heard, told, lost, twice, disordered, asked, .. } = row.sum;
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "—".into());
    let elsewhere = row.elsewhere.map(|it| format!("{:.2}, {:.2}", it.p50_ms, it.p99_ms));
    let here = row.here_p99_ms.map(|(before, meanwhile)| format!("{before:.2}, {meanwhile:.2}"));
    let caught_up = row.caught_up_seconds.map(|seconds| format!("{seconds:.2}"));
    println!(
        "| {name} | {said} | {heard} | {told} | {lost} | {twice} | {disordered} | {} | {} | {} | {asked} | {} |",
        or_none(elsewhere),
        or_none(here),
        or_none(caught_up),
        row.notes.join("; "),
    );
    for failure in &row.failures {
        println!("FAILED: {name}: {failure}");
    }
}

//! `Mark`: what a message carries so that each copy of it can be told from all others, and says
//! when it was due.

use memchr::memmem::Finder;

/// What every mark begins with; behind it are the run, the sender, the number, the time.
const START: &str = "~w";
const END: u8 = b'~';

/// Which message a copy is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The client that has sent it.
    pub(crate) sender: usize,
    /// The how manyth message of this client, from 0.
    pub(crate) seq: u64,
    /// When it was to be sent, after the start of the sending.
    pub(crate) due_micros: u64,
}

/// Writes the marks of one run, and finds them.
#[derive(Debug)]
pub(crate) struct Marks {
    run: String,
    finder: Finder<'static>,
}

impl Marks {
    /// `run` must be made of letters and digits.
    pub(crate) fn new(run: &str) -> Self {
        let start = format!("{START}{run}.");
        Self { run: run.to_owned(), finder: Finder::new(&start).into_owned() }
    }

    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    /// As text that JSON and URLs take as it is.
    pub(crate) fn write(&self, mark: Mark) -> String {
        let Mark { sender, seq, due_micros } = mark;
        format!("{START}{}.{sender}.{seq}.{due_micros}~", self.run)
    }

    /// The first mark of this run in a message.
    pub(crate) fn find(&self, message: &[u8]) -> Option<Mark> {
        let from = self.finder.find(message)? + self.finder.needle().len();
        let rest = &message[from..];
        let end = memchr::memchr(END, rest)?;
        let mut numbers = std::str::from_utf8(&rest[..end]).ok()?.split('.');
        let mark = Mark {
            sender: numbers.next()?.parse().ok()?,
            seq: numbers.next()?.parse().ok()?,
            due_micros: numbers.next()?.parse().ok()?,
        };
        numbers.next().is_none().then_some(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = Mark { sender: 12, seq: 3, due_micros: 4567 };

    #[test]
    fn a_mark_is_found_in_a_message() {
        let marks = Marks::new("0a1b");

        let message = format!(r#"{{"text":"{} x"}}"#, marks.write(MARK));

        assert_eq!(marks.find(message.as_bytes()), Some(MARK));
    }

    #[test]
    fn marks_of_another_run_and_what_looks_like_one_are_none() {
        let marks = Marks::new("0a1b");
        let other = Marks::new("ffff").write(MARK);

        for message in
            [other.as_str(), "", "~w0a1b.", "~w0a1b.1.2~", "~w0a1b.1.2.3.4~", "~w0a1b.x.2.3~"]
        {
            assert_eq!(marks.find(message.as_bytes()), None, "{message}");
        }
    }
}

//! Processes that are killed, stopped and started again, and that never outlive the one that started them.

use std::io;
use std::process::{ExitStatus, Stdio};

use tempfile::TempDir;
use tokio::process::{Child, Command};

/// What all processes belong to. When the conductor ends, in whatever way, its end of a pipe is closed: the
/// shell at the other end then kills the whole process group, those that stand still included.
pub(crate) struct Group {
    guard: Child,
    id: i32,
    /// For what they need of files; it goes with them.
    pub(crate) folder: TempDir,
}

impl Group {
    pub(crate) fn new() -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        // Where one of them stands still, the system sends all of the group a SIGHUP as well.
        let guard = Command::new("sh")
            .args(["-c", "trap '' HUP; read -r _; rm -rf \"$0\"; kill -KILL 0"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .process_group(0) // so that Ctrl-C is for the conductor alone
            .spawn()?;
        let id = guard.id().and_then(|id| i32::try_from(id).ok());
        let id = id.ok_or_else(|| io::Error::other("a process without an id"))?;
        Ok(Self { guard, id, folder })
    }

    /// Kills all of them, and waits for it.
    pub(crate) async fn end(mut self, processes: Vec<Process>) -> io::Result<()> {
        drop(self.guard.stdin.take());
        self.guard.wait().await?;
        for mut process in processes {
            if let Some(child) = &mut process.child {
                child.wait().await?;
            }
        }
        Ok(())
    }
}

/// How a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Running,
    /// It stands still: SIGSTOP.
    Stopped,
    /// It was told to end, and sends its clients away first.
    Draining,
    Gone,
}

/// What can be done to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Continue,
    /// SIGTERM.
    Drain,
    /// A drain, if it runs, and then a new process.
    Restart,
}

/// A program that is started again and again, with a process of it or none.
pub(crate) struct Process {
    pub(crate) name: &'static str,
    command: Vec<String>,
    group: i32,
    child: Option<Child>,
    state: State,
    /// A new one is to follow.
    restarts: bool,
}

impl Process {
    pub(crate) fn start(name: &'static str, command: &[&str], group: &Group) -> io::Result<Self> {
        let command = command.iter().map(|&word| word.to_owned()).collect();
        let (group, state) = (group.id, State::Gone);
        let mut process = Self { name, command, group, child: None, state, restarts: false };
        process.spawn()?;
        Ok(process)
    }

    fn spawn(&mut self) -> io::Result<()> {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).stdin(Stdio::null()).process_group(self.group);
        let child = command.spawn();
        let program = &self.command[0];
        self.child = Some(
            child.map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?,
        );
        (self.state, self.restarts) = (State::Running, false);
        Ok(())
    }

    pub(crate) const fn state(&self) -> State {
        self.state
    }

    pub(crate) fn id(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Notes its end, if it has ended, and starts the next one if that is due.
    pub(crate) fn look(&mut self) -> io::Result<()> {
        if let Some(child) = &mut self.child
            && let Some(status) = child.try_wait()?
        {
            self.note_end(status);
        }
        if self.restarts && self.state == State::Gone { self.spawn() } else { Ok(()) }
    }

    fn note_end(&mut self, status: ExitStatus) {
        eprintln!("{} has ended: {status}", self.name);
        (self.child, self.state) = (None, State::Gone);
    }

    pub(crate) async fn act(&mut self, action: Action) -> io::Result<()> {
        self.look()?;
        match (action, self.state) {
            (Action::Kill, State::Running | State::Stopped | State::Draining) => {
                self.signal("-KILL").await?;
            }
            (Action::Stop, State::Running) => {
                self.signal("-STOP").await?;
                self.state = State::Stopped;
            }
            (Action::Continue, State::Stopped) => {
                self.signal("-CONT").await?;
                self.state = State::Running;
            }
            (Action::Drain, State::Running) => {
                self.signal("-TERM").await?;
                self.state = State::Draining;
            }
            (Action::Restart, State::Running) => {
                self.signal("-TERM").await?;
                (self.state, self.restarts) = (State::Draining, true);
            }
            (Action::Restart, State::Draining | State::Gone) => self.restarts = true,
            // The page has shown another state: nothing to do.
            (Action::Kill, State::Gone)
            | (Action::Stop | Action::Drain, State::Stopped | State::Draining | State::Gone)
            | (Action::Continue, State::Running | State::Draining | State::Gone)
            | (Action::Restart, State::Stopped) => {}
        }
        self.look()
    }

    /// It has not been waited for, so that its id is nobody else's.
    async fn signal(&self, signal: &str) -> io::Result<()> {
        let Some(id) = self.id() else { return Ok(()) };
        // The shell's own `kill`: not every machine has one as a program.
        let kill = ["-c", "kill \"$0\" \"$1\"", signal, &id.to_string()];
        let status = Command::new("sh").args(kill).status().await?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("kill {signal}: {status}")))
        }
    }
}

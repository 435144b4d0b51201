//! A real NATS server on a free port, which ends with its test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tempfile::TempDir;
use wspulse::cluster::{Engine, EngineFuture};
use wspulse::testing::cluster::{Engines, Interruption};
use wspulse_nats::{Builder, NatsEngine};

/// How long a server may take to be there.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct NatsServer {
    folder: TempDir,
    arguments: Vec<String>,
    port: u16,
    process: Mutex<Child>,
}

fn program() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = root.join(".cache/nats/bin/nats-server");
    assert!(program.exists(), "there is no NATS server to test with: `.ci/nats` gets one");
    program
}

fn spawn(folder: &Path, port: &str, arguments: &[String]) -> Child {
    Command::new(program())
        .args(["-a", "127.0.0.1", "-p", port, "--ports_file_dir"])
        .arg(folder)
        .args(arguments)
        .stderr(Stdio::null())
        .spawn()
        .expect("the NATS server should start")
}

/// The port that this process has told, once it is there.
fn told_port(folder: &Path, process: &Child) -> u16 {
    let file = folder.join(format!("nats-server_{}.ports", process.id()));
    let begun_at = Instant::now();
    loop {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let port = text
            .split_once("nats://127.0.0.1:")
            .and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
        if let Some(port) = port {
            return port;
        }
        assert!(begun_at.elapsed() < PATIENCE, "no NATS server within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl NatsServer {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        let process = spawn(folder.path(), "-1", &arguments);
        let port = told_port(folder.path(), &process);
        Self { folder, arguments, port, process: Mutex::new(process) }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn builder(&self) -> Builder {
        NatsEngine::builder(self.url()).cluster("test")
    }

    pub(crate) fn signal(&self, signal: &str) {
        let process = self.process.lock().id().to_string();
        let status = Command::new("kill").args([signal, &process]).status();
        assert!(status.expect("`kill` should run").success(), "kill {signal}");
    }

    /// SIGKILL.
    pub(crate) fn kill(&self) {
        let mut process = self.process.lock();
        let _ = process.kill();
        let _ = process.wait();
    }

    /// Once more, on the same port.
    pub(crate) fn start_again(&self) {
        let mut process = self.process.lock();
        *process = spawn(self.folder.path(), &self.port.to_string(), &self.arguments);
        assert_eq!(told_port(self.folder.path(), &process), self.port);
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Engines for NatsServer {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::new(self.builder().build().expect("options that can be"))
    }

    fn interruption(&self) -> Option<&dyn Interruption> {
        Some(self)
    }
}

impl Interruption for NatsServer {
    fn interrupt(&self) -> EngineFuture<'_, ()> {
        Box::pin(async { self.kill() })
    }

    fn restore(&self) -> EngineFuture<'_, ()> {
        Box::pin(async { self.start_again() })
    }
}

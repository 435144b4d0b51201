//! A real NATS server on a free port of the loopback address, as a process that ends with its handle.
//!
//! `.ci/nats` gets the program.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tempfile::TempDir;

/// How long a server may take to be there.
const PATIENCE: Duration = Duration::from_secs(20);

/// Stands for the folder of `JetStream` in a configuration.
const STORE: &str = "$STORE";

/// A NATS server. It is killed when this is dropped.
#[derive(Debug)]
pub struct NatsServer {
    folder: TempDir,
    host: String,
    config: String,
    ports: Ports,
    process: Mutex<Child>,
}

/// Where it listens; 0 where it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ports {
    clients: u16,
    routes: u16,
    monitoring: u16,
}

impl NatsServer {
    /// Starts one, for anybody.
    ///
    /// # Panics
    ///
    /// If there is no program, or it does not start.
    pub fn start() -> Self {
        Self::with_config("")
    }

    /// Starts one with these lines in its configuration. Where it listens is not to be among them,
    /// except for other servers: `cluster { listen: "127.0.0.1:-1" }`.
    ///
    /// # Panics
    ///
    /// If there is no program, or it does not start.
    pub fn with_config(config: &str) -> Self {
        Self::start_on("127.0.0.1", config)
    }

    /// Starts one with `JetStream`, whose streams are in a folder of its own and outlive its process,
    /// and with these lines in its configuration.
    ///
    /// # Panics
    ///
    /// If there is no program, or it does not start.
    pub fn with_jetstream(config: &str) -> Self {
        Self::with_config(&format!("jetstream {{ store_dir: \"{STORE}\" }}\n{config}"))
    }

    /// Starts three that are one NATS cluster with `JetStream`.
    ///
    /// # Panics
    ///
    /// If there is no program, or one does not start.
    pub fn three_with_jetstream() -> [Self; 3] {
        // How many there are is known by how many are named; where the later ones listen, they say.
        let config = |name: &str, to: &[&Self]| {
            let mut routes: Vec<_> = to.iter().map(|it| format!("\"{}\"", it.route())).collect();
            routes.resize(2, "\"nats://127.0.0.1:1\"".to_owned());
            format!(
                "server_name: {name}\n\
                 cluster {{ name: three, listen: \"127.0.0.1:-1\", routes: [{}] }}",
                routes.join(", ")
            )
        };
        let first = Self::with_jetstream(&config("a", &[]));
        let second = Self::with_jetstream(&config("b", &[&first]));
        let third = Self::with_jetstream(&config("c", &[&first, &second]));
        [first, second, third]
    }

    /// Starts one that can be reached by all addresses of the machine.
    ///
    /// # Panics
    ///
    /// If there is no program, or it does not start.
    pub fn on_all_addresses() -> Self {
        Self::start_on("0.0.0.0", "")
    }

    fn start_on(host: &str, config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let process = spawn(folder.path(), host, config, None);
        let ports = told_ports(folder.path(), &process);
        let (host, config) = (host.to_owned(), config.to_owned());
        Self { folder, host, config, ports, process: Mutex::new(process) }
    }

    /// Where clients connect to.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.ports.clients)
    }

    /// The port that clients connect to.
    pub const fn port(&self) -> u16 {
        self.ports.clients
    }

    /// Where other servers of its NATS cluster connect to, if it is one of a cluster.
    pub fn route(&self) -> String {
        format!("nats://127.0.0.1:{}", self.ports.routes)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.lock().id()
    }

    /// How many subscriptions it has, its own included.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub fn subscriptions(&self) -> io::Result<u64> {
        let text = self.ask("/subsz")?;
        let number = text.split_once("\"num_subscriptions\":").and_then(|(_, rest)| {
            let rest = rest.trim_start();
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        });
        number.ok_or_else(|| io::Error::other(format!("no number of subscriptions in {text:?}")))
    }

    /// What it tells of itself on a page of its monitoring port.
    fn ask(&self, page: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports.monitoring))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {page} HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Sends it a signal, such as `-STOP`.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.pid().to_string()]).status();
        assert!(status.expect("`kill` should run").success(), "kill {signal}");
    }

    /// SIGKILL.
    pub fn kill(&self) {
        let mut process = self.process.lock();
        let _ = process.kill();
        let _ = process.wait();
    }

    /// Once more, on the same ports.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start_again(&self) {
        let mut process = self.process.lock();
        *process = spawn(self.folder.path(), &self.host, &self.config, Some(self.ports));
        let ports = told_ports(self.folder.path(), &process);
        assert_eq!(ports.clients, self.ports.clients);
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn program() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = root.join(".cache/nats/bin/nats-server");
    assert!(program.exists(), "there is no NATS server: `.ci/nats` gets one");
    program
}

fn spawn(folder: &Path, host: &str, config: &str, ports: Option<Ports>) -> Child {
    let port = |of: fn(Ports) -> u16| ports.map_or("-1".into(), |ports| of(ports).to_string());
    let (clients, monitoring) = (port(|it| it.clients), port(|it| it.monitoring));
    // Others know where it listens for them.
    let config = match ports {
        Some(Ports { routes, .. }) if routes != 0 => {
            config.replace("127.0.0.1:-1", &format!("127.0.0.1:{routes}"))
        }
        Some(_) | None => config.to_owned(),
    };
    let config = config.replace(STORE, &folder.join("jetstream").display().to_string());
    let text = format!(
        "listen: \"{host}:{clients}\"\nhttp: \"127.0.0.1:{monitoring}\"\n\
         ports_file_dir: \"{}\"\n{config}\n",
        folder.display()
    );
    let file = folder.join("nats.conf");
    fs::write(&file, text).expect("a configuration can be written");
    Command::new(program())
        .arg("-c")
        .arg(file)
        .stderr(Stdio::null())
        .spawn()
        .expect("the NATS server should start")
}

/// The ports that this process has told, once it is there.
fn told_ports(folder: &Path, process: &Child) -> Ports {
    let file = folder.join(format!("nats-server_{}.ports", process.id()));
    let begun_at = Instant::now();
    loop {
        let text = fs::read_to_string(&file).unwrap_or_default();
        if let Some(clients) = port_of(&text, "nats") {
            return Ports {
                clients,
                routes: port_of(&text, "cluster").unwrap_or_default(),
                monitoring: port_of(&text, "monitoring").unwrap_or_default(),
            };
        }
        assert!(begun_at.elapsed() < PATIENCE, "no NATS server within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The first port of `{"nats":["nats://127.0.0.1:4222","nats://[::1]:4222"]}`.
fn port_of(text: &str, what: &str) -> Option<u16> {
    let (_, rest) = text.split_once(&format!("\"{what}\":[\""))?;
    let (address, _) = rest.split_once('"')?;
    address.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_found_by_what_it_is_for() {
        let text = r#"{"nats":["nats://127.0.0.1:42","nats://[::1]:42"],"monitoring":["http://127.0.0.1:8"]}"#;
        assert_eq!(port_of(text, "nats"), Some(42));
        assert_eq!(port_of(text, "monitoring"), Some(8));
        assert_eq!(port_of(text, "cluster"), None);
    }
}

//! A proxy between clients and server, as its documented configuration has it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wspulse_faults::ReservedAddress;

/// Which one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Nginx,
    Haproxy,
}

/// A proxy that runs; it is killed when this is dropped.
pub(crate) struct Proxy {
    kind: Kind,
    dir: TempDir,
    address: ReservedAddress,
    child: Child,
}

/// How long a tunnel may be idle in these tests, instead of the 75 s of the documented files.
const IDLE: &str = "1s";

impl Proxy {
    /// Starts one in front of a server.
    pub(crate) fn start(kind: Kind, server: SocketAddr) -> Self {
        let dir = TempDir::new().expect("a directory");
        let address = ReservedAddress::new().expect("a free port");
        let template = match kind {
            Kind::Nginx => include_str!("../../../examples/proxies/nginx.conf"),
            Kind::Haproxy => include_str!("../../../examples/proxies/haproxy.cfg"),
        };
        let config = template
            .replace("127.0.0.1:8080", &address.get().to_string())
            .replace("127.0.0.1:3000", &server.to_string())
            .replace("75s", IDLE);
        fs::write(dir.path().join("config"), config).expect("a writable directory");
        let child = spawn(kind, &dir);
        let mut proxy = Self { kind, dir, address, child };
        proxy.wait_listening();
        proxy
    }

    /// Where clients reach it.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address.get()
    }

    /// Ends it, and with it all of its tunnels, and starts it anew at the same address.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.child = spawn(self.kind, &self.dir);
        self.wait_listening();
    }

    fn stop(&mut self) {
        // Its workers end with it only if it is asked to end.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
    }

    fn wait_listening(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(self.address()).is_err() {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{:?} ended with {status}", self.kind);
            }
            assert!(Instant::now() < deadline, "{:?} does not listen", self.kind);
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(kind: Kind, dir: &TempDir) -> Child {
    let config = dir.path().join("config");
    let mut command = match kind {
        Kind::Nginx => {
            let mut command = Command::new("nginx");
            command.arg("-p").arg(dir.path()).arg("-c").arg(&config);
            command.args(["-e", "stderr", "-g", "daemon off;"]);
            command
        }
        Kind::Haproxy => {
            let mut command = Command::new("haproxy");
            command.args(["-db", "-q", "-f"]).arg(&config);
            command
        }
    };
    command.spawn().unwrap_or_else(|error| panic!("{kind:?} is not here: {error}"))
}

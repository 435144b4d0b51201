//! nginx in front of a server, as its documented configuration has it.

use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::sleep;
use wspulse_faults::ReservedAddress;

/// It runs; it is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Nginx {
    child: Child,
    address: ReservedAddress,
    _dir: TempDir,
}

/// The configuration that the page on proxies is about.
const CONFIG: &str = include_str!("../../examples/proxies/nginx.conf");

impl Nginx {
    /// Whether this machine has it.
    pub(crate) fn is_here() -> bool {
        let version = Command::new("nginx").arg("-v").stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    }

    /// Starts one in front of a server.
    pub(crate) async fn start(server: SocketAddr) -> io::Result<Self> {
        let dir = TempDir::new()?;
        let address = ReservedAddress::new()?;
        let config = CONFIG
            .replace("127.0.0.1:8080", &address.get().to_string())
            .replace("127.0.0.1:3000", &server.to_string());
        let file = dir.path().join("config");
        std::fs::write(&file, config)?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir.path()).arg("-c").arg(&file);
        // It tells of each connection that was reset, which is what this is about.
        command.args(["-e", "/dev/null", "-g", "daemon off;"]).stderr(Stdio::null());
        let child = command.spawn()?;
        let nginx = Self { child, address, _dir: dir };
        for _ in 0..400 {
            if TcpStream::connect(nginx.address()).await.is_ok() {
                return Ok(nginx);
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err(io::Error::other("nginx does not listen"))
    }

    /// Where it is reached.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address.get()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with it only if it is asked to end.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
    }
}

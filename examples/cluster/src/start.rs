//! Starts NATS, three nodes and `HAProxy`, each at a free port of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::net::{TcpSocket, TcpStream};

use crate::process::{Group, Process};

pub(crate) const NODES: [&str; 3] = ["a", "b", "c"];
pub(crate) const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

const GLANCE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(20); // until somebody listens

/// An address that the kernel gives to nobody meanwhile but to who asks for it by its number: so a process
/// that is started again finds it free.
pub(crate) struct Reserved {
    _socket: TcpSocket,
    pub(crate) address: SocketAddr,
}

impl Reserved {
    pub(crate) fn new(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        socket.bind(address)?;
        let address = socket.local_addr()?;
        Ok(Self { _socket: socket, address })
    }

    async fn until_somebody_listens(&self, name: &str) -> io::Result<()> {
        let begun_at = Instant::now();
        while TcpStream::connect(self.address).await.is_err() {
            if begun_at.elapsed() > PATIENCE {
                let why = format!("{name} does not listen at {}", self.address);
                return Err(io::Error::other(why));
            }
            tokio::time::sleep(GLANCE).await;
        }
        Ok(())
    }
}

pub(crate) async fn nats(group: &Group) -> io::Result<(Process, Reserved)> {
    // Where `.ci/nats` puts it, or in the PATH.
    let here = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.cache/nats/bin/nats-server"));
    let program = if here.exists() { here } else { Path::new("nats-server") }.display().to_string();
    let reserved = Reserved::new(ANY)?;
    let port = reserved.address.port().to_string();
    let log = group.folder.path().join("nats.log").display().to_string();
    let command = [&*program, "--addr", "127.0.0.1", "--port", &port, "--log", &log];
    let process = Process::start("nats", &command, group)?;
    reserved.until_somebody_listens(&program).await?;
    Ok((process, reserved))
}

/// All of them, once they take clients.
pub(crate) async fn nodes(
    nats: SocketAddr,
    group: &Group,
) -> io::Result<(Vec<Process>, Vec<Reserved>)> {
    let this = std::env::current_exe()?.display().to_string();
    let (mut processes, mut reserved) = (Vec::new(), Vec::new());
    for name in NODES {
        let node = Reserved::new(ANY)?;
        let (address, nats) = (node.address.to_string(), format!("nats://{nats}"));
        processes.push(Process::start(name, &[&this, "node", name, &address, &nats], group)?);
        reserved.push(node);
    }
    for (name, node) in NODES.iter().zip(&reserved) {
        node.until_somebody_listens(&format!("node {name}")).await?;
    }
    Ok((processes, reserved))
}

/// With `haproxy.cfg` as it is, but for the addresses.
pub(crate) async fn balancer(
    public: &Reserved,
    page: SocketAddr,
    nodes: &[Reserved],
    control: &Path,
    group: &Group,
) -> io::Result<Process> {
    let mut config = include_str!("../haproxy.cfg")
        .replace("127.0.0.1:8080", &public.address.to_string())
        .replace("127.0.0.1:3000", &page.to_string())
        .replace("/run/haproxy.sock", &control.display().to_string());
    for (node, port) in nodes.iter().zip(3001..) {
        config = config.replace(&format!("127.0.0.1:{port}"), &node.address.to_string());
    }
    let file = group.folder.path().join("haproxy.cfg");
    std::fs::write(&file, config)?;
    let command = ["haproxy", "-db", "-q", "-f", &file.display().to_string()];
    let process = Process::start("haproxy", &command, group)?;
    public.until_somebody_listens("haproxy").await?;
    Ok(process)
}

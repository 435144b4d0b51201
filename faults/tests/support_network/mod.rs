//! A network between the clients, which are in this process, and a server in a namespace.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use wspulse_faults::Attacked;

/// Two interfaces with a cable between them: the clients' here, the server's in its namespace.
pub(crate) struct Network {
    index: u8,
}

/// Whom a fault befalls.
#[derive(Clone, Copy)]
pub(crate) enum Victim {
    Everybody,
    /// The client with this port.
    Port(u16),
}

impl Network {
    /// Lays it. It is gone with the namespace that `faults/packets` runs the tests in.
    pub(crate) fn lay() -> Self {
        static LAID: AtomicU8 = AtomicU8::new(1);
        let private = std::env::var("WSPULSE_FAULTS_NETWORK").is_ok_and(|kind| kind == "private");
        assert!(private, "these tests change the network: run them by `faults/packets`");
        let index = LAID.fetch_add(1, Ordering::Relaxed);
        let network = Self { index };
        let (server, cable) = (network.namespace(), network.cable());
        run(&format!("ip netns add {server}"));
        run(&format!("ip link add {cable} type veth peer name eth0 netns {server}"));
        run(&format!("ip addr add 10.99.{index}.1/24 dev {cable}"));
        run(&format!("ip link set {cable} up"));
        run(&format!("ip -n {server} addr add 10.99.{index}.2/24 dev eth0"));
        run(&format!("ip -n {server} link set eth0 up"));
        run(&format!("nft add table ip {server}"));
        run(&format!("nft add chain ip {server} input {{ type filter hook input priority 0 ; }}"));
        network.at_server(&format!("nft add table ip {server}"));
        network.at_server(&format!(
            "nft add chain ip {server} input {{ type filter hook input priority 0 ; }}"
        ));
        network
    }

    /// A server at the far end.
    pub(crate) fn server(&self, program: &str, arguments: &[&str]) -> Attacked {
        let address = Ipv4Addr::new(10, 99, self.index, 2);
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(), program, "server"]);
        command.args(["--bind", &format!("{address}:0")]).args(arguments);
        Attacked::spawn(command, IpAddr::V4(address))
    }

    /// From now on nothing of the victim's arrives, in neither direction, and nobody is told.
    pub(crate) fn cut(&self, victim: Victim) {
        self.drop_at_both_ends(victim, "");
    }

    /// From now on so many packets of a hundred are lost, each way.
    pub(crate) fn lose(&self, percent: u8) {
        self.drop_at_both_ends(Victim::Everybody, &format!("numgen random mod 100 < {percent}"));
    }

    /// From now on all packets arrive.
    pub(crate) fn heal(&self) {
        let server = self.namespace();
        run(&format!("nft flush chain ip {server} input"));
        self.at_server(&format!("nft flush chain ip {server} input"));
    }

    /// From now on the cable takes so much, each way, and the rest waits in front of it.
    pub(crate) fn narrow(&self, kilobits_per_second: u32) {
        let bucket = format!("tbf rate {kilobits_per_second}kbit burst 3kb latency 5s");
        run(&format!("tc qdisc add dev {} root {bucket}", self.cable()));
        self.at_server(&format!("tc qdisc add dev eth0 root {bucket}"));
    }

    /// Kills the server's socket of the client with this port, as an administrator can.
    pub(crate) fn kill(&self, port: u16) {
        self.at_server(&format!("ss -K dst 10.99.{}.1 dport = {port}", self.index));
    }

    /// Packets are dropped where they arrive: a sender whose own filter drops them would be told.
    fn drop_at_both_ends(&self, victim: Victim, chance: &str) {
        let (to_client, to_server) = match victim {
            Victim::Everybody => (String::new(), String::new()),
            Victim::Port(port) => (format!("tcp dport {port}"), format!("tcp sport {port}")),
        };
        let rule = format!("nft add rule ip {} input", self.namespace());
        run(&format!("{rule} iifname {} ip protocol tcp {to_client} {chance} drop", self.cable()));
        self.at_server(&format!("{rule} ip protocol tcp {to_server} {chance} drop"));
    }

    fn at_server(&self, command: &str) {
        run(&format!("ip netns exec {} {command}", self.namespace()));
    }

    fn namespace(&self) -> String {
        format!("server{}", self.index)
    }

    fn cable(&self) -> String {
        format!("cable{}", self.index)
    }
}

fn run(command: &str) {
    let mut words = command.split_ascii_whitespace();
    let program = words.next().expect("a command");
    let output = Command::new(program).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{command}: {error}"));
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

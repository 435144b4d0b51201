//! What lies between a client and its server, and every way in which it fails.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::pipe::{LinkStream, Transport};
use super::trace::Trace;

/// How many bytes each way of a transport holds before its writer waits.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// One of the two ways of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

impl Way {
    /// The other one.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

/// What becomes of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Both ends see a reset at once; what was on its way is lost. The next transport is a good one.
    Reset,
    /// As [`Reset`](Self::Reset), and whoever dials is refused until the link is restored.
    Down,
    /// Nothing arrives any more, either way, and nobody is told, as in a tunnel. Writers may go on
    /// until 64 KiB wait. What waits arrives once the link is restored, as TCP has it.
    Silence,
    /// As [`Silence`](Self::Silence), one way.
    Stall(Way),
    /// The end of the stream comes in the middle of the connection, one way; the other goes on.
    HalfClose(Way),
    /// Each read gets a single byte, both ways.
    ByteByByte,
}

/// A cable between a client and a server in the same test: each transport that is dialled by it
/// fails when it does. A handle that is cheap to clone.
///
/// ```
/// use wspulse::testing::{Fault, TestServer, Way};
/// # use wspulse::{Admission, Server};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let builder = Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
/// #     .resume_window(std::time::Duration::from_secs(30));
/// let test = TestServer::new(builder)?;
/// let ann = test.client("ann").connect("/ws").await;
/// ann.link().fail(Fault::Silence); // a tunnel: the server still believes in her
/// test.server().broadcast("lobby", wspulse::Frame::new("news"))?;
/// ann.refute("news").await;
/// ann.link().restore();
/// ann.expect("news").await;
/// ann.link().fail_mid_frame(Way::Down, Fault::Reset); // the next frame arrives in part
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Link(Arc<Shared>);

struct Shared {
    name: String,
    trace: Trace,
    /// Takes the server's end, with the client's address.
    server: Box<dyn Fn(LinkStream, Option<SocketAddr>) -> io::Result<()> + Send + Sync>,
    state: Mutex<State>,
}

struct State {
    /// What holds for each transport until the link is restored.
    lasting: Vec<Fault>,
    /// What only the next transport has.
    planned: Vec<Planned>,
    newest: Weak<Mutex<Transport>>,
    address: Option<SocketAddr>,
    waiting_bytes_max: usize,
}

#[derive(Debug, Clone, Copy)]
struct Planned {
    way: Way,
    /// `None`: in the middle of the next frame.
    bytes: Option<usize>,
    fault: Fault,
}

impl Link {
    /// A link to whoever takes its far ends: called for each transport that is dialled.
    pub(super) fn new(
        name: String,
        trace: Trace,
        server: impl Fn(LinkStream, Option<SocketAddr>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let state = State {
            lasting: Vec::new(),
            planned: Vec::new(),
            newest: Weak::new(),
            address: None,
            waiting_bytes_max: WAITING_BYTES_MAX,
        };
        Self(Arc::new(Shared { name, trace, server: Box::new(server), state: state.into() }))
    }

    /// Opens a transport: a stream for any client that takes one, such as that of `wspulse-client`
    /// by its `connector`.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` if the link is down, or the server has gone.
    pub fn dial(&self) -> io::Result<LinkStream> {
        let mut state = self.0.state.lock();
        if state.lasting.contains(&Fault::Down) {
            self.note("refuses a transport: it is down");
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (transport, client, server) = Transport::open(state.waiting_bytes_max);
        let mut opened = transport.lock();
        for &fault in &state.lasting {
            opened.fail(fault);
        }
        for Planned { way, bytes, fault } in state.planned.drain(..) {
            match bytes {
                Some(bytes) => opened.fail_after(way, bytes, fault),
                None => opened.fail_in_next_write(way, fault),
            }
        }
        drop(opened);
        state.newest = Arc::downgrade(&transport);
        let address = state.address;
        drop(state);
        (self.0.server)(server, address)?;
        Ok(client)
    }

    /// Has it fail now, and for the transports to come as well, but for [`Fault::Reset`] and
    /// [`Fault::HalfClose`], which are about the one that is there.
    pub fn fail(&self, fault: Fault) {
        self.note(format_args!("{fault}"));
        let mut state = self.0.state.lock();
        match fault {
            Fault::Reset | Fault::HalfClose(_) => {}
            Fault::Down | Fault::Silence | Fault::Stall(_) | Fault::ByteByByte => {
                state.lasting.push(fault);
            }
        }
        let newest = state.newest.upgrade();
        drop(state);
        if let Some(transport) = newest {
            transport.lock().fail(fault);
        }
    }

    /// Resets it: [`Fault::Reset`], the cut that both ends see.
    pub fn cut(&self) {
        self.fail(Fault::Reset);
    }

    /// Has the transport that is there, or else the next one, fail once so many more bytes have
    /// passed this way. The transports after it are good ones.
    pub fn fail_after(&self, way: Way, bytes: usize, fault: Fault) {
        self.note(format_args!("{fault}, once {bytes} more bytes have gone {way}"));
        self.plan(Planned { way, bytes: Some(bytes), fault });
    }

    /// Has the transport that is there, or else the next one, fail in the middle of the next frame
    /// that goes this way: all of what is written next arrives but its last byte.
    pub fn fail_mid_frame(&self, way: Way, fault: Fault) {
        self.note(format_args!("{fault}, in the middle of the next frame {way}"));
        self.plan(Planned { way, bytes: None, fault });
    }

    fn plan(&self, planned: Planned) {
        let mut state = self.0.state.lock();
        let Some(transport) = state.newest.upgrade() else {
            state.planned.push(planned);
            return;
        };
        drop(state);
        let Planned { way, bytes, fault } = planned;
        let mut transport = transport.lock();
        match bytes {
            Some(bytes) => transport.fail_after(way, bytes, fault),
            None => transport.fail_in_next_write(way, fault),
        }
    }

    /// Ends all faults: what waits goes on, and whoever dials gets through. A transport that was
    /// reset or half closed stays so.
    pub fn restore(&self) {
        self.note("is good again");
        let mut state = self.0.state.lock();
        state.lasting.clear();
        state.planned.clear();
        let newest = state.newest.upgrade();
        drop(state);
        if let Some(transport) = newest {
            transport.lock().restore();
        }
    }

    /// How many bytes may wait in each way of the transports to come before their writers wait.
    /// 64 KiB by default.
    pub fn set_waiting_bytes_max(&self, bytes: usize) {
        self.0.state.lock().waiting_bytes_max = bytes.max(1);
    }

    /// From which address the transports to come seem to be. None by default; over TCP it is always
    /// the socket's.
    pub fn set_address(&self, address: SocketAddr) {
        self.0.state.lock().address = Some(address);
    }

    /// How many bytes of the newest transport, if it is still there, have arrived this way.
    pub fn passed_bytes(&self, way: Way) -> u64 {
        let newest = self.0.state.lock().newest.upgrade();
        newest.map_or(0, |transport| transport.lock().passed_bytes(way))
    }

    fn note(&self, what: impl fmt::Display) {
        self.0.trace.note(format_args!("link of {}", self.0.name), what);
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("name", &self.0.name).finish_non_exhaustive()
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset => f.write_str("is reset"),
            Self::Down => f.write_str("is down"),
            Self::Silence => f.write_str("is silent"),
            Self::Stall(way) => write!(f, "lets nothing {way}"),
            Self::HalfClose(way) => write!(f, "is closed {way}"),
            Self::ByteByByte => f.write_str("passes byte by byte"),
        }
    }
}

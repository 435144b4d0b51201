//! A network between the pages and the server that can be cut, for the page's buttons. No
//! application needs this file.
//!
//! It is a proxy that passes bytes on and knows nothing of WebSocket. A page names its cable in the
//! address that it connects to, as `cable=…`, and cuts it by requests to `/network`, which come by
//! other connections. While a cable is silent, nothing goes either way, and neither end is told;
//! what was on its way waits, as it does in a network that is gone for a while. What is inside of
//! the proxy when a connection is cut is lost.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

const HEAD_BYTES_MAX: usize = 8 * 1024;
/// For a request's head. Browsers open connections before they need them.
const HEAD_WAIT: Duration = Duration::from_mins(1);
/// Nobody is waited for any longer, such as a page that was closed in a silence.
const SILENCE_MAX: Duration = Duration::from_mins(3);

/// What a page may do to its cable.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    /// Ends its connections as a proxy does that is restarted.
    Close,
    /// Ends them as a router does that has forgotten them.
    Reset,
    /// Lets nothing through, until it is restored.
    Silence,
    Restore,
}

impl Order {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "close" => Some(Self::Close),
            "reset" => Some(Self::Reset),
            "silence" => Some(Self::Silence),
            "restore" => Some(Self::Restore),
            _ => None,
        }
    }
}

/// The state of a cable, which its connections watch.
#[derive(Default)]
struct Link {
    is_silent: bool,
    /// How often it was cut. A connection ends when this changes.
    cuts: u64,
    /// The last cut was a reset.
    is_reset: bool,
    /// How many connections it has had. A page has one at a time, the newest.
    connections: u64,
}

type Cable = Arc<watch::Sender<Link>>;

/// The cables of all pages, by their names, with when they were used last.
#[derive(Default)]
pub(crate) struct Network {
    cables: Mutex<HashMap<String, (Cable, Instant)>>,
}

impl Network {
    /// Does to a cable what its page wants; false if no connection has named that cable.
    pub(crate) fn obey(&self, name: &str, order: Order) -> bool {
        let mut cables = self.cables.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((cable, used_at)) = cables.get_mut(name) else { return false };
        *used_at = Instant::now();
        cable.send_modify(|link| match order {
            Order::Close | Order::Reset => {
                link.cuts += 1;
                link.is_reset = matches!(order, Order::Reset);
            }
            Order::Silence => link.is_silent = true,
            Order::Restore => link.is_silent = false,
        });
        true
    }

    /// Passes on what comes to the listener, for ever.
    pub(crate) async fn carry(
        self: Arc<Self>,
        listener: TcpListener,
        server: SocketAddr,
    ) -> io::Result<()> {
        let mut connections = JoinSet::new();
        loop {
            let (page, _) = listener.accept().await?;
            let network = Arc::clone(&self);
            connections.spawn(async move {
                // It has ended, by whichever end: there is nobody to tell.
                let _ = network.connect(page, server).await;
            });
            while connections.try_join_next().is_some() {}
        }
    }

    async fn connect(&self, mut page: TcpStream, server: SocketAddr) -> io::Result<()> {
        let head = timeout(HEAD_WAIT, read_head(&mut page)).await??;
        let cable = self.cable(&head);
        let mut number = 0;
        cable.send_modify(|link| {
            link.connections += 1;
            number = link.connections;
        });
        is_up(&cable).await?;
        let mut server = TcpStream::connect(server).await?;
        let Link { cuts, connections, .. } = *cable.borrow();
        // Some browsers keep what their page has given up open for a while. If it came to the server
        // behind its successor, the session would be taken from that.
        if connections != number || has_hung_up(&page) {
            return Ok(());
        }
        server.write_all(&head).await?;
        let (page_in, page_out) = page.split();
        let (server_in, server_out) = server.split();
        let mut cut = cable.subscribe();
        tokio::select! {
            passed = async {
                tokio::try_join!(
                    pass_on(page_in, server_out, &cable),
                    pass_on(server_in, page_out, &cable),
                )
            } => passed.map(|_| ()),
            _ = cut.wait_for(|link| link.cuts != cuts) => {
                if cable.borrow().is_reset {
                    page.set_zero_linger()?;
                    server.set_zero_linger()?;
                }
                Ok(())
            }
        }
    }

    /// The cable that a request names, or one that nobody cuts.
    fn cable(&self, head: &[u8]) -> Cable {
        let Some(name) = cable_name(head) else { return Cable::default() };
        let mut cables = self.cables.lock().unwrap_or_else(PoisonError::into_inner);
        cables.retain(|_, (cable, used_at)| {
            Arc::strong_count(cable) > 1 || used_at.elapsed() < SILENCE_MAX
        });
        let (cable, used_at) =
            cables.entry(name).or_insert_with(|| (Cable::default(), Instant::now()));
        *used_at = Instant::now();
        Arc::clone(cable)
    }
}

/// Reads up to the end of a request's head, or as much as one may be long.
async fn read_head(page: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(1024);
    while head.len() < HEAD_BYTES_MAX && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if page.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

/// Whether a page has given its request up while that waited; it sends nothing behind its head.
fn has_hung_up(page: &TcpStream) -> bool {
    !matches!(page.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// The value of `cable` in the query of a request.
fn cable_name(head: &[u8]) -> Option<String> {
    let line = head.split(|&byte| byte == b'\r').next()?;
    let target = std::str::from_utf8(line).ok()?.split(' ').nth(1)?;
    let (_, query) = target.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix("cable=")).map(str::to_owned)
}

async fn pass_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    cable: &Cable,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        is_up(cable).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

/// Waits for the end of a silence.
async fn is_up(cable: &Cable) -> io::Result<()> {
    let mut link = cable.subscribe();
    // It fails when the sender is gone, which is here.
    let _ = timeout(SILENCE_MAX, link.wait_for(|link| !link.is_silent)).await?;
    Ok(())
}

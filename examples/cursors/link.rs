//! A network between the pages and the server that can be slow, for the page's dial. No application
//! needs this file.
//!
//! It is a proxy that passes bytes on and knows nothing of WebSocket. A page names its link in the
//! address that it connects to, as `link=…`, and sets its rate by requests to `/link`, which come by
//! connections without that name. Only what goes to the page is slowed down.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const HEAD_BYTES_MAX: usize = 8 * 1024;
/// For a request's head. Browsers open connections before they need them.
const HEAD_WAIT: Duration = Duration::from_mins(1);
/// How much may be inside of the proxy.
const BUFFER_BYTES: u32 = 4 * 1024;
/// How finely a rate is shared out.
const SLICE: Duration = Duration::from_millis(50);
const SLICES_PER_SECOND: u32 = 20;

/// How many bytes a second go through a link; 0 is as many as there are.
type Rate = Arc<AtomicU32>;

/// The rates of all pages' links, by their names.
#[derive(Default)]
pub(crate) struct Links {
    rates: Mutex<HashMap<String, Rate>>,
}

impl Links {
    /// Sets the rate of a link; false if no connection has that link.
    pub(crate) fn set_rate(&self, name: &str, bytes_per_second: u32) -> bool {
        let rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = rates.get(name);
        rate.inspect(|rate| rate.store(bytes_per_second, Ordering::Relaxed)).is_some()
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
            let links = Arc::clone(&self);
            connections.spawn(async move {
                // It has ended, by whichever end: there is nobody to tell.
                let _ = links.connect(page, server).await;
            });
            while connections.try_join_next().is_some() {}
        }
    }

    async fn connect(&self, mut page: TcpStream, server: SocketAddr) -> io::Result<()> {
        let head = timeout(HEAD_WAIT, read_head(&mut page)).await??;
        let rate = self.rate(&head);
        let socket = TcpSocket::new_v4()?;
        // What waits here has left the server, and nothing newer can take its place.
        socket.set_recv_buffer_size(BUFFER_BYTES)?;
        let mut server = socket.connect(server).await?;
        page.set_nodelay(true)?;
        server.set_nodelay(true)?;
        server.write_all(&head).await?;
        let (mut page_in, page_out) = page.split();
        let (server_in, mut server_out) = server.split();
        tokio::select! {
            passed = copy(&mut page_in, &mut server_out) => passed.map(drop),
            passed = pass_on(server_in, page_out, &rate) => passed,
        }
    }

    /// The rate of the link that a request names, or none.
    fn rate(&self, head: &[u8]) -> Rate {
        let Some(name) = link_name(head) else { return Rate::default() };
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.retain(|other, rate| *other == name || Arc::strong_count(rate) > 1);
        Arc::clone(rates.entry(name).or_default())
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

/// The value of `link` in the query of a request.
fn link_name(head: &[u8]) -> Option<String> {
    let line = head.split(|&byte| byte == b'\r').next()?;
    let target = std::str::from_utf8(line).ok()?.split(' ').nth(1)?;
    let (_, query) = target.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix("link=")).map(str::to_owned)
}

/// Passes on as much in each slice of time as the rate allows.
async fn pass_on(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    rate: &AtomicU32,
) -> io::Result<()> {
    let mut buffer = [0; BUFFER_BYTES as usize];
    loop {
        let slice_bytes = match rate.load(Ordering::Relaxed) {
            0 => BUFFER_BYTES,
            rate => (rate / SLICES_PER_SECOND).clamp(1, BUFFER_BYTES),
        };
        let read = from.read(&mut buffer[..slice_bytes as usize]).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
        if rate.load(Ordering::Relaxed) != 0 {
            sleep(SLICE).await;
        }
    }
}

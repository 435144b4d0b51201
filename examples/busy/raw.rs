//! Bytes on sockets, as no client sends them that works.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Posts nothing to a path, and waits for the answer.
pub(crate) async fn post(address: SocketAddr, path: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    stream.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// Asks for a page where WebSocket is spoken: it is refused.
pub(crate) async fn ask_for_a_page(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// A client that has shaken hands, and neither reads what it is sent nor answers.
pub(crate) struct Deaf(TcpStream);

impl Deaf {
    pub(crate) async fn connect(address: SocketAddr, id: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!(
            "GET /ws?id={id} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        stream.read_u8().await?;
        Ok(Self(stream))
    }

    /// Sends a text that is no frame of the server's codec. It is masked with zeros.
    pub(crate) async fn talk_nonsense(&mut self) -> io::Result<()> {
        let payload = b"no frame";
        let length = 0x80 | u8::try_from(payload.len()).expect("it is short");
        self.0.write_all(&[0x81, length, 0, 0, 0, 0]).await?;
        self.0.write_all(payload).await
    }
}

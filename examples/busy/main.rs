//! Something to see for whoever has metrics: people who talk in the chat, and a server of its own
//! that has what the chat has not. `.ci/metrics` has Prometheus look at both.
//!
//! ```text
//! cargo run --example chat -- --port 3000
//! cargo run --example busy -- 127.0.0.1:3000 [SECONDS]
//! ```
//!
//! | file | what |
//! |---|---|
//! | `people.rs` | people in the chat: they talk, read, leave, come back, and lose their networks |
//! | `board.rs` | a server whose clients are slow, wrong and silent, and whose callbacks are no better |
//! | `raw.rs` | what no client does that works: bytes on sockets |

mod board;
mod people;
mod raw;

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

type Failed = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args().skip(1);
    let chat: SocketAddr = arguments.next().ok_or("which chat? busy ADDRESS [SECONDS]")?.parse()?;
    let seconds = arguments.next().map_or(Ok(u64::MAX), |seconds| seconds.parse())?;
    let over = async {
        if seconds == u64::MAX {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Ok(())
    };
    tokio::select! {
        result = people::live(chat) => result,
        result = board::run() => result,
        result = over => result,
    }
}

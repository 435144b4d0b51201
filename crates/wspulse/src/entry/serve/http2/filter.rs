//! What stands between a connection and h2: it sees each frame first, counts those that cost too much,
//! and has data wait that nobody reads.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::allowance::{Allowance, TooManyFrames};
use super::answers::Answers;
use super::frames::{HEADER_BYTES, Header, PAYLOAD_BYTES_MAX, WrittenFrames, flag, kind};
use super::inbox::Inbox;
use super::preface::PREFACE;
use super::unread::Unread;
use super::unsure::{PATIENCE, TooMuchUnread};
use crate::ground::running_time::RunningTimer;

/// How much is read at once: a frame of the longest.
const READ_BYTES: usize = 16 * 1024;
/// What is kept of a buffer that is empty.
const KEPT_BYTES_MAX: usize = 1024;

thread_local! {
    /// What is read into, and given to whoever can use it.
    static READ: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A stream of frames, at whose end a client that sends too many of the cheap ones is.
pub(super) struct Filter<IO> {
    stream: IO,
    allowance: Allowance,
    inbox: Inbox,
    answers: Answers,
    incoming: Incoming,
    written: WrittenFrames,
    /// While data waits for other data to be read.
    patience: Option<RunningTimer>,
    /// What h2 is still to get.
    out: Vec<u8>,
    given_bytes: usize,
    /// The end of what comes, once h2 has got all before.
    end: Option<io::Result<()>>,
    is_at_end: bool,
}

/// What has come and was not looked at.
struct Incoming {
    bytes: Vec<u8>,
    looked_at: usize,
    stage: Stage,
    /// The last stream that was opened.
    opened: u32,
    /// The stream that the head opens that is coming, if it does; more may come of it after that.
    head: Option<Head>,
    /// h2 has got a head, and nothing behind it, until it asks for more.
    pauses: bool,
}

enum Stage {
    /// So much of the preface is still to come.
    Preface(usize),
    Frames,
    /// A frame that is too long: h2 ends the connection at its header.
    Beyond,
}

struct Head {
    opens: bool,
    stream: u32,
    ends: bool,
}

impl<IO> Filter<IO> {
    /// A stream that begins with the preface.
    pub(super) fn new(stream: IO, streams_max: u32, inbox: Inbox, answers: Answers) -> Self {
        Self {
            stream,
            allowance: Allowance::new(streams_max),
            inbox,
            answers,
            incoming: Incoming {
                bytes: Vec::new(),
                looked_at: 0,
                stage: Stage::Preface(PREFACE.len()),
                opened: 0,
                head: None,
                pauses: false,
            },
            written: WrittenFrames::new(),
            patience: None,
            out: Vec::new(),
            given_bytes: 0,
            end: None,
            is_at_end: false,
        }
    }

    /// Gives h2 what it has room for: whether there was anything.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let rest = &self.out[self.given_bytes..];
        let now = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..now]);
        self.given_bytes += now;
        if self.given_bytes == self.out.len() {
            self.given_bytes = 0;
            self.out.clear();
            self.out.shrink_to(KEPT_BYTES_MAX);
        }
        now > 0
    }

    /// Lets go on what may, and looks at what has come.
    fn look(&mut self) -> Result<(), TooManyFrames> {
        let Self { inbox, answers, incoming, allowance, out, .. } = self;
        answers.set_opening(None);
        inbox.with(|unread| {
            unread.set_opening(None);
            if incoming.head.is_none() {
                unread.pass_due(out);
            }
            incoming.look(allowance, answers, unread, out)
        })
    }

    fn look_at_written(&mut self, bytes: &[u8]) {
        let Self { inbox, answers, written, allowance, .. } = self;
        inbox.with(|unread| {
            written.look(bytes, |written| {
                allowance.earn(written);
                answers.written(written);
                unread.written(written);
            });
        });
    }
}

impl Incoming {
    fn look(
        &mut self,
        allowance: &mut Allowance,
        answers: &Answers,
        unread: &mut Unread,
        out: &mut Vec<u8>,
    ) -> Result<(), TooManyFrames> {
        let bytes = std::mem::take(&mut self.bytes);
        let mut rest = &bytes[self.looked_at..];
        let mut looked = Ok(());
        while !self.pauses && looked.is_ok() {
            let passed = match &mut self.stage {
                Stage::Preface(missing) => {
                    let passed = rest.len().min(*missing);
                    *missing -= passed;
                    if *missing == 0 {
                        self.stage = Stage::Frames;
                    }
                    passed
                }
                Stage::Beyond => rest.len(),
                Stage::Frames => {
                    let Some((header, payload)) = first_frame(rest) else {
                        if has_too_long_a_frame(rest) {
                            self.stage = Stage::Beyond;
                            continue;
                        }
                        break;
                    };
                    looked = allowance.spend(header);
                    self.pass(header, payload, answers, unread, out);
                    rest = &rest[HEADER_BYTES + payload.len()..];
                    continue;
                }
            };
            if passed == 0 {
                break;
            }
            out.extend_from_slice(&rest[..passed]);
            rest = &rest[passed..];
        }
        self.looked_at = bytes.len() - rest.len();
        self.bytes = bytes;
        if self.looked_at == self.bytes.len() {
            self.looked_at = 0;
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES_MAX);
        }
        looked
    }

    /// Gives h2 a frame, or has it wait.
    fn pass(
        &mut self,
        header: Header,
        payload: &[u8],
        answers: &Answers,
        unread: &mut Unread,
        out: &mut Vec<u8>,
    ) {
        let Header { stream, .. } = header;
        match header.kind {
            // Only that may come within a head (RFC 9113 §6.10), which is for h2 to say.
            _ if self.head.is_some() && header.kind != kind::CONTINUATION => {}
            kind::DATA => return unread.data(header, payload, out),
            kind::RST_STREAM => {
                unread.reset(stream, out);
                answers.end(stream);
            }
            kind::SETTINGS if header.has(flag::ACK) => unread.window_is_known(out),
            kind::HEADERS => {
                let opens = stream > self.opened;
                if opens {
                    self.opened = stream;
                } else {
                    unread.trailers(header, out);
                }
                self.head = Some(Head { opens, stream, ends: header.has(flag::END_STREAM) });
            }
            _ => {}
        }
        unread.pass_other(header, payload, out);
        let is_head = matches!(header.kind, kind::HEADERS | kind::CONTINUATION);
        if is_head
            && header.has(flag::END_HEADERS)
            && let Some(Head { opens: true, stream, ends }) = self.head.take()
        {
            self.pauses = true;
            unread.set_opening((!ends).then_some(stream));
            answers.set_opening(Some(stream));
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.looked_at > 0 {
            self.bytes.drain(..self.looked_at);
            self.looked_at = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }
}

/// The first frame, if all of it is there and it is none too long.
fn first_frame(bytes: &[u8]) -> Option<(Header, &[u8])> {
    let (header, rest) = bytes.split_first_chunk()?;
    let header = Header::read(header);
    let is_whole = header.payload_bytes <= PAYLOAD_BYTES_MAX.min(rest.len());
    is_whole.then(|| (header, &rest[..header.payload_bytes]))
}

fn has_too_long_a_frame(bytes: &[u8]) -> bool {
    let header = bytes.first_chunk().map(Header::read);
    header.is_some_and(|header| header.payload_bytes > PAYLOAD_BYTES_MAX)
}

impl<IO: AsyncRead + Unpin> Filter<IO> {
    /// Lets go on what has waited too long for others to be read.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TooMuchUnread>> {
        let Self { inbox, out, patience, .. } = self;
        inbox.with(|unread| {
            if !unread.has_behind_others() {
                *patience = None;
                return Poll::Pending;
            }
            let timer = patience.get_or_insert_with(|| RunningTimer::after(PATIENCE));
            ready!(timer.poll_elapsed(Duration::ZERO, cx));
            *patience = None;
            Poll::Ready(unread.pass_behind_others(out))
        })
    }

    /// Reads what has come. At its end, all goes on that waits, since nobody can be made to wait any more.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut room = READ.take();
        room.resize(READ_BYTES, 0);
        let mut read = ReadBuf::new(&mut room);
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut read);
        let come = read.filled();
        self.incoming.push(come);
        let is_end = come.is_empty();
        READ.set(room);
        let result = ready!(polled);
        if result.is_err() || is_end {
            self.end = Some(result);
            let Self { inbox, incoming, out, .. } = self;
            inbox.with(|unread| unread.pass_all(out));
            out.append(&mut incoming.bytes);
        }
        Poll::Ready(())
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Filter<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.give(buf) || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if let Some(end) = this.end.take() {
                this.is_at_end = true;
                return Poll::Ready(end);
            }
            if this.is_at_end {
                return Poll::Ready(Ok(()));
            }
            if std::mem::take(&mut this.incoming.pauses) {
                // What the head opens is known before any of its data comes.
                this.inbox.with(Unread::give_turn);
                return Poll::Pending;
            }
            this.look().map_err(io::Error::other)?;
            if this.given_bytes < this.out.len() || this.incoming.pauses {
                continue;
            }
            if this.poll_more(cx).is_pending() {
                let has_more = this.inbox.with(|unread| unread.wait(cx.waker()));
                if this.incoming.head.is_some() {
                    return Poll::Pending;
                }
                if !has_more {
                    ready!(this.poll_overdue(cx)).map_err(io::Error::other)?;
                }
            }
        }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Filter<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, buf))?;
        this.look_at_written(&buf[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, bufs))?;
        let mut rest = written;
        for buf in bufs {
            let now = rest.min(buf.len());
            this.look_at_written(&buf[..now]);
            rest -= now;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

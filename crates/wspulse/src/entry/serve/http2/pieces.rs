//! Response bodies in pieces.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};

use super::answers::Answer;

/// One DATA frame of what every peer takes (RFC 9113 §4.2).
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// A body whose pieces are small, and that ends once all of it is written: hyper gives h2 each piece whole
/// as soon as one byte of it may be sent, and has done with a response once it has given the last. So a
/// client that does not take its response has its request, its place and its deadline until it does.
pub(super) struct Pieces<B: Body> {
    /// `None` for a response without one.
    body: Option<Pin<Box<B>>>,
    /// What is left of a frame of the body.
    rest: Option<B::Data>,
    given_bytes: u64,
    /// The body has ended.
    end: Option<End>,
    answer: Answer,
}

struct End {
    trailers: Option<HeaderMap>,
}

impl<B: Body> Pieces<B> {
    pub(super) fn of(body: B, answer: Answer) -> Self {
        let body = (!body.is_end_stream()).then(|| Box::pin(body));
        Self { body, rest: None, given_bytes: 0, end: None, answer }
    }

    pub(super) fn none() -> Self {
        Self { body: None, rest: None, given_bytes: 0, end: None, answer: Answer::default() }
    }

    fn next_piece(&mut self) -> Option<Bytes> {
        let rest = self.rest.as_mut()?;
        let piece = rest.copy_to_bytes(rest.remaining().min(PIECE_BYTES_MAX));
        if !rest.has_remaining() {
            self.rest = None;
        }
        self.given_bytes += piece.len() as u64;
        Some(piece)
    }
}

/// Nothing of it is pinned in place.
impl<B: Body> Unpin for Pieces<B> {}

impl<B: Body> Body for Pieces<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        loop {
            if let Some(piece) = this.next_piece() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if let Some(end) = &mut this.end {
                ready!(this.answer.poll_written(this.given_bytes, cx));
                let trailers = end.trailers.take();
                return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
            }
            let Some(body) = &mut this.body else { return Poll::Ready(None) };
            match ready!(body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = Some(data),
                    Err(other) => {
                        let Ok(trailers) = other.into_trailers() else { continue };
                        this.end = Some(End { trailers: Some(trailers) });
                    }
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => this.end = Some(End { trailers: None }),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let Some(body) = &self.body else { return SizeHint::with_exact(0) };
        let rest = self.rest.as_ref().map_or(0, |rest| rest.remaining() as u64);
        let of_body = body.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(of_body.lower() + rest);
        hint
    }
}

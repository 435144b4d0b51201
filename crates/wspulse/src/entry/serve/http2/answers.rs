//! How far the answers of a connection have got on their way.
//!
//! hyper has done with an answer once h2 has it, which keeps it until its client takes it. So it is looked
//! for in what is written.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::frames::Written;

/// The answers that are not whole yet, by their streams. What is said in a WebSocket is none any more.
#[derive(Clone, Default)]
pub(super) struct Answers(Arc<Mutex<OnTheirWay>>);

#[derive(Default)]
struct OnTheirWay {
    by_stream: HashMap<u32, Answer>,
    /// The stream whose head h2 has got last, until the next.
    opening: Option<u32>,
}

/// An answer to a request, on its way.
#[derive(Clone, Default)]
pub(super) struct Answer(Arc<Mutex<Course>>);

#[derive(Default)]
struct Course {
    /// Of its body.
    written_bytes: u64,
    has_ended: bool,
    /// Of the task that works on it.
    waker: Option<Waker>,
}

impl Answers {
    /// h2 gets a head that opens a stream, or something else.
    pub(super) fn set_opening(&self, stream: Option<u32>) {
        self.0.lock().opening = stream;
    }

    /// A request has come, whose head is the last that h2 has got.
    pub(super) fn begin(&self) -> Answer {
        let answer = Answer::default();
        let on_their_way = &mut *self.0.lock();
        match on_their_way.opening.take() {
            Some(stream) => drop(on_their_way.by_stream.insert(stream, answer.clone())),
            None => answer.go_on(Course::end),
        }
        answer
    }

    /// This side has written something.
    pub(super) fn written(&self, written: Written) {
        match written {
            Written::Data { stream, bytes } => {
                let by_stream = &mut self.0.lock().by_stream;
                let Some(answer) = by_stream.get(&stream) else { return };
                if answer.is_awaited() {
                    answer.go_on(|course| course.written_bytes += bytes as u64);
                } else {
                    by_stream.remove(&stream);
                }
            }
            Written::End { stream } | Written::Reset { stream } => self.end(stream),
            Written::Headers | Written::WindowUpdate { .. } => {}
        }
    }

    /// Nothing more is said on a stream.
    pub(super) fn end(&self, stream: u32) {
        let by_stream = &mut self.0.lock().by_stream;
        if let Some(answer) = by_stream.remove(&stream) {
            answer.go_on(Course::end);
        }
        if by_stream.is_empty() {
            *by_stream = HashMap::new();
        }
    }
}

impl Course {
    const fn end(&mut self) {
        self.has_ended = true;
    }
}

impl Answer {
    /// Whether anybody has it beside the list.
    fn is_awaited(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    fn go_on(&self, go_on: impl FnOnce(&mut Course)) {
        let waker = {
            let course = &mut *self.0.lock();
            go_on(course);
            course.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ready once so many bytes of its body are written, or no more will be. One task waits at a time.
    pub(super) fn poll_written(&self, bytes: u64, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_until(cx, |course| course.has_ended || course.written_bytes >= bytes)
    }

    /// Ready once it is whole or broken off. One task waits at a time.
    pub(super) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_until(cx, |course| course.has_ended)
    }

    fn poll_until(&self, cx: &mut Context<'_>, is_there: impl FnOnce(&Course) -> bool) -> Poll<()> {
        let course = &mut *self.0.lock();
        if is_there(course) {
            return Poll::Ready(());
        }
        course.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

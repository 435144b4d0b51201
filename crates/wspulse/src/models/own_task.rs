//! A future on a task of its own is let go of while that polls it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use shuttle::thread;

use super::stage::explore;
use crate::entry::serve::Place;

#[test]
fn what_is_let_go_of_is_dropped_by_one_of_both_and_not_polled_again() {
    explore(|| {
        let held = Arc::new(());
        let place = Arc::new(Place::of({
            let held = Arc::clone(&held);
            Box::pin(poll_fn(move |_| {
                // It has not been dropped.
                assert!(Arc::strong_count(&held) > 1);
                thread::yield_now();
                Poll::Pending
            }))
        }));
        let task = {
            let place = Arc::clone(&place);
            thread::spawn(move || {
                let mut cx = Context::from_waker(Waker::noop());
                while place.poll(&mut cx).is_pending() {
                    thread::yield_now();
                }
            })
        };
        place.clear();
        task.join().expect("no panic");
        assert_eq!(Arc::strong_count(&held), 1);
    });
}
